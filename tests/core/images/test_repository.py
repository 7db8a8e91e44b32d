"""A repository: manifests and blobs, fetched, sent, mounted; through all that can go wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from fairing_core import errors
from fairing_core.images.manifest import Descriptor
from fairing_core.images.reference import ImageRef
from fairing_core.images.repository import Repository
from fairing_core.types import Credentials
from tests.core.conftest import Client, Serve
from tests.core.images.registry import CUT, RESET, Answer, Asked, FakeRegistry, digest_of, refusal

BIG = bytes(range(256)) * (8 << 12)
ADA = Credentials("ada", "s3cret")


@pytest.fixture
def repository(client: Client, registry: FakeRegistry) -> Repository:
    return Repository(client.remote(registry.host), ImageRef(registry.host, "x"))


def blob(content: bytes, size: int | None = None) -> Descriptor:
    return Descriptor(digest_of(content), len(content) if size is None else size, "layer")


def whole(repository: Repository, wanted: Descriptor) -> bytes:
    return b"".join(repository.stream(wanted, progress=lambda count: None))


# --- manifests ------------------------------------------------------------------------------------


def test_a_head_tells_the_digest(repository: Repository, registry: FakeRegistry) -> None:
    digest = registry.image("x", "1")
    assert (repository.head("1"), repository.head("2")) == (digest, None)


@pytest.mark.parametrize("answer", [Answer(200), Answer(404), Answer(405)])
def test_a_head_that_tells_nothing_is_none(
    repository: Repository, registry: FakeRegistry, answer: Answer
) -> None:
    registry.script("HEAD", "manifests", answer)
    assert repository.head("1") is None


def test_a_head_that_is_denied_is_an_error(repository: Repository, registry: FakeRegistry) -> None:
    registry.script("HEAD", "manifests", Answer(403))
    with pytest.raises(errors.RegistryDenied, match=r"look .*x:1 up"):
        repository.head("1")


def test_why_a_head_is_denied_is_asked_by_a_get(
    repository: Repository, registry: FakeRegistry
) -> None:
    registry.script("HEAD", "manifests", Answer(403))
    told = b'{"errors":[{"code":"DENIED","message":"Your authorization token has expired."}]}'
    registry.script("GET", "manifests", Answer(403, {"Content-Type": "application/json"}, told))
    with pytest.raises(errors.RegistryDenied, match="token has expired"):
        repository.head("1")


def test_a_manifest_is_fetched_with_its_type(
    repository: Repository, registry: FakeRegistry
) -> None:
    digest = registry.image("x", "1", family="docker")
    raw, kind = repository.fetch("1")
    assert (digest_of(raw), "docker" in kind) == (digest, True)
    assert registry.asked[-1].fields["accept"].count(",") == 3


def test_an_image_that_is_not_there_is_named(
    repository: Repository, registry: FakeRegistry
) -> None:
    with pytest.raises(errors.ImageNotFound, match=r"x:gone.*MANIFEST_UNKNOWN") as caught:
        repository.fetch("gone")
    assert (caught.value.status, caught.value.code) == (404, "MANIFEST_UNKNOWN")


def test_a_wrong_manifest_is_not_taken(repository: Repository, registry: FakeRegistry) -> None:
    digest = registry.image("x", "1")
    registry.manifests["x"][digest] = ("", b"{}")
    with pytest.raises(errors.RegistryError, match=f"not those that {digest} names"):
        repository.fetch(digest)


def test_a_manifest_that_is_too_large_is_not_read(
    repository: Repository, registry: FakeRegistry
) -> None:
    registry.put("x", "1", bytes(5 << 20), "")
    with pytest.raises(errors.RegistryError, match="more than 4,194,304 bytes"):
        repository.fetch("1")
    assert registry.count("GET") == 1


def test_a_manifest_that_is_cut_is_fetched_again(
    repository: Repository, registry: FakeRegistry
) -> None:
    digest = registry.image("x", "1")
    registry.script(
        "GET", "manifests", Answer(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{")
    )
    assert digest_of(repository.fetch("1")[0]) == digest


# --- blobs that are read --------------------------------------------------------------------------


def test_a_wrong_config_is_not_taken(repository: Repository, registry: FakeRegistry) -> None:
    registry.script("GET", "blobs", Answer(200, {}, b"other"))
    with pytest.raises(errors.RegistryError, match="damaged"):
        repository.read(blob(b"config"), "can't read it")


def test_a_digest_of_an_unknown_kind_is_said(
    repository: Repository, registry: FakeRegistry
) -> None:
    registry.script("GET", "blobs", Answer(200, {}, b"x"))
    with pytest.raises(errors.ImageError, match="kind 'shake128'"):
        repository.read(Descriptor("shake128:ab", 1, ""), "can't read it")
    with pytest.raises(errors.ImageError, match="kind 'md5'"):
        whole(repository, Descriptor("md5:ab", 1, ""))


def test_a_config_that_says_it_is_huge_is_not_asked_for(
    repository: Repository, registry: FakeRegistry
) -> None:
    with pytest.raises(errors.ImageError, match="bytes"):
        repository.read(blob(b"config", 5 << 20), "can't read it")
    assert registry.asked == []


def test_a_wrong_layer_is_not_taken(repository: Repository, registry: FakeRegistry) -> None:
    registry.script("GET", "blobs", Answer(200, {}, b"other"))
    with pytest.raises(errors.RegistryError, match="damaged"):
        whole(repository, blob(b"layer"))


def test_a_layer_of_another_size_than_its_manifest_says_is_not_taken(
    repository: Repository, registry: FakeRegistry
) -> None:
    registry.blob("x", BIG)
    with pytest.raises(errors.RegistryError, match="damaged"):
        whole(repository, blob(BIG, len(BIG) + 1))


def cut_at(content: bytes, at: int) -> Answer:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(content)
    return Answer(raw=head + content[:at])


def test_a_layer_that_is_cut_goes_on_from_there(
    repository: Repository, registry: FakeRegistry
) -> None:
    registry.blob("x", BIG)
    rest = Answer(206, {}, BIG[500_000:])
    registry.script("GET", "blobs", cut_at(BIG, 500_000), rest)
    assert whole(repository, blob(BIG)) == BIG
    assert registry.asked[-1].fields["range"] == "bytes=500000-"


def test_a_layer_that_is_cut_is_skipped_to_where_no_range_is_known(
    repository: Repository, registry: FakeRegistry
) -> None:
    registry.blob("x", BIG)
    registry.script("GET", "blobs", cut_at(BIG, 500_000))
    assert whole(repository, blob(BIG)) == BIG


def test_a_layer_that_is_always_cut_is_reported(
    repository: Repository, registry: FakeRegistry
) -> None:
    registry.script("GET", "blobs", cut_at(BIG, 0), times=9)
    with pytest.raises(errors.RegistryUnreachable, match="cut") as caught:
        whole(repository, blob(BIG))
    assert caught.value.host == registry.host


# --- blobs that are sent --------------------------------------------------------------------------

Send = Callable[[Repository, str | None], None]


def send(repository: Repository, session: str | None = None) -> None:
    repository.send(digest_of(BIG), BIG, session)


def pour(repository: Repository, session: str | None = None) -> None:
    repository.pour(blob(BIG), lambda: iter([BIG[:9], BIG[9:]]), session)


def pour_unknown(repository: Repository, session: str | None = None) -> None:
    repository.pour_unknown(lambda: iter([BIG[:9], BIG[9:]]), lambda: digest_of(BIG), session)


every_way = pytest.mark.parametrize("way", [send, pour, pour_unknown])


@every_way
def test_a_blob_arrives(repository: Repository, registry: FakeRegistry, way: Send) -> None:
    way(repository, None)
    assert registry.blobs["x"] == {digest_of(BIG): BIG}


@every_way
def test_an_open_session_is_used(repository: Repository, registry: FakeRegistry, way: Send) -> None:
    way(repository, repository.begin())
    assert registry.blobs["x"] == {digest_of(BIG): BIG}
    assert registry.count("POST") == 1


@every_way
@pytest.mark.parametrize(
    "location", ["{path}", "{url}{path}", "{path}?_state=a%2Bb", "/v2/../{path}"]
)
def test_the_registry_says_where_an_upload_is(
    repository: Repository, registry: FakeRegistry, way: Send, location: str
) -> None:
    registry.location = location
    way(repository, None)
    assert registry.blobs["x"] == {digest_of(BIG): BIG}
    if "_state" in location:
        assert registry.requests("PUT")[-1].query["_state"] == "a+b"


@every_way
@pytest.mark.parametrize(
    "fault",
    [CUT, RESET, Answer(500), Answer(503, {"Retry-After": "0"}), Answer(416), Answer(404)],
    ids=["cut in the answer", "cut in the body", "500", "503", "416", "404"],
)
def test_an_upload_that_fails_is_done_again(
    repository: Repository, registry: FakeRegistry, way: Send, fault: Answer
) -> None:
    registry.script("PATCH" if way is pour_unknown else "PUT", "uploads", fault)
    way(repository, None)
    assert registry.blobs["x"] == {digest_of(BIG): BIG}


@pytest.mark.parametrize("fault", [CUT, RESET, Answer(502), Answer(404)])
def test_an_upload_whose_end_fails_is_done_again(
    repository: Repository, registry: FakeRegistry, fault: Answer
) -> None:
    registry.script("PUT", "uploads", fault)
    pour_unknown(repository)
    assert registry.blobs["x"] == {digest_of(BIG): BIG}


def test_an_upload_whose_end_was_taken_without_an_answer_ends_right(
    repository: Repository, registry: FakeRegistry
) -> None:
    def taken(asked: object) -> Answer:
        registry.answer(asked)  # type: ignore[arg-type]
        return CUT

    registry.script("PUT", "uploads", taken)
    pour_unknown(repository)
    assert registry.blobs["x"] == {digest_of(BIG): BIG}


@every_way
def test_an_upload_that_was_taken_without_an_answer_is_begun_anew(
    repository: Repository, registry: FakeRegistry, way: Send
) -> None:
    """Registries that append would have its bytes twice."""

    def taken(asked: Asked) -> Answer:
        name = asked.path.rpartition("/")[2]
        registry.uploads[name] += asked.body
        return CUT

    registry.script("PATCH" if way is pour_unknown else "PUT", "uploads", taken)
    way(repository, None)
    assert registry.blobs["x"] == {digest_of(BIG): BIG}
    assert registry.count("POST") == 2


@every_way
def test_an_upload_that_always_fails_keeps_the_registrys_words(
    repository: Repository, registry: FakeRegistry, way: Send
) -> None:
    answer = refusal(503, "UNAVAILABLE", "out of disk")
    registry.script("PATCH" if way is pour_unknown else "PUT", "uploads", answer, times=9)
    with pytest.raises(errors.RegistryError, match=r"push to .*/x: out of disk") as caught:
        way(repository, None)
    assert (caught.value.status, caught.value.code) == (503, "UNAVAILABLE")


@every_way
def test_an_upload_that_is_refused_is_not_done_again(
    repository: Repository, registry: FakeRegistry, way: Send
) -> None:
    method = "PATCH" if way is pour_unknown else "PUT"
    registry.script(method, "uploads", refusal(413, "SIZE_INVALID", "too large"))
    with pytest.raises(errors.RegistryError, match="too large"):
        way(repository, None)
    assert registry.count(method) == 1


@every_way
def test_a_token_that_expires_in_mid_upload_is_renewed(
    client: Client, serve: Serve, way: Send
) -> None:
    registry = serve(users={"ada": "s3cret"}, tokens=True)
    remote = client.remote(registry.host, credentials=ADA)
    remote.wants("repository:x:pull,push")
    repository = Repository(remote, ImageRef(registry.host, "x"))
    session = repository.begin()
    registry.revoke()
    way(repository, session)
    assert registry.blobs["x"] == {digest_of(BIG): BIG}


def test_a_token_that_expires_before_the_end_of_an_upload_is_renewed(
    client: Client, serve: Serve
) -> None:
    registry = serve(users={"ada": "s3cret"}, tokens=True)
    remote = client.remote(registry.host, credentials=ADA)
    remote.wants("repository:x:pull,push")
    registry.script("PATCH", "uploads", registry.answer, times=1)
    repository = Repository(remote, ImageRef(registry.host, "x"))

    def blocks() -> Iterator[bytes]:
        yield BIG
        registry.valid.update(dict.fromkeys(["other"], ""))

    def digest() -> str:
        registry.revoke()
        return digest_of(BIG)

    repository.pour_unknown(blocks, digest, None)
    assert registry.blobs["x"] == {digest_of(BIG): BIG}
    assert registry.count("PATCH") == 1


def test_a_source_that_breaks_is_not_waited_for(
    repository: Repository, registry: FakeRegistry
) -> None:
    made: list[int] = []

    def blocks() -> Iterator[bytes]:
        made.append(1)
        yield BIG[:9]
        if len(made) < 3:
            raise errors.RegistryUnreachable("the source is gone", host="source")
        yield BIG[9:]

    repository.pour(blob(BIG), blocks, None)
    assert registry.blobs["x"] == {digest_of(BIG): BIG}
    assert len(made) == 3


def test_an_abandoned_upload_is_told(repository: Repository, registry: FakeRegistry) -> None:
    repository.abandon(repository.begin())
    assert registry.uploads == {}


# --- mounts ---------------------------------------------------------------------------------------


def test_a_mount_needs_no_upload(repository: Repository, registry: FakeRegistry) -> None:
    digest = registry.blob("base", b"layer")
    assert repository.mount(digest, "base") is None
    assert digest in registry.blobs["x"]


def test_a_mount_that_is_not_done_gives_an_upload(
    repository: Repository, registry: FakeRegistry
) -> None:
    session = repository.mount(digest_of(BIG), "base")
    assert session is not None
    send(repository, session)
    assert registry.blobs["x"] == {digest_of(BIG): BIG}


@pytest.mark.parametrize("status", [400, 403, 404, 405, 415])
def test_a_mount_that_is_refused_gives_an_upload(
    repository: Repository, registry: FakeRegistry, status: int
) -> None:
    registry.script("POST", "mount=", Answer(status))
    session = repository.mount(digest_of(BIG), "base")
    send(repository, session)
    assert registry.blobs["x"] == {digest_of(BIG): BIG}
