from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.core.local.harness import Local


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Local]:
    """A backend over an empty root; what still runs at the end of the test is stopped."""
    home = Local(tmp_path / "runs", grace=5.0)
    yield home
    for run in home.runs.list():
        run.delete()
