"""The demo gives what the README says that it gives."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
DIGITS = ROOT / "examples" / "digits"


def run(*command: str | Path, state: Path) -> subprocess.CompletedProcess[str]:
    """A command in the demo's folder, with its runs elsewhere; it has to succeed."""
    done = subprocess.run(
        command,
        cwd=DIGITS,
        env={**os.environ, "XDG_STATE_HOME": str(state)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done


def test_the_demo_gives_what_the_readme_shows(tmp_path: Path) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = re.search(r"\$ make demo\n(.*?)\$ make test", readme, re.DOTALL)
    assert shown is not None
    done = run(sys.executable, DIGITS / "train.py", state=tmp_path)
    assert done.stdout == shown[1]


def test_its_function_runs_from_the_command_line_as_its_own_readme_shows(tmp_path: Path) -> None:
    shown = re.search(r"^    fairing (run .*)$", (DIGITS / "README.md").read_text(), re.MULTILINE)
    assert shown is not None
    fairing = Path(sys.executable).with_name("fairing")
    done = run(fairing, *shown[1].split(), state=tmp_path)
    assert "returned {'strength': 1.0" in done.stderr
