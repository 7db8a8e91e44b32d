"""A registry that takes Google's access tokens, as Artifact Registry does."""

from __future__ import annotations

import dataclasses

from tests.bench import base_pip, bases, google, registry
from tests.bench.bench import Bench, write
from tests.bench.kubernetes import cluster, runtime
from tests.bench.part import Part
from tests.bench.registry import Variant

# Not one of registry.VARIANTS, which clusters know of from their start.
VARIANT = Variant(part="registry-google", auth="token", inside=True, google=True)

_PART = registry.part(VARIANT)
_LAYOUTS = tuple(
    dataclasses.replace(each, variants=(VARIANT,)) for each in (bases.LAYOUT, base_pip.LAYOUT)
)


def _start(bench: Bench, name: str) -> None:
    _PART.start(bench, name)
    for layout in _LAYOUTS:
        layout.start(bench, name)
    there = VARIANT.at(bench)
    hosts = cluster.place(bench).hosts / there.node_name / "hosts.toml"  # read at each pull
    write(hosts, runtime.registry_hosts(there.node_url, there.ca))


def _ready(bench: Bench, name: str) -> str | None:
    answers = (layout.ready(bench, name) for layout in _LAYOUTS)
    return _PART.ready(bench, name) or next(filter(None, answers), None)


REGISTRY: Part = dataclasses.replace(
    _PART,
    about="distribution v3.1.2, TLS and Google's access tokens, for clients and the cluster",
    start=_start,
    ready=_ready,
    needs=(*_PART.needs, google.PART, cluster.PART, base_pip.PART),
)
