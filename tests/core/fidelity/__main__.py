"""Writes the tables of docs/fidelity.md: ``python -m tests.core.fidelity``."""

from __future__ import annotations

from tests.core.fidelity.page import PAGE, page

PAGE.write_text(page(PAGE.read_text("utf-8")), "utf-8")
