"""The store, against MinIO: what it gives, and each way in which it refuses."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from fairing_core import errors
from fairing_core.s3 import S3Store
from fairing_core.testing import StorageConformance
from tests.bench import certificates
from tests.bench.bench import Bench
from tests.bench.minio import Store
from tests.core.s3.conftest import Make
from tests.core.s3.proxy import Proxy, before, with_tls

PART = 8 << 20
KEYS = {"access_key": None, "secret_key": None}


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def put(store: S3Store, content: bytes, key: str = "a") -> Any:
    return store.put(key, io.BytesIO(content), size=len(content), digest=digest(content))


def refused(kind: type[errors.StorageError], act: Any, code: str | None) -> errors.StorageError:
    """The error, which tells nothing of the SDK, no secret, and what to do."""
    with pytest.raises(kind) as caught:
        act()
    error = caught.value
    assert error.code == code
    assert "boto" not in str(error).lower()
    assert "s3cr3t" not in str(error) + repr(error.__cause__)
    assert pickle.loads(pickle.dumps(error)).url == error.url
    return error


class TestMinio(StorageConformance):
    @pytest.fixture(autouse=True)
    def _at(self, at: Make, minio: Store) -> None:
        self.at = at
        self.secrets = (minio.secret_key,)  # type: ignore[misc]

    def make(self) -> S3Store:
        return self.at()


# --- refusals -------------------------------------------------------------------------------------


def test_a_wrong_secret(at: Make) -> None:
    store = at(secret_key="s3cr3t")
    for act in (
        lambda: put(store, b"held"),
        lambda: store.stat(store.url("a")),
        lambda: store.open(store.url("a")),
        lambda: list(store.list("")),
        lambda: store.delete(store.url("a")),
    ):
        error = refused(errors.StorageDenied, act, "SignatureDoesNotMatch")
        assert error.status == 403
        assert "the settings access_key and secret_key" in str(error)
        assert error.url.startswith(f"s3://{store.url('').split('/')[2]}/")


def test_an_unknown_key_says_where_it_was_found(at: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody-known")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cr3t")
    error = refused(errors.StorageDenied, lambda: put(at(**KEYS), b"held"), "InvalidAccessKeyId")
    assert "AWS_ACCESS_KEY_ID of the environment" in str(error)
    assert "nobody-known" not in str(error)


def test_no_keys_at_all(at: Make) -> None:
    error = refused(errors.StorageDenied, lambda: put(at(**KEYS), b"held"), None)
    assert "AWS_PROFILE, or name the Secret" in str(error)


def test_a_user_without_the_right(at: Make, minio: Store, bucket: str) -> None:
    reader = minio.user("s3:GetObject", on=[f"{bucket}/*"])
    store = at(access_key=reader.access_key, secret_key=reader.secret_key)
    error = refused(errors.StorageDenied, lambda: put(store, b"held"), "AccessDenied")
    assert "ask for the right" in str(error)
    put(at(), b"held")
    assert store.open(store.url("a")).read() == b"held"
    refused(errors.StorageDenied, lambda: list(store.list("")), "AccessDenied")


def test_a_session_that_lost_its_token_reads_as_expired(
    at: Make, minio: Store, bucket: str
) -> None:
    session = minio.session("s3:PutObject", on=[f"{bucket}/*"])
    store = at(access_key=session.access_key, secret_key=session.secret_key)
    error = refused(errors.StorageDenied, lambda: put(store, b"held"), "InvalidTokenId")
    assert "have expired, or lack their session token" in str(error)


def test_a_session_of_the_environment_works_and_pods_get_its_token(
    at: Make, minio: Store, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = minio.session("s3:PutObject", on=[f"{bucket}/*"])
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", session.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", session.secret_key)
    monkeypatch.setenv("AWS_SESSION_TOKEN", session.session_token)
    store = at(**KEYS)
    put(store, b"held")
    (secret,) = (secret for patch in store.pod_access("read") for secret in patch.secrets)
    assert secret.data["AWS_SESSION_TOKEN"] == session.session_token.encode()


def test_a_missing_bucket_names_the_way_out(at: Make, prefix: str) -> None:
    store = at(bucket=f"{prefix}-none")
    for act in (
        lambda: put(store, b"held"),
        lambda: put(store, b"held" * PART),
        lambda: store.stat(store.url("a")),
        lambda: store.open(store.url("a")),
        lambda: list(store.list("")),
    ):
        error = refused(errors.StoredObjectNotFound, act, "NoSuchBucket")
        assert "make it, or say create_bucket=True" in str(error)
    store.delete(store.url("a"))


def test_a_bucket_is_made_only_where_that_was_said(at: Make, minio: Store, prefix: str) -> None:
    name = f"{prefix}-made"
    store = at(bucket=name, create_bucket=True)
    assert store.stat(store.url("a")) is None
    assert list(store.list("")) == []
    put(store, b"held")
    put(store, b"held")
    assert [one.url for one in store.list("")] == [f"s3://{name}/fairing/a"]
    store.delete(store.url("a"))
    minio.client().delete_bucket(Bucket=name)


def test_a_missing_object(at: Make) -> None:
    store = at()
    error = refused(errors.StoredObjectNotFound, lambda: store.open(store.url("none")), "NoSuchKey")
    assert error.status == 404
    assert error.url == store.url("none")


def test_nobody_answers(at: Make, minio: Store) -> None:
    with before(minio.url) as gone:
        url = gone.url
    store = at(endpoint_url=url)
    error = refused(errors.StorageUnreachable, lambda: put(store, b"held"), None)
    assert url in str(error)
    assert "look at endpoint_url" in str(error)


def test_a_certificate_that_is_not_trusted_until_it_is_named(
    at: Make, minio: Store, bench: Bench, tmp_path: Path
) -> None:
    ca = certificates.authority(bench).certificate
    with with_tls(minio.url, certificates.issue(bench, tmp_path, ["127.0.0.1"])) as url:
        error = refused(errors.StorageUnreachable, lambda: put(at(endpoint_url=url), b"held"), None)
        assert "its certificate is not trusted here" in str(error)
        assert "ca=..." in str(error)
        store = at(endpoint_url=url, ca=ca)
        put(store, b"held")
        with store.open(store.url("a")) as stream:
            assert stream.read() == b"held"
    (made,) = (s for p in store.pod_access("read") for s in p.secrets if s.name == "store-ca")
    assert made.data == {"ca.crt": ca.read_bytes()}


def test_a_wrong_region_is_found_out_and_put_right(at: Make) -> None:
    store = at(region="eu-nowhere-1")
    put(store, b"held")
    assert store.stat(store.url("a")) is not None


def test_what_the_store_damaged_is_not_given(at: Make, minio: Store, bucket: str) -> None:
    store = at()
    content = bytes(3 << 20)
    put(store, content)
    kept = {"sha256": digest(content).removeprefix("sha256:")}
    client = minio.client()
    client.put_object(
        Bucket=bucket, Key="fairing/a", Body=bytes(2 << 20) + b"x" * (1 << 20), Metadata=kept
    )
    given = 0
    with store.open(store.url("a")) as stream, pytest.raises(errors.StorageError) as caught:
        while block := stream.read(1 << 16):
            given += len(block)
    assert "are not those of sha256:" in str(caught.value)
    assert given < len(content)


# --- how it works ---------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [3, PART, PART + 1, 3 * PART - 1])
def test_every_size_comes_back(at: Make, size: int) -> None:
    store = at()
    content = bytes(range(256)) * (size // 256 + 1)
    put(store, content[:size])
    with store.open(store.url("a")) as stream:
        assert stream.read() == content[:size]
    found = store.stat(store.url("a"))
    assert found is not None
    assert (found.size, found.digest) == (size, digest(content[:size]))


def test_an_unchanged_object_is_one_head(at: Make, proxy: Proxy) -> None:
    store = at(endpoint_url=proxy.url)
    put(store, b"held")
    proxy.asked.clear()
    assert store.stat(store.url("a")) is not None
    assert proxy.methods() == ["HEAD"]
    proxy.asked.clear()
    assert store.stat(store.url("none")) is None
    assert proxy.methods() == ["HEAD"]


def test_a_small_object_is_one_request(at: Make, proxy: Proxy) -> None:
    put(at(endpoint_url=proxy.url), b"held")
    assert proxy.methods() == ["PUT"]


def test_a_connection_that_is_cut_in_an_upload_is_tried_again(at: Make, proxy: Proxy) -> None:
    store = at(endpoint_url=proxy.url)
    content = bytes(3 * PART)
    proxy.cut_up = 2 * PART + 12_345
    put(store, content)
    assert proxy.cuts == 1
    proxy.cut_up = PART // 2
    put(store, content[:PART], "small")
    assert proxy.cuts == 2
    for key, size in (("a", 3 * PART), ("small", PART)):
        found = at().stat(store.url(key))
        assert found is not None
        assert found.size == size


def test_a_connection_that_is_cut_in_a_download_goes_on_from_there(at: Make, proxy: Proxy) -> None:
    content = bytes(range(256)) * (3 * PART // 256)
    put(at(), content)
    store = at(endpoint_url=proxy.url)
    proxy.cut_down = PART + 12_345
    with store.open(store.url("a")) as stream:
        assert stream.read() == content
    assert proxy.cuts == 1
    assert proxy.methods() == ["GET", "GET"]


def test_an_upload_that_fails_leaves_no_parts(at: Make, minio: Store, bucket: str) -> None:
    store = at()
    with pytest.raises(errors.StorageError, match="was not written"):
        store.put("a", io.BytesIO(bytes(3 * PART)), size=3 * PART, digest=digest(b"other"))
    told = minio.client().list_multipart_uploads(Bucket=bucket, Prefix="fairing/a")
    assert "Uploads" not in told


_GIGABYTE = """
import hashlib, io, json, sys, time
from fairing_core.s3 import S3Store

