"""Binaries that more than one part or test calls."""

from __future__ import annotations

from tests.bench.binaries import Binary

CRANE = Binary(
    name="crane",
    module="github.com/google/go-containerregistry",
    version="v0.22.1",
    package="cmd/crane",
)
REGISTRY = Binary(
    name="registry",
    module="github.com/distribution/distribution/v3",
    version="v3.1.2",
    package="cmd/registry",
)
