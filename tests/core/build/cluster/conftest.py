"""Builds in the bench's cluster, each test in a namespace of its own."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from fairing_core import errors
from fairing_core.build.cluster.builder import ClusterBuilder
from fairing_core.cluster.client import Cluster
from fairing_core.interfaces import Storage
from fairing_core.types import (
    BuildContext,
    BuildRequest,
    Built,
    Check,
    ContextFile,
    PodPatch,
    RegistryAccess,
)
from tests.bench.bases import Base
from tests.bench.kubernetes import client
from tests.bench.minio import Store
from tests.bench.registry import Registry
from tests.core.build.cluster.store import S3
from tests.core.build.conftest import Builds, context_of
from tests.core.build.harness import inline

PASSWORDS = ("wr0ng-6Tb1", "pusher-7Qm2", "reader-9Xt4")
"""What no log, error or object but a Secret may have."""

ENGINES = ("kaniko", "buildah")
MAIN = inline("/app/main.py", b"print('said')")


def own(base: str, *lines: str) -> ContextFile:
    """The user's own Dockerfile."""
    return inline("/Dockerfile", "\n".join([f"FROM {base}", *lines, ""]).encode())


def python(code: str) -> str:
    return f'RUN ["python3", "-c", "{code}"]'


@dataclass
class ClusterBuilds:
    """Builds as `TrainJob` does, in a namespace of the bench's cluster."""

    bench: client.Cluster
    build: Builds
    images: Mapping[str, str]
    config: Path
    storage: Storage | None = None
    patches: list[PodPatch] = field(default_factory=list)

    @property
    def cluster(self) -> Cluster:
        return Cluster(config_file=self.config, namespace=self.bench.namespace)

    def at(self, registry: Registry, user: str = "pusher", **more: Any) -> str:
        """Tells the builder how a registry of the bench is reached, and gives its name."""
        access = RegistryAccess(plain_http=registry.ca is None, ca=registry.ca, **more)
        self.build.access[registry.name] = access
        if registry.users and user:
            self.build.login(registry.name, user, registry.users[user])
        return f"{registry.name}/{registry.prefix}"

    def builder(self, engine: str = "kaniko", **options: Any) -> ClusterBuilder:
        defaults = {
            "engine": engine,
            "engine_image": self.images[engine],
            "image_name": "app",
            "start_timeout": 60,
            "timeout": 100,
        }
        return ClusterBuilder(self.cluster, **{**defaults, **options})

    def request(
        self, target: str, *files: ContextFile, base: str, context: BuildContext | None = None
    ) -> BuildRequest:
        return BuildRequest(
            context or context_of(*files),
            base_image=base,
            registry=target,
            registries=self.build.access,
            storage=lambda: self.storage,
            patches=lambda: self.patches,
            report=self.build.report,
        )

    def __call__(
        self,
        target: str,
        *files: ContextFile,
        base: str,
        context: BuildContext | None = None,
        **options: Any,
    ) -> Built:
        request = self.request(target, *files, base=base, context=context)
        builder = self.builder(**options)
        assert builder.supports(request) is None
        return builder.build(request)

    def foresee(
        self, target: str, *files: ContextFile, base: str, **options: Any
    ) -> tuple[Built, Sequence[Check]]:
        return self.builder(**options).foresee(self.request(target, *files, base=base))

    def fails(self, kind: str, target: str, *files: ContextFile, **more: Any) -> errors.BuildError:
        """The error of a build, which has to be of that kind and to leave nothing."""
        began = time.monotonic()
        with pytest.raises(errors.BuildError) as caught:
            self(target, *files, **more)
        error = caught.value
        said = f"{error}\n{error.tail}\n{self.build.events}"
        print(f"\n[{time.monotonic() - began:.1f} s] {error.kind}: {error}\n")  # noqa: T201
        assert error.kind == kind, said
        assert not any(password in said for password in PASSWORDS), said
        assert self.left() == []
        return error

    @property
    def log(self) -> str:
        lines = [str(told["line"]) for name, told in self.build.events if name == "build-log"]
        return "\n".join(lines)

    def told(self, name: str) -> list[Mapping[str, Any]]:
        return [fields for event, fields in self.build.events if event == name]

    def left(self, seconds: float = 20) -> list[str]:
        """What is there of builds, once the cluster has had the time to delete it."""
        until = time.monotonic() + seconds
        while found := self.there():
            if time.monotonic() > until:
                return found
            time.sleep(0.3)
        return []

    def there(self) -> list[str]:
        """What is there of builds now."""
        kinds = "jobs,pods,secrets"
        told = self.bench.kubectl(
            "get", kinds, "--selector=app.kubernetes.io/managed-by=fairing", "--output=name"
        )
        return told.split()

    def runs(
        self, built: Built, *, container: Mapping[str, Any] | None = None, **spec: Any
    ) -> tuple[int, str]:
        """The exit code and the output of a pod that runs an image as it is."""
        name = f"runs-{time.monotonic_ns()}"
        own = {"imagePullPolicy": "Always", **(container or {})}
        pod = self.bench.pod(name, image=built.image, container=own, **spec)
        del pod["spec"]["containers"][0]["command"]
        self.bench.apply(pod)
        self.bench.until(name, ("Succeeded", "Failed"))
        status = self.bench.get("pod", name)["status"]
        log = self.bench.kubectl("logs", name)
        self.bench.kubectl("delete", "pod", name, "--wait=false")
        return status["containerStatuses"][0]["state"]["terminated"]["exitCode"], log

    def objects(self, *kinds: str) -> list[dict[str, Any]]:
        found = self.bench.kubectl("get", ",".join(kinds), "--output=json")
        items: list[dict[str, Any]] = json.loads(found)["items"]
        return items


@pytest.fixture
def builds(
    cluster: client.Cluster, build: Builds, kaniko_image: str, buildah_image: str
) -> ClusterBuilds:
    images = {"kaniko": kaniko_image, "buildah": buildah_image}
    return ClusterBuilds(cluster, build, images, cluster.admin)


@pytest.fixture
def s3(minio: Store, prefix: str) -> S3:
    """A bucket of the test's own, which pods may read."""
    minio.client().create_bucket(Bucket=prefix)
    reader = minio.user("s3:GetObject", "s3:ListBucket", on=[prefix, f"{prefix}/*"])
    return S3(minio, reader, prefix)


@pytest.fixture
def base(base_python: Base, cluster_registry: Registry) -> str:
    return base_python.at(cluster_registry)
