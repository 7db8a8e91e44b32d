"""Runs on the bench's cluster, from ECR, whose registry takes tokens only."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from fairing_core.testing import BackendConformance
from tests.aws.conftest import ECR, As
from tests.bench.aws import Aws
from tests.bench.bases import Base
from tests.bench.kubernetes.client import Cluster

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(
        sys.version_info[:2] != (3, 11), reason="the bench's base has Python 3.11: use that one"
    ),
]


class TestAWS(BackendConformance):
    backend = "aws"
    timeout = 90.0
    options: Mapping[str, Any]  # type: ignore[misc]

    @pytest.fixture(autouse=True)
    def _on_the_bench(
        self,
        settings: dict[str, Any],
        cluster: Cluster,
        aws: Aws,
        base_python: Base,
        log_in: As,
        prefix: str,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        log_in(*ECR)
        monkeypatch.setenv("FAIRING_ARTIFACTS", str(tmp_path / "artifacts"))
        self.options = {
            key: str(value) if isinstance(value, Path) else value for key, value in settings.items()
        } | {
            "kubeconfig": str(cluster.admin),
            "namespace": cluster.namespace,
            "image_registry": f"{aws.registry.name}/{prefix}",
            "base_image": base_python.at(aws.registry),
            "make_pull_secret": True,
        }
        for name, value in self.options.items():  # what other processes find runs by
            if name not in ("make_pull_secret", "base_image"):
                monkeypatch.setenv(f"FAIRING_AWS__{name.upper()}", value)
