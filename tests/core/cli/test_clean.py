from __future__ import annotations

import json
from pathlib import Path

import pytest

from fairing_core import errors
from tests.core.cli.conftest import Fairing


@pytest.fixture
def ended(fairing: Fairing, environ: dict[str, str], tmp_path: Path) -> str:
    """The name of a run that has ended."""
    environ["FAIRING_CACHE"] = str(tmp_path / "cache")
    environ["FAIRING_ARTIFACTS"] = str(tmp_path / "artifacts")
    (tmp_path / "train.py").write_text("print('trained')\n")
    assert fairing("run", "train.py", "--name", "done").returncode == 0
    return "done"


def test_what_would_go_is_shown_and_stays(fairing: Fairing, ended: str) -> None:
    done = fairing("clean", "--older-than", "0s", "--dry-run")
    assert done.returncode == 0
    assert done.stdout.split("\t")[:2] == ["runs", ended]
    assert ended in fairing("ps").stdout


def test_what_is_old_goes(fairing: Fairing, ended: str) -> None:
    assert "nothing is that old" in fairing("clean", "--yes").stderr
    assert ended in fairing("ps").stdout
    done = fairing("clean", "runs", "--older-than", "0s", "--yes")
    assert (done.returncode, done.stderr) == (0, "removed 1 run\n")
    assert fairing("ps").stdout == ""


def test_json_has_every_field(fairing: Fairing, ended: str) -> None:
    (row,) = json.loads(fairing("clean", "--older-than", "0s", "-n", "--json").stdout)
    assert (row["kind"], row["name"]) == ("runs", ended)
    assert row["changed"] > 1e9


def test_without_a_terminal_it_wants_a_word(fairing: Fairing, ended: str) -> None:
    done = fairing("clean", "--older-than", "0s")
    assert done.returncode == 2
    assert "give --yes, or --dry-run" in done.stderr
    assert ended in fairing("ps").stdout


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["runz"], "there is no 'runz' to clean; did you mean 'runs'?"),
        (["--older-than", "soon"], "'soon' is no age; write 30m, 12h, 7d or 2w"),
    ],
)
def test_words_that_mean_nothing_are_refused(fairing: Fairing, words: list[str], says: str) -> None:
    done = fairing("clean", *words)
    assert done.returncode == 2
    assert says in done.stderr


def test_a_backend_that_can_not_be_asked_is_an_error(fairing: Fairing) -> None:
    done = fairing("clean", "runs", "-b", "kubernetes", "--yes")
    assert done.returncode == errors.NoCluster.exit_code
    assert "there is no kubeconfig" in done.stderr
