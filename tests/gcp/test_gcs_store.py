"""The store, against a Cloud Storage in this process: the clauses, and each way it refuses."""

from __future__ import annotations

import hashlib
import pickle
import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from fairing_core import errors
from fairing_core.testing import StorageConformance
from fairing_gcp import GCSContextSource, GCSStore, guess_project_name
from fairing_gcp._sdk import Google
from fairing_gcp.login import Login
from tests.bench.google import PROJECT, email
from tests.gcp.acts import all_of, digest, put, refused
from tests.gcp.conftest import Make
from tests.gcp.storage_server import Fault, StorageServer

LARGE = b"x" * (9 << 20)


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """What fails is not tried again for long."""
    monkeypatch.setattr("fairing_gcp._sdk._PATIENCE", 0.1)


class TestGCSStore(StorageConformance):
    @pytest.fixture(autouse=True)
    def _by(self, by: Make, cloud: StorageServer) -> None:
        self.by = by
        self.secrets = (cloud.mint.key,)  # type: ignore[misc]

    def make(self) -> GCSStore:
        return self.by()


# --- who asks -------------------------------------------------------------------------------------


def test_without_credentials_nothing_is_sent(by: Make, cloud: StorageServer) -> None:
    for act in all_of(by(credentials_file=None)):
        refused(errors.StorageDenied, act, "there are no Google credentials here", "gcloud auth")
    assert cloud.asked == []


def test_a_file_that_is_no_key_is_named_and_not_shown(by: Make, tmp_path: Path) -> None:
    file = tmp_path / "odd.json"
    for content in ("s3cr3t", "{}", '{"type": "service_account", "private_key": "s3cr3t"}', "[]"):
        file.write_text(content)
        store = by(credentials_file=file)
        error = refused(errors.StorageDenied, lambda s=store: put(s, b"held"), str(file))
        assert "s3cr3t" not in str(error) + repr(error.__cause__)
    missing = by(credentials_file=tmp_path / "none.json")
    refused(errors.StorageDenied, lambda: put(missing, b"held"), "can't be read: No such file")


def test_a_revoked_key_gets_no_token(by: Make, cloud: StorageServer) -> None:
    for act in all_of(by("revoked")):
        refused(errors.StorageDenied, act, "revoked.json", "invalid_grant", "take a new key")
    assert {path for _, path, _ in cloud.asked} == {"/token"}


def test_an_expired_token_is_told_with_its_origin(by: Make, cloud: StorageServer) -> None:
    for act in all_of(by("expired")):
        error = refused(errors.StorageDenied, act, "expired.json", "has expired or been revoked")
        assert (error.status, error.code) == (401, "authError")
    assert cloud.buckets["lab"] == {}


def test_who_may_not_is_told_which_role_to_ask_for(by: Make, cloud: StorageServer) -> None:
    for act in all_of(by("nobody")):
        error = refused(
            errors.StorageDenied,
            act,
            f"add-iam-policy-binding gs://lab --member=serviceAccount:{email('nobody')}",
        )
        assert error.status == 403
    put(by(), b"held")
    reader = by("reader")
    with reader.open(reader.url("a")) as stream:
        assert stream.read() == b"held"
    for content in (b"more", LARGE):
        refused(errors.StorageDenied, lambda c=content: put(reader, c, "b"), "reader@")
    refused(errors.StorageDenied, lambda: reader.delete(reader.url("a")), "objectUser")
    assert list(cloud.buckets["lab"]) == ["fairing/a"]


def test_the_key_of_the_environment_is_found(
    by: Make, cloud: StorageServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(cloud.key()))
    assert put(by(credentials_file=None), b"held").size == 4
    assert guess_project_name() == PROJECT


