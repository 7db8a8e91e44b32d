"""The project of a user's, and the place that it is submitted from."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.core.cluster.conftest import lab
from tests.core.fidelity import columns, programs

__all__ = ["lab"]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project's folder, which is the working directory, in a plain image's environment."""
    folder = tmp_path / "project"
    folder.mkdir()
    programs.write(folder)
    monkeypatch.chdir(folder)
    for name in list(os.environ):
        if name.startswith(("FAIRING_", "LC_", "PYTHON")):
            monkeypatch.delenv(name)
    for name, value in columns.surroundings().items():
        monkeypatch.setenv(name, value)
    return folder


@pytest.fixture
def work(project: Path) -> Iterator[Any]:
    """The module that has the functions."""
    with columns.imported(project) as module:
        yield module
