"""base/pip: base/python, in which pip installs wheels."""

from __future__ import annotations

import base64
import json

from tests.bench import tiny
from tests.bench.bases import Base
from tests.bench.judges import Judges
from tests.bench.kubernetes.client import Cluster
from tests.bench.registry import Registry

INSTALL = f"python3 -m pip install --quiet --no-index --no-cache-dir /wheels/{tiny.WHEEL}"


def test_a_pod_installs_a_local_wheel(
    cluster: Cluster, cluster_registry: Registry, base_pip: Base
) -> None:
    cluster.apply(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "wheels", "namespace": cluster.namespace},
            "binaryData": {tiny.WHEEL: base64.b64encode(tiny.wheel()).decode()},
        }
    )
    pod = cluster.pod(
        "installs",
        *("sh", "-c", f"{INSTALL} 2>/dev/null && python3 -m tiny"),
        image=base_pip.at(cluster_registry),
        container={"volumeMounts": [{"name": "wheels", "mountPath": "/wheels"}]},
        volumes=[{"name": "wheels", "configMap": {"name": "wheels"}}],
    )
    assert cluster.run(pod) == f"{tiny.SAYS}\n"


def test_it_shares_the_layers_of_python(
    plain_registry: Registry, judges: Judges, base_python: Base, base_pip: Base
) -> None:
    def layers(base: Base) -> list[str]:
        told = json.loads(judges.crane(plain_registry, "manifest", base.at(plain_registry)))
        return [layer["digest"] for layer in told["layers"]]

    judges.crane(plain_registry, "validate", "--remote", base_pip.at(plain_registry))
    assert layers(base_pip)[:-1] == layers(base_python)


def test_registries_with_passwords_have_it_too(
    basic_registry: Registry, judges: Judges, base_pip: Base
) -> None:
    at = base_pip.at(basic_registry)
    assert judges.crane(basic_registry, "digest", at, user="reader") == base_pip.digest
