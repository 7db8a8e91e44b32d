from __future__ import annotations

from pathlib import Path

from tests.core.cli.conftest import Fairing
from tests.core.cluster.api import Api


def test_what_could_not_be_looked_at_is_no_fault(
    fairing: Fairing, environ: dict[str, str], tmp_path: Path
) -> None:
    api = Api(tmp_path)
    environ["KUBECONFIG"] = str(api.config)
    done = fairing("doctor", "-b", "onprem")
    api.close()
    rows = [line.split("\t")[:2] for line in done.stdout.splitlines()]
    assert ["?", "store"] in rows
    assert ["?", "registry"] in rows
    assert done.returncode == 0
