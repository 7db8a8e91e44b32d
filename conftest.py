"""Fixtures that every test may ask for: the parts of the bench."""

from __future__ import annotations

pytest_plugins = ["tests.bench.fixtures", "tests.bench.kubernetes.fixtures"]
