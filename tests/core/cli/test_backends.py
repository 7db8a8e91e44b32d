"""With the plugins of this repository that are installed; tests/packaging has broken ones."""

from __future__ import annotations

import json

from fairing_core import errors
from tests.core.cli.conftest import Fairing


def test_backends_lists_cores_and_the_installed_ones(fairing: Fairing) -> None:
    rows = [line.split("\t") for line in fairing("backends").stdout.splitlines()]
    assert ["local", "installed", "fairing-core", ""] in rows
    assert {"kubernetes", "local"} <= {row[0] for row in rows}


def test_check_loads_each_and_says_what_it_offers(fairing: Fairing) -> None:
    done = fairing("backends", "--check", "--json")
    assert done.returncode == 0, done.stderr
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    assert rows["local"]["offers"] == "backend local"
    of_clusters = {name for name, row in rows.items() if row["state"] == "not ready"}
    assert of_clusters == {"kubernetes", "aws", "gcp", "onprem"} & set(rows)
    assert "there is no kubeconfig at" in done.stderr
    assert {row["state"] for name, row in rows.items() if name not in of_clusters} == {"ok"}


def test_a_backend_whose_settings_do_not_fit_fails_the_check(
    fairing: Fairing, environ: dict[str, str]
) -> None:
    environ["FAIRING_LOCAL__TTL"] = "soon"
    done = fairing("backends", "--check")
    assert done.returncode == errors.PluginError.exit_code
    assert "FAIRING_LOCAL__TTL: 'soon' is no int" in done.stderr
