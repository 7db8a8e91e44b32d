from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fairing_core import errors
from tests.core.preprocess.harness import Project, content, named


@pytest.fixture(autouse=True)
def _script(project: Project) -> None:
    project.write("train.py")


def test_a_file_lands_at_its_path_from_the_root(project: Project) -> None:
    project.write("data/a.csv", "1,2\n")
    file = named(project.script(input_files=["data/a.csv"]))["data/a.csv"]
    assert (file.destination, file.reason) == ("/app/data/a.csv", "input_files")
    assert content(file) == b"1,2\n"


def test_one_text_is_one_input(project: Project) -> None:
    project.write("a.csv")
    assert set(named(project.script(input_files="a.csv"))) == {"train.py", "a.csv"}


def test_a_path_object_is_an_input(project: Project) -> None:
    path = project.write("a.csv")
    assert "a.csv" in named(project.script(input_files=path))
    assert "a.csv" in named(project.script(input_files=[Path("a.csv")]))


@pytest.mark.parametrize(
    "said", [{"input_files": [3]}, {"allow_secrets": [3]}, {"output_map": {"train.py": 3}}]
)
def test_what_is_no_path_is_named(project: Project, said: dict[str, Any]) -> None:
    with pytest.raises(errors.InputError, match="3 is no path"):
        project.script(**said)


def test_the_callers_lists_are_left_alone(project: Project) -> None:
    project.write("a.csv")
    inputs, mapped = ["a.csv"], {"a.csv": "/b"}
    project.script(input_files=inputs, output_map=mapped)
    assert (inputs, mapped) == (["a.csv"], {"a.csv": "/b"})


def test_a_folder_travels_with_all_that_is_in_it(project: Project) -> None:
    for name in ("data/a", "data/.hidden", "data/deep/er/b", "data/empty/.keep"):
        project.write(name)
    files = named(project.script(input_files=["data"]))
    assert set(files) == {
        "train.py",
        "data/a",
        "data/.hidden",
        "data/deep/er/b",
        "data/empty/.keep",
    }


@pytest.mark.parametrize(
    "name",
    [
        ".git/config",
        ".hg/store",
        ".svn/entries",
        "__pycache__/a.cpython-311.pyc",
        "deep/__pycache__/a.py",
        ".ipynb_checkpoints/a.ipynb",
        "old.pyc",
    ],
)
@pytest.mark.parametrize("given", ["src", "src/**", "src/*", "sr?"])
def test_a_folder_leaves_out_what_only_this_machine_needs(
    project: Project, name: str, given: str
) -> None:
    project.write(f"src/{name}")
    project.write("src/kept.py")
    assert set(named(project.script(input_files=[given]))) == {"train.py", "src/kept.py"}


@pytest.mark.parametrize("given", [".", "./*", "**"])
def test_a_folder_leaves_out_virtual_environments(project: Project, given: str) -> None:
    project.write("my env/pyvenv.cfg")
    project.write("my env/lib/site.py")
    assert set(named(project.script(input_files=[given]))) == {"train.py"}


@pytest.mark.parametrize("given", ["src/__pycache__/a.pyc", "src/__pycache__/*.pyc"])
def test_what_is_named_itself_travels(project: Project, given: str) -> None:
    project.write("src/__pycache__/a.pyc")
    assert "src/__pycache__/a.pyc" in named(project.script(input_files=[given]))


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.csv", {"a.csv"}),
        ("data/*.csv", {"data/b.csv"}),
        ("**/*.csv", {"a.csv", "data/b.csv", "data/x/c.csv"}),
        ("data/**", {"data/b.csv", "data/x/c.csv", "data/x/d.txt"}),
        ("data/**/x/*.txt", {"data/x/d.txt"}),
        ("dat?/[bc].csv", {"data/b.csv"}),
        ("*/x", {"data/x/c.csv", "data/x/d.txt"}),
        ("data/.h*", {"data/.hid/e"}),
    ],
)
def test_a_pattern_matches_as_glob_does(project: Project, pattern: str, expected: set[str]) -> None:
    for name in ("a.csv", "data/b.csv", "data/x/c.csv", "data/x/d.txt", "data/.hid/e"):
        project.write(name)
    assert set(named(project.script(input_files=[pattern]))) == {"train.py", *expected}


def test_an_absolute_pattern_matches(project: Project) -> None:
    project.write("a.csv")
    assert "a.csv" in named(project.script(input_files=[str(project.root / "*.csv")]))


@pytest.mark.parametrize("name", ["[ab].csv", "what?.csv", "a*.csv"])
def test_a_file_whose_name_is_a_pattern_wins(project: Project, name: str) -> None:
    project.write(name)
    project.write("a.csv")
    assert set(named(project.script(input_files=[name]))) == {"train.py", name}


