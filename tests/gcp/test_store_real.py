"""The store, against a Cloud Storage: what it gives, and each way in which it refuses."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fairing_core import errors
from fairing_core.testing import StorageConformance
from fairing_gcp import GCSContextSource, GCSStore, guess_project_name
from fairing_gcp._sdk import Google
from fairing_gcp.login import Login
from tests.bench.gcs import Buckets
from tests.bench.google import PROJECT, email
from tests.gcp.acts import all_of, digest, put, refused
from tests.gcp.conftest import Make


class TestCloudStorage(StorageConformance):
    @pytest.fixture(autouse=True)
    def _at(self, at: Make, gcs: Buckets) -> None:
        self.at = at
        self.secrets = (gcs.google.mint.key,)  # type: ignore[misc]

    def make(self) -> GCSStore:
        return self.at()


class TestEmulatorOfTheEnvironment(StorageConformance):
    @pytest.fixture(autouse=True)
    def _at(self, gcs: Buckets, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs.pod_url)
        self.bucket = bucket

    def make(self) -> GCSStore:
        return GCSStore(bucket=self.bucket)


# --- refusals -------------------------------------------------------------------------------------


def test_no_credentials_at_all(at: Make, gcs: Buckets, bucket: str) -> None:
    for act in all_of(at(credentials_file=None)):
        refused(errors.StorageDenied, act, "there are no Google credentials here", "gcloud auth")
    assert gcs.keys(bucket) == []


def test_a_file_that_is_no_key(at: Make, tmp_path: Path) -> None:
    file = tmp_path / "odd.json"
    for content in ("s3cr3t", "{}", '{"type": "service_account", "private_key": "s3cr3t"}', "[]"):
        file.write_text(content)
        error = refused(
            errors.StorageDenied, lambda: put(at(credentials_file=file), b"held"), str(file)
        )
        assert "s3cr3t" not in str(error) + repr(error.__cause__)
    refused(
        errors.StorageDenied,
        lambda: put(at(credentials_file=tmp_path / "none.json"), b"held"),
        "none.json' can't be read: No such file",
    )


def test_a_key_that_was_revoked(at: Make, gcs: Buckets, bucket: str) -> None:
    for act in all_of(at("revoked")):
        refused(errors.StorageDenied, act, "revoked.json", "invalid_grant", "take a new key")
    assert gcs.keys(bucket) == []


def test_a_token_that_has_expired(at: Make, gcs: Buckets, bucket: str) -> None:
    for act in all_of(at("expired")):
        error = refused(errors.StorageDenied, act, "expired.json", "has expired or been revoked")
        assert error.status == 401
    assert gcs.keys(bucket) == []


def test_an_account_without_the_right(at: Make, gcs: Buckets, bucket: str) -> None:
    for act in all_of(at("nobody")):
        error = refused(
            errors.StorageDenied, act, "add-iam-policy-binding gs://", email("nobody"), "objectUser"
        )
        assert error.status == 403
    put(at(), b"held")
    reader = at("reader")
    with reader.open(reader.url("a")) as stream:
        assert stream.read() == b"held"
    refused(errors.StorageDenied, lambda: put(reader, b"more", "b"), "reader@")
    large = b"x" * (9 << 20)
    refused(errors.StorageDenied, lambda: put(reader, large, "b"), "reader@")
    assert gcs.keys(bucket) == ["fairing/a"]


def test_a_bucket_that_is_not_there(at: Make, prefix: str) -> None:
    store = at(bucket=f"{prefix}-none")
    says = (f"there is no bucket '{prefix}-none'", "create_bucket=True")
    refused(errors.StoredObjectNotFound, lambda: put(store, b"held"), *says)
    refused(errors.StoredObjectNotFound, lambda: put(store, b"x" * (9 << 20)), *says)
    refused(errors.StoredObjectNotFound, lambda: list(store.list("")), *says)


def test_a_bucket_is_made_where_that_is_wanted(at: Make, gcs: Buckets, prefix: str) -> None:
    name = f"{prefix}-made"
    store = at(bucket=name, create_bucket=True, project=PROJECT)
    assert list(store.list("")) == []
    assert store.stat(store.url("a")) is None
    put(store, b"held")
    assert gcs.keys(name) == ["fairing/a"]
    gcs.drop(name)


def test_a_bucket_of_another_project_is_not_made(at: Make, gcs: Buckets, prefix: str) -> None:
    store = at(bucket=f"{prefix}-made", create_bucket=True, project="elsewhere")
    refused(
        errors.StorageDenied,
        lambda: put(store, b"held"),
        "can't make the bucket",
        "the project is another: project=",
    )
    assert gcs.ask("GET", f"/storage/v1/b/{prefix}-made")[0] == 404


def test_nobody_answers(at: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fairing_gcp._sdk._PATIENCE", 1.0)
    store = at(endpoint_url="http://127.0.0.1:9")
    refused(errors.StorageUnreachable, lambda: store.stat(store.url("a")), "endpoint_url")


class Late(io.BytesIO):
    """A content during whose sending something happens."""

    def __init__(self, content: bytes, then: Callable[[], object]) -> None:
        super().__init__(content)
        self.then: Callable[[], object] | None = then

    def read(self, size: int | None = -1, /) -> bytes:
        if self.then is not None:
            then, self.then = self.then, None
            then()
        return super().read(size)


@pytest.mark.parametrize("size", [4, 9 << 20])
def test_another_writer_who_was_first_is_not_overwritten(
    size: int, at: Make, gcs: Buckets, bucket: str
) -> None:
    content = b"x" * size
    store = at()

    def other() -> None:
        gcs.write(bucket, "fairing/a", b"another's")

    error = refused(
        errors.StorageError,
        lambda: store.put("a", Late(content, other), size=size, digest=digest(content)),
        "somebody else wrote another content",
        "theirs was left",
    )
    assert (error.status, error.code) == (412, "conditionNotMet")
    with store.open(store.url("a")) as stream:
        assert stream.read() == b"another's"
    assert put(store, content).size == size  # the next try is on top of it, knowingly


def test_another_writer_of_the_same_is_no_fault(at: Make) -> None:
    content = b"held"
    store, other = at(), at()
    stored = store.put(
        "a", Late(content, lambda: put(other, content)), size=4, digest=digest(content)
    )
    assert stored == put(other, content)


def test_an_object_that_is_written_anew_while_it_is_read(at: Make) -> None:
    store = at()
    put(store, b"x" * (12 << 20))
    stream = store.open(store.url("a"))
    stream.read(10)
    put(store, b"y" * (12 << 20))
    # Cloud Storage refuses the next piece; this server has no such condition on reads.
    refused(errors.StorageError, stream.read, "somebody")


def test_bytes_that_are_not_those_of_their_digest(at: Make, gcs: Buckets, bucket: str) -> None:
    store = at()
    put(store, b"held")
    told = json.dumps({"metadata": {"sha256": hashlib.sha256(b"other").hexdigest()}}).encode()
    gcs.ask("PATCH", f"/storage/v1/b/{bucket}/o/fairing%2Fa", told)
    stream = store.open(store.url("a"))
    refused(errors.StorageError, stream.read, "its bytes are not those of sha256:")


# --- transfers ------------------------------------------------------------------------------------


def test_a_large_object_takes_little_memory(at: Make, bucket: str, gcs: Buckets) -> None:
    store = at()
    code = """
