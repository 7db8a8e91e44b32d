"""The Dockerfile that is made: its exact text, and how engines read it."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from fairing_core import errors
from fairing_core.build.dockerfile import Owner, generated, names_files, places
from fairing_core.build.image import Changes
from fairing_core.types import ContextFile
from tests.core.build.harness import inline

COMMAND = ("python3", "/app/main.py")
ROOT = Owner(0, 0)
PIP = (
    '"-m", "pip", "install", "--no-cache-dir", "--disable-pip-version-check", '
    '"--requirement", "/app/requirements.txt"'
)


def text(*destinations: str, owner: Owner = ROOT, **more: Any) -> list[str]:
    requirements = more.pop("requirements", None)
    changes = Changes(more.pop("command", COMMAND), more.pop("workdir", "/app"), **more)
    files = [inline(each) for each in sorted(destinations or ("/app/main.py",))]
    return generated("b", files, changes, owner, requirements=requirements)[:-1].split("\n")


# --- reading it as an engine does -----------------------------------------------------------------


def expanded(word: str, variables: Mapping[str, str] | None = None) -> str:
    """A word as Docker's shell parser reads it: quotes, backslashes, variables."""
    found, quote, at = "", "", 0
    while at < len(word):
        letter = word[at]
        if quote == "'":
            found, quote = (found, "") if letter == "'" else (found + letter, quote)
        elif letter == "\\" and at + 1 < len(word):
            following = word[at + 1]
            keeps = quote == '"' and following not in '"$\\'
            found += letter + following if keeps else following
            at += 1
        elif letter == '"':
            quote = "" if quote else '"'
        elif letter == "'" and not quote:
            quote = "'"
        elif letter == "$":
            name = re.match(r"\w+", word[at + 1 :])
            raise AssertionError(f"{word!r} asks for {name and name[0]}")
        else:
            found += letter
        at += 1
    assert not quote, word
    return found


def is_pattern(word: str) -> bool:
    """What Docker's containsWildcards says."""
    return re.sub(r"\\.", "", word) != re.sub(r"\\.|[*?\[]", "", word)


def copies(lines: list[str]) -> list[list[str]]:
    """The words of each COPY, as engines read them."""
    found = [re.fullmatch(r"COPY --chown=\d+:\d+ (\[.*\])", line) for line in lines]
    return [[expanded(word) for word in json.loads(each[1])] for each in found if each]


def arrive(files: list[ContextFile], lines: list[str]) -> dict[str, str]:
    """Where the files of the context arrive, by where they have to."""
    moved = places(files)
    there = {moved.get(file.destination, file.destination)[1:]: file.destination for file in files}
    found: dict[str, str] = {}
    for *sources, target in copies(lines):
        for source in sources:
            assert not is_pattern(source), source
            if source.endswith("/"):
                inside = {path: own for path, own in there.items() if path.startswith(source)}
                found |= {own: target + path[len(source) :] for path, own in inside.items()}
            else:
                place = target + posixpath.basename(source) if target.endswith("/") else target
                found[there[source]] = place
    return found


NAMES = st.text(
    st.sampled_from("ab.~ $\"'\\*?[]#{}=-%ü日\t\n") | st.characters(exclude_categories=["Cs"]),
    min_size=1,
    max_size=8,
).filter(lambda name: "/" not in name and "\0" not in name and name not in {".", ".."})
FOLDERS = st.sampled_from(["/app", "/app/sub", "/opt", "/srv/x", "/usr/local", "/data"])


@given(st.lists(st.tuples(FOLDERS, st.lists(NAMES, min_size=1, max_size=3)), max_size=12))
def test_every_file_arrives_where_it_has_to(paths: list[tuple[str, list[str]]]) -> None:
    destinations = {f"{folder}/{'/'.join(names)}" for folder, names in paths}
    above = {posixpath.dirname(each) for each in destinations}
    assume(not any(each in destinations for path in above for each in _up(path)))
    files = [inline(each) for each in sorted(destinations)]
    lines = text(*destinations) if destinations else []
    found = arrive(files, lines)
    assert found == {each: each for each in destinations}


def _up(path: str) -> list[str]:
    return [path] if path == "/" else [path, *_up(posixpath.dirname(path))]


VALUES = st.text(st.sampled_from("a $\"'\\{}#") | st.characters(exclude_categories=["Cs"]))


@given(VALUES)
def test_values_of_variables_labels_and_users_come_out_as_they_went_in(value: str) -> None:
    assume(not re.search(r"[\n\r\0]", value))
    lines = text(env={"A": value}, labels={"l.x": value}, user=f"-{value}-", workdir=f"/{value}-")
    found = dict(line.split(" ", 1) for line in lines[2:])
    assert expanded(found["ENV"]) == f"A={value}"
    assert expanded(found["LABEL"]) == f"l.x={value}"
    assert expanded(found["USER"]) == f"-{value}-"
    assert expanded(found["WORKDIR"]) == f"/{value}-"


# --- its text -------------------------------------------------------------------------------------


