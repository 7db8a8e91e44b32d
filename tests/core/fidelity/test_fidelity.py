"""In process and on this machine: the same, but for what is listed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.core.fidelity import columns
from tests.core.fidelity.differences import DIFFERENCES, compared
from tests.core.fidelity.page import PAGE, page
from tests.core.fidelity.scenarios import SCENARIOS, Scenario


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda one: one.name)
def test_a_run_on_this_machine_does_what_it_does_in_process(
    scenario: Scenario, project: Path, work: Any, tmp_path: Path
) -> None:
    reference = columns.in_process(scenario, project)
    run = columns.submitted(
        scenario, project, work, backend="local", backend_options={"root": str(tmp_path / "runs")}
    )
    found = columns.seen(scenario, run, tmp_path / "runs" / run.name / "app")
    run.delete()
    assert compared("local", scenario, reference, found) == []


def test_every_listed_difference_is_looked_at() -> None:
    told = {(one.kind, row) for one in SCENARIOS for row in one.reading.rows}
    listed = {(kind, row) for one in DIFFERENCES for kind in one.kinds for row in one.rows}
    assert listed - told == set()


def test_the_page_has_what_is_compared_and_what_differs() -> None:
    text = PAGE.read_text("utf-8")
    assert page(text) == text, "python -m tests.core.fidelity writes it anew"
