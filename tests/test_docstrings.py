"""The examples in docstrings are true."""

from __future__ import annotations

import doctest
import importlib.util
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGES = ("fairing_core", "fairing_aws", "fairing_gcp", "fairing_onprem")


def examples() -> Iterator[doctest.DocTest]:
    """Each docstring with an example, as if it were typed at a prompt."""
    finder = doctest.DocTestFinder(exclude_empty=True)
    for package in PACKAGES:
        if importlib.util.find_spec(package) is None:
            continue  # core is tested alone, too
        paths = importlib.import_module(package).__path__
        for module in pkgutil.walk_packages(paths, f"{package}."):
            found = importlib.import_module(module.name)
            known = {**vars(found), "__name__": "__main__"}
            yield from (each for each in finder.find(found, globs=known) if each.examples)


@pytest.mark.parametrize("example", [pytest.param(each, id=each.name) for each in examples()])
def test_an_example_is_true(
    example: doctest.DocTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert doctest.DocTestRunner().run(example).failed == 0
