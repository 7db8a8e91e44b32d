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
KANIKO = Binary(
    name="kaniko",
    module="github.com/GoogleContainerTools/kaniko",
    version="v1.24.0",
    package="cmd/executor",
    ldflags="-X github.com/GoogleContainerTools/kaniko/pkg/version.version=v1.24.0",
)
# Its tags are no versions of Go's, so a commit is named.
MINIO = Binary(
    name="minio",
    module="github.com/minio/minio",
    version="v0.0.0-20260212201848-7aac2a2c5b7c",
)
FAKE_GCS = Binary(
    name="fake-gcs-server",
    module="github.com/fsouza/fake-gcs-server",
    version="v1.56.1",
)
