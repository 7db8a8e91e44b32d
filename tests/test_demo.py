"""The demo gives what the README says that it gives."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_the_demo_gives_what_the_readme_shows(tmp_path: Path) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = re.search(r"\$ make demo\n(.*?)\$ make test", readme, re.DOTALL)
    assert shown is not None
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / "digits" / "train.py"],
        env={**os.environ, "XDG_STATE_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == shown[1]


def test_its_function_runs_from_the_command_line_as_its_own_readme_shows(tmp_path: Path) -> None:
    folder = ROOT / "examples" / "digits"
    shown = re.search(r"^    fairing (run .*)$", (folder / "README.md").read_text(), re.MULTILINE)
    assert shown is not None
    done = subprocess.run(
        [Path(sys.executable).with_name("fairing"), *shown[1].split()],
        cwd=folder,
        env={**os.environ, "XDG_STATE_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "returned {'strength': 1.0" in done.stderr