import hashlib, io, resource, sys
from pathlib import Path
from fairing_gcp import GCSStore
class Zeros(io.RawIOBase):
    size, at = 60 << 20, 0
    def read(self, size=-1):
        data = bytes(min(size, self.size - self.at)); self.at += len(data); return data
    def tell(self): return self.at
    def seek(self, at, whence=0): self.at = at; return at
whole = hashlib.sha256()
for _ in range(60): whole.update(bytes(1 << 20))
store = GCSStore(bucket=sys.argv[1], endpoint_url=sys.argv[2], credentials_file=Path(sys.argv[3]))
store.stat(store.url("a"))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
store.put("a", Zeros(), size=60 << 20, digest=f"sha256:{whole.hexdigest()}")
with store.open(store.url("a")) as stream:
    while stream.read(1 << 20): pass
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""
    file = str(store._google._login.credentials_file)
    done = subprocess.run(
        [sys.executable, "-c", code, bucket, gcs.url, file],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 50  # MB


# --- signed URLs ----------------------------------------------------------------------------------


def test_whoever_has_a_signed_url_reads_and_writes(at: Make) -> None:
    store = at()
    url = put(store, b"held").url
    signed = store.signed_url(url, seconds=60)
    assert signed is not None
    with urllib.request.urlopen(signed, timeout=10) as answer:
        assert answer.read() == b"held"
    target = store.signed_url(store.url("b"), seconds=60, mode="write")
    assert target is not None
    request = urllib.request.Request(target, b"written", method="PUT")
    urllib.request.urlopen(request, timeout=10).close()
    with store.open(store.url("b")) as stream:
        assert stream.read() == b"written"


def test_a_signature_is_good_for_a_week_at_the_longest(at: Make) -> None:
    store = at()
    assert "X-Goog-Expires=604800&" in str(store.signed_url(store.url("a"), seconds=10**7))


def impersonating(
    gcs: Buckets, key: Callable[..., Path], bucket: str, source: str, target: str
) -> GCSStore:
    login = Login(credentials_file=key(source), impersonate=email(target), iam_url=gcs.google.url)
    return GCSStore(
        bucket=bucket,
        endpoint_url=gcs.url,
        pod_endpoint_url=gcs.pod_url,
        google=Google(login),
    )


def test_another_account_is_impersonated_and_iam_signs_for_it(
    gcs: Buckets, key: Callable[..., Path], bucket: str, at: Make
) -> None:
    put(at(), b"held")
    store = impersonating(gcs, key, bucket, "writer", "reader")
    with store.open(store.url("a")) as stream:
        assert stream.read() == b"held"
    refused(errors.StorageDenied, lambda: put(store, b"more", "b"), email("reader"))
    other = impersonating(gcs, key, bucket, "writer", "writer")
    signed = other.signed_url(other.url("a"), seconds=10**7)
    assert "X-Goog-Expires=43200&" in str(signed)
    with urllib.request.urlopen(str(signed), timeout=10) as answer:
        assert answer.read() == b"held"


def test_where_iam_does_not_sign_there_is_no_url(
    gcs: Buckets, key: Callable[..., Path], bucket: str
) -> None:
    store = impersonating(gcs, key, bucket, "writer", "reader")  # who may not
    assert store.signed_url(store.url("a"), seconds=60) is None


def test_who_may_not_impersonate_is_told(
    gcs: Buckets, key: Callable[..., Path], bucket: str
) -> None:
    store = impersonating(gcs, key, bucket, "reader", "writer")
    refused(errors.StorageDenied, lambda: put(store, b"held"), email("writer"))


# --- default credentials --------------------------------------------------------------------------


def test_the_key_of_the_environment_is_found(
    at: Make, key: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(key("writer")))
    put(at(credentials_file=None), b"held")
    assert guess_project_name() == PROJECT
    assert guess_project_name(key("reader")) == PROJECT


def test_the_originals_context_source_is_one(
    gcs: Buckets, key: Callable[..., Path], prefix: str
) -> None:
    source = GCSContextSource(None, str(key("writer")), "lab", bucket=prefix, endpoint_url=gcs.url)
    assert put(source, b"held").url == f"gs://{prefix}/fairing_builds/a"
    gcs.drop(prefix)
    named = GCSContextSource(credentials_file=key("writer"), endpoint_url=gcs.url)
    assert named.url("a") == f"gs://{PROJECT}/fairing_builds/a"


METADATA = """
import io, sys
from fairing_core import errors
from fairing_gcp import ArtifactRegistry, GCSStore, guess_project_name
from fairing_gcp._sdk import Google
store = GCSStore(bucket=sys.argv[1], endpoint_url=sys.argv[2])
digest = "sha256:" + __import__("hashlib").sha256(b"held").hexdigest()
google = Google()
print(google.email, google.project, google.origin, google.location())
registry = ArtifactRegistry(token_host="registry.lab")
print(registry.repository("train"))
assert registry.credentials("registry.lab").password.startswith("ya29.")
assert registry.credentials("docker.io") is None
try:
    store.put("a", io.BytesIO(b"held"), size=4, digest=digest)
    print(store.stat(store.url("a")).digest == digest)
except errors.StorageError as error:
    print(type(error).__name__, error)
"""


def by_metadata(gcs: Buckets, bucket: str, account: str) -> list[str]:
    environ = {
        "PATH": "/usr/bin:/bin",
        "HOME": "/nonexistent",
        "GCE_METADATA_HOST": gcs.google.metadata(account),
        "GCE_METADATA_IP": gcs.google.metadata(account).partition("/")[0],
    }
    done = subprocess.run(
        [sys.executable, "-c", METADATA, bucket, gcs.url],
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_machine_of_googles_has_its_identity_from_the_metadata_server(
    gcs: Buckets, bucket: str
) -> None:
    assert by_metadata(gcs, bucket, "writer") == [
        f"{email('writer')} {PROJECT} the metadata server europe-west3",
        f"europe-west3-docker.pkg.dev/{PROJECT}/fairing/train",
        "True",
    ]


def test_a_machine_whose_account_may_not_is_told_so(gcs: Buckets, bucket: str) -> None:
    told = by_metadata(gcs, bucket, "nobody")[-1]
    assert told.startswith("StorageDenied")
    assert f"serviceAccount:{email('nobody')}" in told


def test_a_store_travels_without_its_tokens(at: Make, gcs: Buckets) -> None:
    store = at()
    put(store, b"held")
    content = pickle.dumps(store)
    assert b"ya29." not in content
    assert b"PRIVATE KEY" not in content
    with pickle.loads(content).open(store.url("a")) as stream:
        assert stream.read() == b"held"


def test_one_store_is_asked_from_many_threads(at: Make) -> None:
    store = at()
    put(store, b"held")
    found: list[Any] = []
    threads = [
        threading.Thread(target=lambda: found.append(store.stat(store.url("a")))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert {one.digest for one in found} == {digest(b"held")}
    assert len(found) == 8
