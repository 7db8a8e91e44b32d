"""The store as it is made, and what pods are given: nothing here is asked of anybody."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path
from typing import Any

import pytest

from fairing_core import errors
from fairing_core.plugins import Plugins
from fairing_core.s3 import S3Store, faults
from fairing_core.s3.faults import Asked
from fairing_core.s3.keys import Keys, keys_in
from fairing_core.testing.clauses import references, shown

KEYS = {"access_key": "lab-user", "secret_key": "s3cr3t"}


def store(**settings: Any) -> S3Store:
    return S3Store(**{"bucket": "lab", "endpoint_url": "http://minio.lab:9000", **settings})


def env_of(made: S3Store) -> dict[str, Any]:
    entries = [entry for patch in made.pod_access("read") for entry in patch.container["env"]]
    return {each["name"]: each.get("value") or each["valueFrom"] for each in entries}


@pytest.mark.parametrize(
    ("prefix", "url"),
    [
        ("fairing/", "s3://lab/fairing/a/b"),
        ("team/x", "s3://lab/team/x/a/b"),
        ("/team/", "s3://lab/team/a/b"),
        ("", "s3://lab/a/b"),
        ("/", "s3://lab/a/b"),
    ],
)
def test_keys_begin_with_the_prefix(prefix: str, url: str) -> None:
    assert store(prefix=prefix).url("a/b") == url


@pytest.mark.parametrize(
    "url", ["http://lab/a", "s3://lab", "s3://lab/", "s3:///a", "a/b", "gs://lab/a"]
)
def test_what_is_no_objects_url_is_refused(url: str) -> None:
    with pytest.raises(errors.StorageError, match="such are called s3://lab/fairing/NAME"):
        store(**KEYS).stat(url)


@pytest.mark.parametrize(
    "url", ["minio.lab:9000", "ftp://minio.lab", "http://minio.lab/x", "http:/"]
)
def test_what_is_no_endpoint_is_refused(url: str) -> None:
    with pytest.raises(errors.SettingsError, match="is no address of a store"):
        store(endpoint_url=url)


def test_a_password_in_the_endpoint_is_refused_and_not_shown() -> None:
    for url in ("http://ada:s3cr3t@minio.lab", "ftp://ada:s3cr3t@minio.lab"):
        with pytest.raises(errors.SettingsError) as caught:
            store(endpoint_url=url)
        assert "s3cr3t" not in str(caught.value)


def test_its_repr_has_no_secret() -> None:
    shown = repr(store(secret="lab-keys", region="eu", pod_endpoint_url="http://minio:9", **KEYS))
    assert shown == (
        "S3Store('s3://lab/fairing/', endpoint_url='http://minio.lab:9000', "
        "pod_endpoint_url='http://minio:9', region='eu', secret='lab-keys')"
    )
    assert "s3cr3t" not in repr(Keys("lab-user", "s3cr3t", token="s3cr3t"))


def test_a_missing_file_of_certificates_is_said() -> None:
    with pytest.raises(errors.SettingsError, match="there is no such file"):
        store(ca=Path("/no/such.pem"), **KEYS).stat("s3://lab/a")


def test_pods_are_told_the_address_and_keys_by_reference() -> None:
    made = store(secret="lab-keys", pod_endpoint_url="http://minio:9000", region="eu")
    assert env_of(made) == {
        "S3_ENDPOINT": "http://minio:9000",
        "AWS_ENDPOINT_URL_S3": "http://minio:9000",
        "S3_FORCE_PATH_STYLE": "true",
        "AWS_REGION": "eu",
        "AWS_ACCESS_KEY_ID": {"secretKeyRef": {"name": "lab-keys", "key": "AWS_ACCESS_KEY_ID"}},
        "AWS_SECRET_ACCESS_KEY": {
            "secretKeyRef": {"name": "lab-keys", "key": "AWS_SECRET_ACCESS_KEY"}
        },
    }
    assert not [secret for patch in made.pod_access("read") for secret in patch.secrets]


def test_keys_by_value_are_in_a_secret_and_nowhere_else() -> None:
    made = store(**KEYS)
    patches = made.pod_access("write")
    assert "s3cr3t" not in shown(patches)
    assert "lab-user" not in shown(patches)
    (secret,) = (secret for patch in patches for secret in patch.secrets)
    assert secret.name == "store-keys"
    assert references(patches) == {"store-keys"}
    assert dict(secret.data) == {
        "AWS_ACCESS_KEY_ID": b"lab-user",
        "AWS_SECRET_ACCESS_KEY": b"s3cr3t",
    }


def test_amazons_own_store_needs_no_address() -> None:
    made = S3Store(bucket="lab", region="eu-west-1", **KEYS)  # type: ignore[arg-type]
    assert {name for name in env_of(made) if "S3" in name} == set()


def test_certificates_are_mounted_where_clients_look(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text("certificates")
    made = store(ca=file, **KEYS)
    patch = made.pod_access("read")[-1]
    (mount,) = patch.container["volumeMounts"]
    assert env_of(made)["AWS_CA_BUNDLE"] == f"{mount['mountPath']}/ca.crt"
    assert dict(patch.secrets[0].data) == {"ca.crt": b"certificates"}
    assert "store-ca" in references([patch])


def test_two_entries_of_a_secret_are_named_or_none() -> None:
    with pytest.raises(errors.SettingsError, match="are not two"):
        store(secret="lab", secret_entries=("one",))


def test_other_usual_entries_of_a_secret_are_found() -> None:
    entries = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    content = {"accesskey": b"lab-user\n", "secretkey": b"s3cr3t\n"}
    assert keys_in(content, entries, "it") == Keys("lab-user", "s3cr3t", origin="it")
    assert keys_in({}, entries, "it") is None


def test_a_key_of_a_kms_is_for_that_encryption() -> None:
    store(encryption="aws:kms", kms_key="alias/lab")
    with pytest.raises(errors.SettingsError, match="is for encryption='aws:kms'"):
        store(encryption="AES256", kms_key="alias/lab")


def test_it_is_the_store_of_its_scheme() -> None:
    assert Plugins(ambient=False).lookup("storage", "s3") is S3Store


def test_without_its_package_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(errors.StorageError, match=r"pip install 'fairing-core\[s3\]'"):
        store(**KEYS).stat("s3://lab/a")


def test_a_refusal_names_the_owner_that_was_expected() -> None:
    asked = Asked("can't write", "s3://lab/a", "Amazon S3", "the environment", "012345678901")
    error = faults.refused(asked, 403, "AccessDenied", "Access Denied")
    assert "or the bucket is not the account 012345678901's: bucket_owner=..." in str(error)


@pytest.mark.parametrize(
    ("code", "status", "kind", "says"),
    [
        ("SignatureDoesNotMatch", 403, errors.StorageDenied, "the secret key is wrong"),
        ("InvalidAccessKeyId", 403, errors.StorageDenied, "is it the store that you mean"),
        ("AccessDenied", 403, errors.StorageDenied, "ask for the right"),
        ("ExpiredToken", 400, errors.StorageDenied, "have expired"),
        ("RequestTimeTooSkewed", 403, errors.StorageDenied, "clock"),
        ("XMinioOdd", 403, errors.StorageDenied, "ask for the right"),
        ("NoSuchBucket", 404, errors.StoredObjectNotFound, "create_bucket=True"),
        ("NoSuchKey", 404, errors.StoredObjectNotFound, "no such object"),
        ("404", 404, errors.StoredObjectNotFound, "no such object"),
        ("PermanentRedirect", 301, errors.StorageError, "region='eu-west-1'"),
        ("BadDigest", 400, errors.StorageError, "not what was sent"),
        ("SlowDown", 503, errors.StorageError, "status 503, SlowDown"),
        ("", 500, errors.StorageError, "status 500"),
    ],
)
def test_each_refusal_has_its_kind_and_says_what_to_do(
    code: str, status: int, kind: type[errors.StorageError], says: str
) -> None:
    asked = Asked("can't read", "s3://lab/a", "http://minio.lab", "the environment")
    error = faults.refused(asked, status, code, "Its own words.", "eu-west-1")
    assert type(error) is kind
    assert (error.url, error.status, error.code) == ("s3://lab/a", status, code or None)
    assert str(error).startswith("can't read s3://lab/a: Its own words (status ")
    assert says in str(error)
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), again.code) == (kind, str(error), error.code)
