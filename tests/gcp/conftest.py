from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fairing_gcp import GCSStore
from tests.bench.gcs import Buckets
from tests.bench.google import Google

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


@pytest.fixture
def key(gcp: Google, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """The key of an account."""
    from google.auth import credentials

    # It asks Google itself, in the background, whatever endpoint is set.
    lookup = "CredentialsWithRegionalAccessBoundary._is_regional_access_boundary_lookup_required"
    kind, _, name = lookup.partition(".")
    if hasattr(credentials, kind):
        monkeypatch.setattr(getattr(credentials, kind), name, lambda _: False, raising=False)

    def of(account: str = "writer") -> Path:
        return gcp.key(tmp_path / f"{account}.json", account)

    return of


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
