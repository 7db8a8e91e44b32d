"""Words on the command line, as a user types them."""

from __future__ import annotations

import subprocess
import sys
from argparse import Namespace

import pytest

from fairing_core.cli.command import REST, Command, argument, command, pairs
from tests.core.cli.conftest import Fairing


@command(
    argument("entry"),
    argument(REST, nargs="*"),
    argument("--name"),
    argument("-d", "--detach", action="store_true"),
    pairs("-e", "--env"),
)
def start(given: Namespace) -> None:
    """Starts."""


def read(one: Command, *words: str) -> Namespace:
    return one.given(one.parser("start"), words)


@pytest.mark.parametrize(
    "words",
    [
        ("a.py", "3", "x=1", "--name", "n", "-d"),
        ("--name", "n", "-d", "a.py", "3", "x=1"),
        ("a.py", "--name=n", "3", "-d", "x=1"),
        ("a.py", "-d", "--name", "n", "--", "3", "x=1"),
    ],
)
def test_options_stand_before_between_and_after_other_words(words: tuple[str, ...]) -> None:
    given = read(start, *words)
    assert (given.entry, given.rest, given.name, given.detach) == ("a.py", ("3", "x=1"), "n", True)


def test_what_follows_two_dashes_is_the_programs_own() -> None:
    given = read(start, "a.py", "--", "--name", "n", "--", "-d", "")
    assert given.rest == ("--name", "n", "--", "-d", "")
    assert given.name is None
    assert not given.detach


def test_pairs_are_joined_and_two_calls_share_nothing() -> None:
    assert read(start, "a.py", "-e", "A=1", "--env", "B=x=y", "-e", "A=").env == {
        "A": "",
        "B": "x=y",
    }
    assert read(start, "a.py").env == {}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "entry"),
        (("a.py", "--nam", "x"), "did you mean '--name'"),
        (("a.py", "-e", "=1"), "'=1' is no NAME=VALUE"),
        (("a.py", "--name"), "--name"),
        (("a.py", "-v"), "-v comes before the command: fairing -v start"),
    ],
)
def test_a_fault_names_the_word_and_ends_with_2(
    words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        read(start, *words)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_a_misspelt_command_names_the_near_one(fairing: Fairing) -> None:
    done = fairing("bulid")
    assert done.returncode == 2
    assert "did you mean 'build'" in done.stderr
    assert fairing("-v").returncode == 2


def test_without_words_it_shows_all_commands(fairing: Fairing) -> None:
    done = fairing()
    assert done.returncode == 0
    assert "build     Puts a script" in done.stdout
    assert fairing("--version").stdout.startswith("fairing, version ")


def test_a_reader_that_has_had_enough_is_no_traceback(environ: dict[str, str]) -> None:
    program = "import sys; sys.argv = ['fairing', 'backends', '--json']\n"
    program += "from fairing_core.cli import main; main()"
    shell = f'"{sys.executable}" -c "{program}" | true'
    done = subprocess.run(
        shell, shell=True, env=environ, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""


def test_an_interrupt_while_it_is_imported_is_no_traceback(environ: dict[str, str]) -> None:
    program = (
        "import sys\n"
        "class Interrupted:\n"
        "    def find_spec(name, path=None, target=None):\n"
        "        if name == 'fairing_core.cli.runs': raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupted)\n"
        "from fairing_core.cli import main; main(['ps'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=environ, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (130, "")


def test_a_closed_stream_is_no_fault_of_the_command(environ: dict[str, str]) -> None:
    program = f'"{sys.executable}" -c "from fairing_core.cli import main; main()" backends'
    for line in (f"{program} 2>&-", f"{program} >&-"):
        done = subprocess.run(
            line, shell=True, env=environ, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, ""), line


def test_the_command_line_is_read_with_the_standard_library_alone() -> None:
    program = (
        "import sys; before = set(sys.modules); import fairing_core.cli.build, fairing_core.cli\n"
        "print(*{name.partition('.')[0] for name in set(sys.modules) - before})"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    extra = set(done.stdout.split()) - set(sys.stdlib_module_names) - {"fairing_core", "org"}
    assert not extra
    assert not {"inspect", "dataclasses", "pickle", "ssl"} & set(done.stdout.split())
