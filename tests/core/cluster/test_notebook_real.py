"""Notebooks that submit themselves to a real cluster, from a real Jupyter Server."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fairing_core import list_runs
from tests.bench.browser import CONTROL, Browser
from tests.bench.registry import Registry
from tests.core.cluster.conftest import Lab
from tests.core.preprocess.notebooks.jupyter import BASE_URL, LAB, PLAIN, Jupyter

pytestmark = [
    pytest.mark.real,
    pytest.mark.timeout(240),
    pytest.mark.skipif(
        sys.version_info[:2] != (3, 11), reason="the bench's base has Python 3.11: use that one"
    ),
]

SET_UP = """import fairing_core as fairing
fairing.config.set_preprocessor('notebook')
fairing.config.set_builder('append', base_image={base!r}, registry={registry!r})
fairing.config.set_deployer('job', namespace={namespace!r})"""
TRAIN = "%env WHO=Ada\nimport os\nprint('trained at', rate, 'in', os.path.isdir('/app'))"
RUN = "fairing.config.run()"
SECONDS = 120.0
STATUS = "#jp-main-statusbar"


@pytest.fixture
def cells(lab: Lab, cluster_registry: Registry) -> list[str]:
    registry = f"{cluster_registry.name}/{cluster_registry.prefix}"
    head = SET_UP.format(base=lab.image, registry=registry, namespace=lab.namespace)
    return [head, "rate = 0.1", TRAIN, RUN]


@pytest.fixture
def jupyter(
    request: pytest.FixtureRequest, project: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Jupyter]:
    """A server in a user's folder; its program is the test's parameter."""
    server = Jupyter(project, tmp_path_factory.mktemp("home"), program=request.param)
    server.start()
    yield server
    server.stop()


@pytest.mark.parametrize("jupyter", [PLAIN], indirect=True)
def test_a_notebook_submits_itself_twice_and_the_second_run_has_the_edit(
    jupyter: Jupyter, cells: list[str], lab: Lab
) -> None:
    jupyter.save("deep/train.ipynb", *cells)
    kernel = jupyter.open("deep/train.ipynb")
    kernel.run(cells[0])
    first = kernel.run(RUN, seconds=SECONDS)
    assert "trained at 0.1 in True\n" in first
    assert "saved last" not in first

    cells[1] = "rate = 0.2"
    kernel.run(cells[1])
    forgotten = kernel.run(RUN, seconds=SECONDS)
    assert "trained at 0.1 in True\n" in forgotten
    assert "train.ipynb was saved last at " in forgotten

    jupyter.save("deep/train.ipynb", *cells)
    second = kernel.run(RUN, seconds=SECONDS)
    assert "trained at 0.2 in True\n" in second
    assert "saved last" not in second
    assert len(list_runs(backend="kubernetes")) == 3
    images = {
        job["spec"]["template"]["spec"]["containers"][0]["image"]
        for job in json.loads(lab.bench.kubectl("get", "jobs", "-o", "json"))["items"]
    }
    assert len(images) == 2
    assert sorted(path.name for path in (jupyter.root / "deep").glob("[!.]*")) == ["train.ipynb"]


@pytest.mark.parametrize("jupyter", [LAB], indirect=True)
def test_in_a_browser_all_cells_are_run_edited_saved_and_run_again(
    jupyter: Jupyter, cells: list[str], browser: Browser
) -> None:
    jupyter.save("train.ipynb", *cells)
    browser.open(
        f"http://127.0.0.1:{jupyter.port}{BASE_URL}lab/tree/train.ipynb?token={jupyter.token}"
    )
    browser.wait_for("| Idle", STATUS)
    browser.click(".jp-Notebook .jp-CodeCell:nth-of-type(2) .cm-content")
    run_all(browser)
    browser.wait_for("trained at 0.1 in True", ".jp-Notebook", seconds=SECONDS)
    browser.wait_for("| Idle", STATUS, seconds=SECONDS)

    browser.click(".jp-Notebook .jp-CodeCell:nth-of-type(2) .cm-content")
    browser.type(CONTROL + "a")
    browser.type("rate = 0.2")
    browser.type(CONTROL + "s")
    run_all(browser)
    second = browser.wait_for("trained at 0.2 in True", ".jp-Notebook", seconds=SECONDS)
    browser.wait_for("| Idle", STATUS, seconds=SECONDS)
    assert "trained at 0.1" not in second
    assert "saved last" not in second
    assert len(list_runs(backend="kubernetes")) == 2


def run_all(browser: Browser) -> None:
    browser.click(".lm-MenuBar-item:nth-child(4)")  # Run
    browser.click(".lm-Menu-item[data-command='runmenu:run-all']")
