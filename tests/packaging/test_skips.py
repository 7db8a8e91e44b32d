"""In CI a skip is a failure; elsewhere it is a skip."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

SKIPS = {
    "a test": "import pytest\ndef test_it(): pytest.skip('no such thing here')\n",
    "a module": "import pytest\npytest.skip('not here', allow_module_level=True)\n",
    "a mark": "import pytest\n@pytest.mark.skipif(True, reason='no')\ndef test_it(): ...\n",
}


def run(folder: Path, source: str, **environ: str) -> subprocess.CompletedProcess[str]:
    shutil.copy(ROOT / "tests" / "conftest.py", folder)
    (folder / "test_skipping.py").write_text(f"{source}\n")
    (folder / "test_passing.py").write_text("def test_that_passes(): ...\n")
    (folder / "pytest.ini").write_text("[pytest]\n")
    kept = {key: value for key, value in os.environ.items() if key != "CI"}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "."],
        cwd=folder,
        env={**kept, **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("source", SKIPS.values(), ids=SKIPS)
def test_a_skip_fails_in_ci_and_is_named(source: str, tmp_path: Path) -> None:
    done = run(tmp_path, source, CI="true")
    assert done.returncode == 1, done.stdout
    assert "so these skips are failures: test_skipping.py" in done.stdout


@pytest.mark.parametrize("source", SKIPS.values(), ids=SKIPS)
def test_a_skip_is_no_failure_elsewhere(source: str, tmp_path: Path) -> None:
    assert run(tmp_path, source).returncode == 0


def test_an_expected_failure_is_no_skip(tmp_path: Path) -> None:
    source = "import pytest\n@pytest.mark.xfail\ndef test_it(): assert False\n"
    assert run(tmp_path, source, CI="true").returncode == 0