def test_an_emulator_of_the_environment_is_asked_without_a_login(
    cloud: StorageServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", cloud.url)
    cloud.is_open = True
    store = GCSStore(bucket="lab")
    with store.open(put(store, b"held").url) as stream:
        assert stream.read() == b"held"
    cloud.faults.append(Fault(403, "forbidden", "no"))
    refused(errors.StorageDenied, lambda: store.stat(store.url("a")), "nobody's credentials")
    assert store.signed_url(store.url("a"), seconds=60) is None
    cloud.faults.append(Fault(401, "required", "who is it"))
    refused(errors.StorageDenied, lambda: store.stat(store.url("a")), "wants a login")
    assert not [headers for _, _, headers in cloud.asked if "Authorization" in headers]


def test_an_account_is_impersonated_and_iam_signs_for_it(by: Make, cloud: StorageServer) -> None:
    put(by(), b"held")

    def of(source: str, target: str) -> GCSStore:
        login = Login(
            credentials_file=cloud.key(source), impersonate=email(target), iam_url=cloud.url
        )
        return GCSStore(bucket="lab", endpoint_url=cloud.url, google=Google(login))

    reader = of("writer", "reader")
    with reader.open(reader.url("a")) as stream:
        assert stream.read() == b"held"
    refused(errors.StorageDenied, lambda: put(reader, b"more", "b"), email("reader"))
    assert reader.signed_url(reader.url("a"), seconds=60) is None  # IAM does not sign as it
    writer = of("writer", "writer")
    asked = parse_qs(urlsplit(str(writer.signed_url(writer.url("a"), seconds=10**7))).query)
    assert asked["X-Goog-Expires"] == ["43200"]
    assert asked["X-Goog-Credential"][0].startswith(email("writer"))
    other = of("reader", "writer")
    refused(errors.StorageDenied, lambda: put(other, b"held"), email("writer"))


def test_a_key_signs_by_itself_for_a_week_at_the_longest(by: Make, cloud: StorageServer) -> None:
    store = by()
    url = str(store.signed_url(store.url("a b"), seconds=10**7, mode="write"))
    assert url.startswith(f"{cloud.url}/lab/fairing/a%20b?")
    assert parse_qs(urlsplit(url).query)["X-Goog-Expires"] == ["604800"]
    assert cloud.asked == []


def test_a_store_travels_without_its_tokens(by: Make) -> None:
    store = by()
    put(store, b"held")
    content = pickle.dumps(store)
    assert b"ya29." not in content
    assert b"PRIVATE KEY" not in content
    with pickle.loads(content).open(store.url("a")) as stream:
        assert stream.read() == b"held"


# --- buckets --------------------------------------------------------------------------------------


def test_a_missing_bucket_is_named(by: Make) -> None:
    store = by(bucket="none")
    says = ("there is no bucket 'none'", "create_bucket=True")
    for act in (
        lambda: put(store, b"held"),
        lambda: put(store, LARGE),
        lambda: list(store.list("")),
        lambda: store.stat(store.url("a")),
    ):
        assert refused(errors.StoredObjectNotFound, act, *says).status == 404


def test_a_missing_bucket_is_made_where_that_is_wanted(by: Make, cloud: StorageServer) -> None:
    store = by(bucket="made", create_bucket=True, project=PROJECT, location="europe-west3")
    assert list(store.list("")) == []
    assert store.stat(store.url("a")) is None
    assert set(cloud.paths("POST")) == {"/token"}  # nothing is made by looking
    put(store, b"held")
    assert list(cloud.buckets["made"]) == ["fairing/a"]


def test_a_bucket_that_may_not_be_made_is_told(by: Make, cloud: StorageServer) -> None:
    other = by(bucket="made", create_bucket=True, project="elsewhere")
    refused(
        errors.StorageDenied, lambda: put(other, b"held"), "can't make", "the project is another"
    )
    cloud.taken.add("made")
    taken = by(bucket="made", create_bucket=True)
    error = refused(errors.StorageError, lambda: put(taken, b"held"), "the name is taken")
    assert error.status == 409
    hidden = by(bucket="hidden", create_bucket=True)
    cloud.faults.append(Fault(409, "conflict", "it is there", "/storage/v1/b", "POST"))
    error = refused(errors.StorageError, lambda: put(hidden, b"held"), "the name is taken")
    assert error.status == 409
    assert list(cloud.buckets) == ["lab"]


def test_a_bucket_that_another_made_meanwhile_is_used(by: Make, cloud: StorageServer) -> None:
    store = by(bucket="made", create_bucket=True)
    store.stat(store.url("a"))  # has the token, so that the next POST is the upload's
    cloud.faults.append(Fault(404, "notFound", "The specified bucket does not exist.", "/upload"))
    cloud.buckets["made"] = {}
    put(store, b"held")
    assert list(cloud.buckets["made"]) == ["fairing/a"]


def test_the_originals_context_source_makes_its_bucket(cloud: StorageServer) -> None:
    source = GCSContextSource(None, str(cloud.key()), "lab", endpoint_url=cloud.url)
    assert put(source, b"held").url == f"gs://{PROJECT}/fairing_builds/a"
    assert list(cloud.buckets[PROJECT]) == ["fairing_builds/a"]


def test_nothing_is_asked_but_the_objects(by: Make, cloud: StorageServer) -> None:
    """Of the bucket itself the SDK would ask in the background, with a right that roles lack."""
    store = by()
    put(store, b"held")
    assert [found.size for found in store.list("")] == [4]
    time.sleep(0.3)  # what the background would ask has come
    assert {urlsplit(path).path for path in cloud.paths("GET")} == {
        "/storage/v1/b/lab/o",
        "/storage/v1/b/lab/o/fairing%2Fa",
    }


# --- other writers --------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [b"held", LARGE], ids=["small", "large"])
def test_another_writer_who_was_first_is_not_overwritten(
    content: bytes, by: Make, cloud: StorageServer
) -> None:
    store = by()
    store.stat(store.url("a"))  # has the token
    cloud.then = lambda: cloud.write("lab", "fairing/a", b"another's")
    error = refused(errors.StorageError, lambda: put(store, content), "theirs was left")
    assert (error.status, error.code) == (412, "conditionNotMet")
    assert cloud.buckets["lab"]["fairing/a"].content == b"another's"
    assert put(store, content).size == len(content)  # on top of it, knowingly


def test_another_writer_of_the_same_is_no_fault(by: Make, cloud: StorageServer) -> None:
    store = by()
    store.stat(store.url("a"))
    sha256 = hashlib.sha256(b"held").hexdigest()
    cloud.then = lambda: cloud.write("lab", "fairing/a", b"held", sha256)
    assert put(store, b"held").digest == digest(b"held")


def test_a_read_is_of_one_generation(by: Make, cloud: StorageServer) -> None:
    store = by()
    put(store, LARGE)
    stream = store.open(store.url("a"))
    assert stream.read(10) == b"x" * 10
    put(store, b"y" * len(LARGE))
    refused(errors.StorageError, stream.read, "somebody else wrote to it meanwhile")


def test_bytes_that_are_not_those_of_their_digest_are_not_given(
    by: Make, cloud: StorageServer
) -> None:
    cloud.write("lab", "fairing/a", b"held", hashlib.sha256(b"other").hexdigest())
    store = by()
    refused(errors.StorageError, store.open(store.url("a")).read, "its bytes are not those of")


# --- the line and the store -----------------------------------------------------------------------


def test_a_download_that_is_cut_goes_on(by: Make, cloud: StorageServer) -> None:
    store = by()
    content = bytes(range(256)) * (5 << 12)
    put(store, content)
    cloud.cuts += [1000]
    with store.open(store.url("a")) as stream:
        assert stream.read() == content
    assert cloud.cuts == []


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_store_is_asked_again(status: int, by: Make, cloud: StorageServer) -> None:
    store = by()
    cloud.faults.append(Fault(status, "rateLimitExceeded", on="/upload"))
    assert put(store, b"held").size == 4
    assert len([path for path in cloud.paths("POST") if path.startswith("/upload")]) == 2


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.usefixtures("hasty")
def test_a_store_that_stays_busy_is_told(status: int, by: Make, cloud: StorageServer) -> None:
    cloud.faults.append(Fault(status, "backendError", times=1000))
    for act in all_of(by()):
        refused(errors.StorageError, act)


def test_a_bucket_whose_reader_pays_wants_a_project(by: Make, cloud: StorageServer) -> None:
    cloud.faults.append(Fault(400, "userProjectMissing", "Bucket is requester pays", times=9))
    store = by()
    error = refused(
        errors.StorageDenied, lambda: store.stat(store.url("a")), "a project with billing"
    )
    assert error.code == "userProjectMissing"


@pytest.mark.usefixtures("hasty")
def test_a_store_that_is_away_is_unreachable(by: Make, cloud: StorageServer) -> None:
    store = by()
    put(store, b"held")  # has a token
    cloud.close()
    away = GCSStore(bucket="lab", endpoint_url=cloud.url, google=store._google)
    for act in all_of(away):
        refused(errors.StorageUnreachable, act, cloud.url, "endpoint_url")


def test_a_store_that_goes_away_in_mid_upload_leaves_its_url_unsaid(
    by: Make, cloud: StorageServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever has that URL may write, without any login."""
    monkeypatch.setattr("fairing_gcp._sdk._PATIENCE", 3.0)

    def gone() -> None:
        cloud.then = gone
        if cloud.paths("PUT"):
            cloud.close()
            raise ConnectionAbortedError

    cloud.then = gone
    refused(errors.StorageUnreachable, lambda: put(by(), LARGE), "Connection refused")


@pytest.mark.usefixtures("hasty")
def test_a_login_that_nobody_answers_is_unreachable(by: Make, cloud: StorageServer) -> None:
    store = by()
    cloud.close()
    refused(errors.StorageUnreachable, lambda: store.stat(store.url("a")))
