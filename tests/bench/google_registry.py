"""A registry that takes Google's access tokens, as Artifact Registry does."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from tests.bench import google, registry
from tests.bench.bench import Bench, write
from tests.bench.kubernetes import cluster, runtime
from tests.bench.part import Part
from tests.bench.registry import Variant

# Not one of registry.VARIANTS: images are made for those, and nothing of Google's needs them here.
VARIANT = Variant(part="registry-google", auth="token", inside=True, google=True)

_PART = registry.part(VARIANT)


def _start(bench: Bench, name: str) -> None:
    _PART.start(bench, name)
    there = VARIANT.at(bench)
    hosts = cluster.place(bench).hosts / there.node_name / "hosts.toml"  # read at each pull
    write(hosts, runtime.registry_hosts(there.node_url, there.ca))


def _environment(bench: Bench) -> Mapping[str, str]:
    return _PART.environment(bench)


REGISTRY: Part = dataclasses.replace(
    _PART,
    about="distribution v3.1.2, TLS and Google's access tokens, for clients and the cluster",
    start=_start,
    environment=_environment,
    needs=(*_PART.needs, google.PART, cluster.PART),
)