def test_code_is_copied_and_the_command_is_in_exec_form() -> None:
    assert text("/app/main.py", "/app/a/b.py", owner=Owner(1000, 100, "ada")) == [
        "FROM b",
        'COPY --chown=1000:100 ["app/", "/app/"]',
        "WORKDIR /app",
        'CMD ["python3", "/app/main.py"]',
    ]


def test_requirements_come_before_code() -> None:
    lines = text(requirements="numpy>=2\n", owner=Owner(1000, 100, "ada"))
    assert lines[1:] == [
        'COPY --chown=1000:100 ["app/requirements.txt", "/app/"]',
        "ARG PIP_BREAK_SYSTEM_PACKAGES=1",
        "USER 0",
        f'RUN ["python3", {PIP}]',
        "USER ada",
        'COPY --chown=1000:100 ["app/", "/app/"]',
        "WORKDIR /app",
        'CMD ["python3", "/app/main.py"]',
    ]


def test_requirements_that_name_files_come_after_them_and_keep_the_user_s_modules_out() -> None:
    lines = text(requirements="./wheels/lab.whl\n")
    assert lines[1:6] == [
        'COPY --chown=0:0 ["app/", "/app/"]',
        "WORKDIR /app",
        "ARG PIP_BREAK_SYSTEM_PACKAGES=1",
        "USER 0",
        f'RUN ["python3", "-I", {PIP}]',
    ]


def test_packages_are_for_the_python_that_runs_the_code() -> None:
    lines = text(requirements="a", command=("/opt/v/bin/python3.12", "/app/main.py"))
    assert f'RUN ["/opt/v/bin/python3.12", {PIP}]' in lines
    assert f'RUN ["python3", {PIP}]' in text(requirements="a", command=("bash", "/app/run.sh"))


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("numpy", False),
        ("numpy>=2 # ./x.whl", False),
        ("https://h.example/x.whl", False),
        ("git+https://h.example/x", False),
        ("tiny @ https://h.example/x.whl", False),
        ("--index-url https://h.example", False),
        ("--find-links=https://h.example/x", False),
        ("-c constraints.txt", True),
        ("-cconstraints.txt", True),
        ("--requirement=more.txt", True),
        ("--find-links wheels", True),
        ("--find-links file:///app/wheels", True),
        ("-e .", True),
        ("./wheels/x.whl", True),
        ("x.tar.gz ; python_version > '3'", True),
        ("tiny @ file:///app/x.whl", True),
    ],
)
def test_which_requirements_name_files(line: str, named: bool) -> None:
    assert names_files(f"# a list\nnumpy\n{line}\n") is named


def test_variables_labels_user_and_entrypoint_follow_the_code_in_their_order() -> None:
    lines = text(
        env={"B": "$HOME", "A": 'say "x"'},
        labels={"l": "back\\slash it's"},
        user="7:8",
        entrypoint=("run", "$x"),
    )
    assert lines[2:] == [
        'ENV A="say \\"x\\""',
        'ENV B="\\$HOME"',
        'LABEL l="back\\\\slash it\'s"',
        "WORKDIR /app",
        "USER 7:8",
        'ENTRYPOINT ["run", "$x"]',
        'CMD ["python3", "/app/main.py"]',
    ]
    assert text(command=(), entrypoint=())[2:] == ["WORKDIR /app", "ENTRYPOINT []"]


@pytest.mark.parametrize(
    "more",
    [
        {"env": {"A": "two\nlines"}},
        {"labels": {"l": "two\rlines"}},
        {"env": {"": "x"}},
        {"env": {"A B": "x"}},
        {"labels": {'l"': "x"}},
        {"user": "a\nRUN x"},
        {"workdir": "/app\nRUN x"},
    ],
)
def test_what_a_dockerfile_can_t_carry_is_refused(more: dict[str, Any]) -> None:
    with pytest.raises(errors.InvalidArgument):
        text(**more)


def test_files_outside_app_go_one_by_one_to_folders_of_the_base() -> None:
    lines = text("/app/main.py", "/etc/lab.conf", "/opt/m/a", "/opt/m/b", "/usr/local/x/y/z")
    assert copies(lines) == [
        ["app/", "/app/"],
        ["etc/lab.conf", "/etc/"],
        ["opt/m/a", "opt/m/b", "/opt/m/"],
        ["usr/local/x/y/z", "/usr/local/x/y/"],
    ]


def test_a_tree_of_many_files_is_copied_whole_but_for_folders_of_every_system() -> None:
    many = [f"{folder}/{number:03}" for folder in ("/opt/m", "/etc") for number in range(51)]
    found = copies(text(*many))
    assert found[-1] == ["opt/m/", "/opt/m/"]
    assert [len(words) - 1 for words in found[:-1]] == [50, 1]


def test_too_many_folders_are_refused() -> None:
    with pytest.raises(errors.InvalidArgument, match="81 folders outside /app"):
        text(*(f"/opt/{number}/x" for number in range(81)))


def test_the_same_files_give_the_same_text() -> None:
    destinations = ("/app/main.py", "/opt/b", "/opt/a*", "/srv/x/1")
    assert text(*destinations, env={"B": "1", "A": "2"}) == text(
        *destinations[::-1], env={"A": "2", "B": "1"}
    )
