from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fairing_gcp import GCSStore
from tests.bench.gcs import Buckets
from tests.bench.google import Google, Mint
from tests.gcp.storage_server import QuickMint, StorageServer

Make = Callable[..., GCSStore]


@pytest.fixture(autouse=True)
def _nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No login but the test's own, and no machine of Google's."""
    for name in (
        *("GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_CLOUD_PROJECT", "GCLOUD_PROJECT"),
        *("STORAGE_EMULATOR_HOST", "CLOUDSDK_COMPUTE_REGION", "GOOGLE_CLOUD_REGION"),
        *("GOOGLE_CLOUD_LOCATION", "GCE_METADATA_HOST", "GCE_METADATA_ROOT"),
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path / "no-gcloud"))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")  # gcloud is asked for its project otherwise
    monkeypatch.setenv("NO_GCE_CHECK", "true")  # read once, when google-auth is imported
    monkeypatch.setenv("REGISTRY_AUTH_FILE", "/dev/null")
    monkeypatch.setenv("FAIRING_CACHE", str(tmp_path / "cache"))


@pytest.fixture(autouse=True)
def _no_lookup(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is asked of Google but what a test asks."""
    from google.auth import credentials

    # It asks Google itself, in the background, whatever endpoint is set.
    lookup = "CredentialsWithRegionalAccessBoundary._is_regional_access_boundary_lookup_required"
    kind, _, name = lookup.partition(".")
    if hasattr(credentials, kind):
        monkeypatch.setattr(getattr(credentials, kind), name, lambda _: False, raising=False)


@pytest.fixture
def key(gcp: Google, tmp_path: Path) -> Callable[..., Path]:
    """The key of an account."""

    def of(account: str = "writer") -> Path:
        return gcp.key(tmp_path / f"{account}.json", account)

    return of


@pytest.fixture(scope="session")
def mint(tmp_path_factory: pytest.TempPathFactory) -> Mint:
    """What makes tokens without the bench; its key takes a while."""
    made = QuickMint(tmp_path_factory.mktemp("mint"))
    made.prepare()
    return made


@pytest.fixture
def cloud(mint: Mint, tmp_path: Path) -> Iterator[StorageServer]:
    """Cloud Storage, tokens, IAM and Artifact Registry in this process; it has a bucket `lab`."""
    server = StorageServer(tmp_path, mint)
    server.buckets["lab"] = {}
    yield server
    server.close()


@pytest.fixture
def by(cloud: StorageServer) -> Make:
    """The store in this process as an account that may all, or with other settings."""

    def made(account: str = "writer", **settings: Any) -> GCSStore:
        usual: dict[str, Any] = {
            "bucket": "lab",
            "endpoint_url": cloud.url,
            "credentials_file": cloud.key(account),
        }
        return GCSStore(**{**usual, **settings})

    return made


@pytest.fixture
def bucket(gcs: Buckets, prefix: str) -> Iterator[str]:
    """A bucket of the test's own."""
    gcs.make(prefix)
    yield prefix
    gcs.drop(prefix)


@pytest.fixture
def at(gcs: Buckets, bucket: str, key: Callable[..., Path]) -> Make:
    """The store as an account that may all, or with other settings."""

    def made(account: str = "writer", **settings: Any) -> GCSStore:
        usual: dict[str, Any] = {
            "bucket": bucket,
            "endpoint_url": gcs.url,
            "pod_endpoint_url": gcs.pod_url,
            "credentials_file": key(account),
        }
        return GCSStore(**{**usual, **settings})

    return made