def test_a_folder_whose_name_is_a_pattern_wins(project: Project) -> None:
    project.write("[ab]/x.csv")
    project.write("a/x.csv")
    assert set(named(project.script(input_files=["[ab]/*.csv"]))) == {"train.py", "[ab]/x.csv"}


def test_a_pattern_without_a_match_is_missing(project: Project) -> None:
    with pytest.raises(errors.MissingInput, match=r"no file matches '\*\.csv' in .*project"):
        project.script(input_files=["*.csv"])


def test_a_missing_file_is_named_with_the_near_one(project: Project) -> None:
    project.write("data/train.csv")
    with pytest.raises(errors.MissingInput, match=r"did you mean 'data/train\.csv'") as caught:
        project.script(input_files=["data/trian.csv"])
    assert "'data/trian.csv' does not exist" in str(caught.value)


@pytest.mark.parametrize("text", ["", "a\0b"])
def test_a_text_that_names_no_file_is_missing(project: Project, text: str) -> None:
    with pytest.raises(errors.MissingInput, match="names no file"):
        project.script(input_files=[text])


def test_a_relative_input_starts_at_the_working_directory(project: Project) -> None:
    project.write("src/train.py")
    project.write("src/a.csv")
    context = project.script("src/train.py", input_files=["src/a.csv"])
    assert set(named(context)) == {"train.py", "a.csv"}


@pytest.mark.parametrize("text", ["a.csv", "*.csv"])
def test_an_input_that_is_only_under_the_root_is_missing_and_says_where_it_is(
    project: Project, text: str
) -> None:
    project.write("src/train.py")
    project.write("src/a.csv")
    with pytest.raises(errors.MissingInput) as caught:
        project.script("src/train.py", input_files=[text])
    assert f"write 'src/{text}'" in str(caught.value)


@pytest.mark.parametrize("text", ["../a.csv", "/etc/passwd", "../*.csv"])
def test_an_input_outside_the_root_is_an_error_that_tells_of_output_map(
    project: Project, text: str
) -> None:
    (project.root.parent / "a.csv").write_text("1")
    with pytest.raises(errors.OutsideRoot, match=r"output_map=\{"):
        project.script(input_files=[text])


def test_a_root_reached_through_a_link_holds_its_relative_inputs(
    project: Project, tmp_path: Path
) -> None:
    project.write("a.csv")
    (tmp_path / "link").symlink_to(project.root)
    context = project.script(str(tmp_path / "link" / "train.py"), input_files=["a.csv"])
    assert set(named(context)) == {"train.py", "a.csv"}


def test_a_links_content_travels_under_the_links_name(project: Project, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "real.csv").write_text("real")
    (project.root / "file.csv").symlink_to(tmp_path / "elsewhere" / "real.csv")
    (project.root / "folder").symlink_to(tmp_path / "elsewhere")
    files = named(project.script(input_files=["file.csv", "folder"]))
    assert content(files["file.csv"]) == content(files["folder/real.csv"]) == b"real"


@pytest.mark.parametrize("given", ["data", "data/**", "data/**/*.csv"])
def test_a_link_to_a_folder_above_it_is_an_error(project: Project, given: str) -> None:
    project.write("data/a.csv")
    (project.root / "data" / "up").symlink_to(project.root)
    with pytest.raises(errors.UnreadableInput, match="leads back"):
        project.script(input_files=[given])


def test_two_links_to_one_folder_are_no_loop(project: Project) -> None:
    project.write("data/real/a")
    (project.root / "data" / "link").symlink_to("real")
    assert {"data/real/a", "data/link/a"} < set(named(project.script(input_files=["data"])))


@pytest.mark.parametrize("given", ["me", "."])
def test_a_link_to_itself_is_an_error(project: Project, given: str) -> None:
    (project.root / "me").symlink_to("me")
    with pytest.raises(errors.UnreadableInput, match="me is a link that leads back to itself"):
        project.script(input_files=[given])


@pytest.mark.parametrize("given", ["data", "data/link", "data/*"])
def test_a_link_to_nothing_is_missing_and_says_what_it_points_to(
    project: Project, given: str
) -> None:
    project.write("data/a")
    (project.root / "data" / "link").symlink_to("nowhere")
    with pytest.raises(errors.MissingInput, match="link to 'nowhere', which does not exist"):
        project.script(input_files=[given])


def _socket(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.basename(path))