settings, size = json.loads(sys.argv[1]), int(sys.argv[2])
block = bytes(range(256)) * 4096


class Stream(io.RawIOBase):
    at = 0
    def readable(self): return True
    def seekable(self): return True
    def tell(self): return self.at
    def seek(self, to, whence=0):
        self.at = to + {0: 0, 1: self.at, 2: size}[whence]
        return self.at
    def read(self, wanted=-1):
        wanted = size - self.at if wanted < 0 else min(wanted, size - self.at)
        start = self.at % len(block)
        data = (block * (wanted // len(block) + 2))[start : start + wanted]
        self.at += wanted
        return data


def peak():
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


whole = hashlib.sha256()
for _ in range(size // len(block)):
    whole.update(block)
store = S3Store(**settings)
small = hashlib.sha256(b"x").hexdigest()
store.put("small", io.BytesIO(b"x"), size=1, digest="sha256:" + small)
before, began, told = peak(), time.monotonic(), []
put = store.put("big", Stream(), size=size, digest="sha256:" + whole.hexdigest(),
                progress=told.append)
up, up_seconds = peak(), time.monotonic() - began
began, read = time.monotonic(), 0
with store.open(put.url) as stream:
    while data := stream.read(1 << 20):
        read += len(data)
print(json.dumps({"before": before, "up": up, "down": peak(), "told": sum(told), "read": read,
                  "seconds": [up_seconds, time.monotonic() - began]}))
"""


@pytest.mark.timeout(300)
def test_a_gigabyte_goes_up_and_comes_down_in_constant_memory(minio: Store, bucket: str) -> None:
    size = 1 << 30
    settings = {
        "bucket": bucket,
        "endpoint_url": minio.url,
        "access_key": minio.access_key,
        "secret_key": minio.secret_key,
    }
    command = [sys.executable, "-c", _GIGABYTE, json.dumps(settings), str(size)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert (seen["told"], seen["read"]) == (size, size)
    assert seen["up"] - seen["before"] < 100_000  # kB: a few parts of 8 MiB
    assert seen["down"] - seen["before"] < 100_000


def test_a_signed_url_reads_and_expires(at: Make) -> None:
    store = at()
    put(store, b"held")
    signed = store.signed_url(store.url("a"), seconds=2)
    assert signed is not None
    with urllib.request.urlopen(signed, timeout=10) as answer:
        assert answer.read() == b"held"
    time.sleep(3)
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(signed, timeout=10)
    assert caught.value.code == 403
    caught.value.close()


def test_a_signed_url_is_for_the_pods_endpoint(at: Make, minio: Store) -> None:
    store = at(pod_endpoint_url="http://minio.pods.example:9000")
    signed = store.signed_url(store.url("a"), seconds=60)
    assert str(signed).startswith("http://minio.pods.example:9000/")


def test_keys_are_read_from_a_profile(
    at: Make, minio: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "credentials"
    file.write_text(
        f"[lab]\naws_access_key_id = {minio.access_key}\n"
        f"aws_secret_access_key = {minio.secret_key}\n"
    )
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    monkeypatch.setenv("AWS_PROFILE", "lab")
    store = at(**KEYS)
    put(store, b"held")
    assert store.keys_from() == "the profile in ~/.aws/credentials"
