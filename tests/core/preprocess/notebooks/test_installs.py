from __future__ import annotations

from pathlib import Path

import pytest

from fairing_core.preprocess.notebooks.installs import Install, NotPlain, is_install, parse, read


@pytest.mark.parametrize(
    ("command", "lines"),
    [
        ("pip install pandas", ["pandas"]),
        (" pip3 install pandas numpy", ["pandas", "numpy"]),
        ("pip3.11 install pandas", ["pandas"]),
        ("python -m pip install pandas", ["pandas"]),
        ("{sys.executable} -m pip install pandas", ["pandas"]),
        ('"{sys.executable}" -m pip install pandas', ["pandas"]),
        ("/opt/conda/bin/pip install pandas", ["pandas"]),
        ("uv pip install pandas", ["pandas"]),
        ("pip --quiet install pandas", ["pandas"]),
        ("pip install -q -U --no-cache-dir --upgrade-strategy eager pandas", ["pandas"]),
        ("pip install -qU pandas --progress-bar=off", ["pandas"]),
        ("pip install pandas>=2,<3 'numpy!=2.0' scipy==1.*",
         ["pandas>=2,<3", "numpy!=2.0", "scipy==1.*"]),
        ("pip install 'uvicorn[standard]' \"x; python_version<'3.12'\"",
         ["uvicorn[standard]", "x; python_version<'3.12'"]),
        ("pip install git+https://example.com/x.git@main#egg=x  # the fork",
         ["git+https://example.com/x.git@main#egg=x"]),
        ("pip install pandas > /dev/null 2>&1", ["pandas"]),
        ("pip install pandas &> log | tail -n 1", ["pandas"]),
        ("pip install a && pip install b; pip install c ;", ["a", "b", "c"]),
        ("pip install a;pip install 'b; os_name>\"a\"';", ["a", 'b; os_name>"a"']),
        ("pip install --pre --extra-index-url=https://u/s -f https://w a",
         ["--pre", "--extra-index-url https://u/s", "-f https://w", "a"]),
        ("pip install fairing-core fairing_onprem[s3]>=0 kubeflow-fairing pandas", ["pandas"]),
    ],
)  # fmt: skip
def test_packages_become_lines_of_a_requirements_file(command: str, lines: list[str]) -> None:
    assert is_install(command)
    assert parse(command) == Install(tuple(lines))


def test_the_index_and_files_are_told_apart() -> None:
    command = "pip install -r a.txt -rb.txt --requirement=c.txt --index-url https://i torch"
    assert parse(command) == Install(
        ("torch",), index="https://i", files=("a.txt", "b.txt", "c.txt")
    )


@pytest.mark.parametrize(
    "command",
    ["pip list", "pip uninstall x", "apt-get install x", "echo pip install x", "conda install x",
     "pip installer", "sudo pip install x", "pip-compile install x"],
)  # fmt: skip
def test_other_commands_are_no_installation(command: str) -> None:
    assert not is_install(command)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("pip install {name}", "known only when it runs"),
        ("pip install $NAME", "known only when it runs"),
        ("pip install .", "is a file or folder here"),
        ("pip install ./pkg", "is a file or folder here"),
        ("pip install dist/x-1-py3-none-any.whl", "is a file or folder here"),
        ("pip install -e .", "option -e"),
        ("pip install --target=/x y", "option --target"),
        ("pip install a && apt-get install b", "'apt-get install b' beside it"),
        ("pip install a || true", "leaves open"),
        ("pip install 'a", "quotes don't match"),
        ("pip install @x", "is no requirement"),
        ("pip install -i https://a x && pip install y", "more than one index"),
    ],
)
def test_what_no_requirements_file_can_say_is_told(command: str, said: str) -> None:
    assert is_install(command)
    with pytest.raises(NotPlain, match=said):
        parse(command)


def test_a_requirements_file_gives_its_lines(tmp_path: Path) -> None:
    (tmp_path / "r.txt").write_text("\ufeff# ours\npandas\n\nnumpy \\\n  >=2\n--pre\n")
    assert read("r.txt", tmp_path) == ("pandas", "numpy    >=2", "--pre")


@pytest.mark.parametrize("line", ["-r other.txt", "-c limits.txt", "-e .", "./x.whl"])
def test_a_requirements_file_that_names_others_is_refused(tmp_path: Path, line: str) -> None:
    (tmp_path / "r.txt").write_text(f"pandas\n{line}\n")
    with pytest.raises(NotPlain, match="let both travel"):
        read("r.txt", tmp_path)


def test_a_missing_requirements_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotPlain, match=r"r\.txt can't be read"):
        read("r.txt", tmp_path)