@pytest.mark.parametrize(("make", "kind"), [(os.mkfifo, "pipe"), (_socket, "socket")])
@pytest.mark.parametrize("given", ["odd", "."])
def test_what_is_neither_file_nor_folder_is_an_error(
    project: Project, make: Callable[[str], None], kind: str, given: str
) -> None:
    make("odd")
    with pytest.raises(errors.UnreadableInput, match=f"odd is a {kind}, not a file"):
        project.script(input_files=[given])


def test_a_device_is_an_error(project: Project) -> None:
    with pytest.raises(errors.UnreadableInput, match="/dev/null is a device"):
        project.script(output_map={"/dev/null": "/app/null"})


@pytest.mark.parametrize("hidden", ["data", "data/a.csv", "train.py"])
def test_what_the_user_may_not_read_is_an_error(hidden: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        project = Project(Path(folder))
        project.write("train.py")
        project.write("data/a.csv")
        os.chmod(project.root / hidden, 0)
        message = as_nobody(
            lambda: project.script(f"{folder}/train.py", input_files=[f"{folder}/data"])
        )
        os.chmod(project.root / hidden, 0o755)
    assert message.startswith("UnreadableInput: ")
    assert f"{folder}/{hidden} can't be read (Permission denied)" in message


def as_nobody(function: Callable[[], object]) -> str:
    """The error that a user without rights gets from `function`."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if os.getuid() == 0:
                os.setgroups([])
                os.setgid(65534)
                os.setuid(65534)
            function()
            os.write(writer, b"no error")
        except BaseException as exc:  # noqa: BLE001 - the parent shall see whatever it is
            os.write(writer, f"{type(exc).__name__}: {exc}".encode())
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader) as answer:
        text = answer.read()
    os.waitpid(child, 0)
    return text


@pytest.mark.parametrize(("mode", "expected"), [(0o644, 0o644), (0o600, 0o644), (0o711, 0o755)])
def test_only_the_owners_right_to_execute_travels(
    project: Project, mode: int, expected: int
) -> None:
    project.write("run.sh").chmod(mode)
    assert named(project.script(input_files=["run.sh"]))["run.sh"].mode == expected


# --- output_map -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/data/b.csv", "/data/b.csv"),
        ("b.csv", "/b.csv"),
        ("data/b.csv", "/data/b.csv"),
        ("/app//x/./../b.csv", "/app/b.csv"),
        ("/data/", "/data/a.csv"),
        ("/", "/a.csv"),
    ],
)
def test_output_map_puts_a_file_where_it_says(project: Project, target: str, expected: str) -> None:
    project.write("a.csv")
    context = project.script(output_map={"a.csv": target})
    assert [f.destination for f in context.files if f.reason == "output_map"] == [expected]


def test_output_map_takes_what_lies_outside_the_root(project: Project) -> None:
    (project.root.parent / "a.csv").write_text("1")
    context = project.script(output_map={"../a.csv": "/app/a.csv"})
    assert content(named(context)["a.csv"]) == b"1"


@pytest.mark.parametrize(("target", "base"), [("/data", "/data"), ("/", ""), ("x/", "/x")])
def test_output_map_puts_a_folder_where_it_says(project: Project, target: str, base: str) -> None:
    project.write("data/a")
    project.write("data/deep/b")
    context = project.script(output_map={"data": target})
    places = {f.destination for f in context.files if f.reason == "output_map"}
    assert places == {f"{base}/a", f"{base}/deep/b"}


@pytest.mark.parametrize("target", ["", "\0", "/a\0b", "..", "/..", "/app/../../x", "../x", "."])
def test_a_destination_that_is_no_place_in_the_image_is_an_error(
    project: Project, target: str
) -> None:
    project.write("a.csv")
    with pytest.raises(errors.InvalidDestination):
        project.script(output_map={"a.csv": target})


@pytest.mark.parametrize("text", ["nothing.csv", "", "a\0b"])
def test_a_missing_source_in_output_map_is_missing(project: Project, text: str) -> None:
    with pytest.raises(errors.MissingInput, match="output_map"):
        project.script(output_map={text: "/x"})


def test_an_input_and_output_map_at_one_destination_are_an_error_that_names_both(
    project: Project,
) -> None:
    project.write("a.csv", "1")
    project.write("b.csv", "2")
    with pytest.raises(errors.ConflictingInputs) as caught:
        project.script(input_files=["a.csv"], output_map={"b.csv": "/app/a.csv"})
    for name in ("a.csv", "b.csv"):
        assert str(project.root / name) in str(caught.value)


def test_two_sources_with_the_same_bytes_are_no_conflict(project: Project) -> None:
    project.write("a.csv", "1")
    project.write("b.csv", "1")
    context = project.script(input_files=["a.csv"], output_map={"b.csv": "/app/a.csv"})
    assert content(named(context)["a.csv"]) == b"1"
