"""Runs on the bench's cluster, and an API server that does as it is told."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from fairing_core.cluster.client import Cluster
from fairing_core.cluster.handle import JobRun
from fairing_core.cluster.runs import ClusterRuns
from fairing_core.deploy.job import JobDeployer
from fairing_core.types import DeployRequest
from tests.bench.bases import Base
from tests.bench.kubernetes import client
from tests.bench.registry import Registry
from tests.core.cluster.api import Api

ROLE = Path(__file__).parents[3] / "examples" / "cluster" / "role.yaml"


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    """An API server on loopback."""
    api = Api(tmp_path)
    yield api
    api.close()


@pytest.fixture
def there(api: Api) -> Cluster:
    """What leads to it."""
    return Cluster(config_file=api.config)


@dataclass
class Lab:
    """A namespace of the bench's cluster, an image with Python, and short ways to runs."""

    bench: client.Cluster
    image: str
    user_image: str
    config: Path

    @property
    def namespace(self) -> str:
        return self.bench.namespace

    @property
    def cluster(self) -> Cluster:
        return Cluster(config_file=self.config, namespace=self.namespace)

    @property
    def runs(self) -> ClusterRuns:
        return ClusterRuns(self.cluster)

    def submit(
        self, code: str, *, deployer: JobDeployer | None = None, mutators: Any = (), **more: Any
    ) -> JobRun:
        """Runs `code`; what `more` says beyond a request's fields are the deployer's options."""
        fields = {key: more.pop(key) for key in ("uid", "gid", "returns", "patches") if key in more}
        request = DeployRequest(
            more.pop("image", self.image),
            ("python3", "-c", code),
            workdir="/tmp",
            name=more.pop("name", f"run-{secrets.token_hex(4)}"),
            **fields,
        )
        options: Mapping[str, Any] = {"ttl": 600, **more}
        deployer = deployer or JobDeployer(self.cluster, **options)
        return deployer.submit(deployer.render(request), mutators)


@pytest.fixture
def lab(
    cluster: client.Cluster, base_python: Base, base_user: Base, cluster_registry: Registry
) -> Lab:
    image = base_python.at(cluster_registry)
    return Lab(cluster, image, base_user.at(cluster_registry), cluster.admin)


@pytest.fixture
def project(
    tmp_path: Path, lab: Lab, cluster_registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A folder of a user's, with settings that lead to the bench's cluster."""
    text = (
        f"[tool.fairing]\nbase_image = '{lab.image}'\n"
        f"registry = '{cluster_registry.name}/{cluster_registry.prefix}'\n"
        f"[tool.fairing.registries.'{cluster_registry.name}']\nplain_http = true\n"
        f"[tool.fairing.backends.kubernetes]\nnamespace = '{lab.namespace}'\n"
    )
    (tmp_path / "pyproject.toml").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KUBECONFIG", str(lab.config))
    monkeypatch.setenv("FAIRING_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("FAIRING_ARTIFACTS", str(tmp_path / "artifacts"))
    monkeypatch.setenv("PYTHONPATH", os.fspath(Path(__file__).parents[3]))
    return tmp_path


class Wire:
    """A way to the API server that can be cut, for a while or for a moment."""

    def __init__(self, server: str, config: Path, folder: Path) -> None:
        there = urlsplit(server)
        self._there = (str(there.hostname), there.port or 443)
        self._open: list[socket.socket] = []
        self._is_cut = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.config = folder / "by-wire"
        content = json.loads(config.read_text())
        place = content["clusters"][0]["cluster"]
        place["server"] = f"https://127.0.0.1:{self._listener.getsockname()[1]}"
        place["tls-server-name"] = str(there.hostname)
        self.config.write_text(json.dumps(content), encoding="utf-8")
        threading.Thread(target=self._serve, daemon=True).start()

    def cut(self) -> None:
        """Ends all connections, and takes no new ones."""
        self._is_cut = True
        self.break_off()

    def mend(self) -> None:
        """Takes new ones again."""
        self._is_cut = False

    def break_off(self) -> None:
        """Ends all connections."""
        ended, self._open = self._open, []
        for end in ended:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.cut()
        self._listener.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                if self._is_cut:
                    near.close()
                    continue
                far = socket.create_connection(self._there)
                self._open += [near, far]
                for source, target in ((near, far), (far, near)):
                    threading.Thread(target=_carry, args=(source, target), daemon=True).start()


def _carry(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError), source, target:
        while data := source.recv(1 << 16):
            target.sendall(data)


@pytest.fixture
def wire(lab: Lab, tmp_path: Path) -> Iterator[Wire]:
    """A way to the bench's API server that can be cut."""
    wire = Wire(lab.cluster.server, lab.config, tmp_path)
    yield wire
    wire.close()


def as_somebody(lab: Lab, tmp_path: Path, **less: str) -> Lab:
    """The lab of a service account that has the Role, less one verb."""
    import yaml

    role = yaml.safe_load(ROLE.read_text())
    for rule in role["rules"]:
        for resource, verb in less.items():
            if rule["resources"] == [resource.replace("_", "/")]:
                rule["verbs"].remove(verb)
    role["rules"] = [rule for rule in role["rules"] if rule["verbs"]]
    role["metadata"]["namespace"] = lab.namespace
    lab.bench.apply(role)
    lab.bench.kubectl("create", "serviceaccount", "somebody")
    subject = f"--serviceaccount={lab.namespace}:somebody"
    lab.bench.kubectl("create", "rolebinding", "fairing", "--role=fairing", subject)
    config = lab.bench.kubeconfig("somebody", tmp_path / "somebody")
    return Lab(lab.bench, lab.image, lab.user_image, config)
