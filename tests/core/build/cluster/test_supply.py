from __future__ import annotations

import io
import os
import time
from collections.abc import Sequence
from typing import Any, BinaryIO, Literal

import pytest

from fairing_core import errors
from fairing_core.build.archive import archived
from fairing_core.build.cluster.engines import BELOW, ENGINES
from fairing_core.build.cluster.job import SECRET_LIMIT
from fairing_core.build.cluster.supply import Parcel
from fairing_core.types import ContextFile, PodPatch, StoredObject
from tests.core.build.conftest import context_of
from tests.core.build.harness import contents, inline

LARGE = inline("/app/large", os.urandom(SECRET_LIMIT))


class Shelf:
    """A store in memory."""

    def __init__(self, scheme: str = "s3", *, signs: bool = True) -> None:
        self.scheme, self.signs = scheme, signs
        self.strangers = False
        self.objects: dict[str, bytes] = {}
        self.changed: float | None = None
        self.asked: list[str] = []

    def url(self, key: str) -> str:
        return f"{self.scheme}://shelf/{key}"

    def put(
        self, key: str, content: BinaryIO, *, size: int, digest: str, progress: Any = None
    ) -> StoredObject:
        self.asked.append("put")
        self.objects[self.url(key)] = content.read()
        progress(size)
        return StoredObject(self.url(key), size, digest=digest)

    def open(self, url: str, *, start: int = 0) -> BinaryIO:
        return io.BytesIO(self.objects[url])

    def stat(self, url: str) -> StoredObject | None:
        self.asked.append("stat")
        found = self.objects.get(url)
        return None if found is None else StoredObject(url, len(found), changed=self.changed)

    def list(self, prefix: str) -> Sequence[StoredObject]:
        return []

    def delete(self, url: str) -> None:
        del self.objects[url]

    def pod_access(self, mode: str) -> Sequence[PodPatch]:
        if self.strangers:
            raise errors.Unsupported("pods have no identity")
        return [PodPatch({"serviceAccountName": mode})]

    def signed_url(
        self, url: str, *, seconds: float, mode: Literal["read", "write"] = "read"
    ) -> str | None:
        return f"https://signed/{seconds:g}" if self.signs else None


class Told:
    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []

    def __call__(self, name: str, /, **fields: Any) -> None:
        self.events.append((name, fields))


def parcel(
    *files: ContextFile, engine: str = "kaniko", storage: Shelf | None = None, told: Any = None
) -> Parcel:
    packed = archived(context_of(*files), "FROM a\n", below=BELOW, is_generated=True)
    return Parcel(packed, ENGINES[engine], storage, told or Told())


@pytest.mark.parametrize(
    ("engine", "source"), [("kaniko", "tar:///fairing/context.tar.gz"), ("buildah", None)]
)
def test_a_small_context_travels_in_a_secret(engine: str, source: str | None) -> None:
    told = Told()
    with parcel(engine=engine, told=told) as sent:
        supply = sent.supply(timeout=60)
        assert sent.foreseen()._replace(patches=()) == supply._replace(patches=())
    assert (supply.way, supply.source) == ("secret", source)
    (secret,) = supply.patches[0].secrets
    assert set(contents(secret.data["context.tar.gz"])) == {
        "/context/Dockerfile",
        "/context/app/main.py",
    }
    assert [name for name, _ in told.events] == ["supplying"]


@pytest.mark.parametrize(("engine", "source"), [("kaniko", "tar://stdin"), ("buildah", None)])
def test_a_large_one_travels_by_stdin(engine: str, source: str | None) -> None:
    told = Told()
    with parcel(LARGE, engine=engine, told=told) as sent:
        supply = sent.supply(timeout=60)
        assert supply == ("stdin", source, ())
        assert sent.foreseen() == supply
        content = b"".join(sent.blocks())
        assert content == b"".join(sent.blocks())  # from its beginning each time
    assert contents(content)["/context/app/large"] == LARGE.content
    last = told.events[-1][1]
    assert last["sent"] == last["total"] == len(content)


def test_a_store_gets_it_once_and_is_asked_once_afterwards() -> None:
    shelf = Shelf()
    for _ in range(2):
        told = Told()
        with parcel(LARGE, storage=shelf, told=told) as sent:
            supply = sent.supply(timeout=60)
    assert shelf.asked == ["stat", "put", "stat"]
    (url,) = shelf.objects
    assert supply == ("store", url, (PodPatch({"serviceAccountName": "read"}),))
    assert url.startswith("s3://shelf/contexts/")
    assert told.events[-1][1]["sent"] == 0


def test_one_from_another_day_is_written_anew_so_that_nobody_removes_it_for_its_age() -> None:
    shelf = Shelf()
    for age, asked in ((None, "put"), (0, "stat"), (80_000, "stat"), (90_000, "put")):
        shelf.changed = None if age is None else time.time() - age
        with parcel(LARGE, storage=shelf) as sent:
            sent.supply(timeout=60)
        assert shelf.asked[-1] == asked


def test_other_files_have_another_key_and_the_same_files_the_same() -> None:
    shelf = Shelf()
    for content in (b"1", b"2", b"1"):
        with parcel(inline("/app/a", content), storage=shelf) as sent:
            sent.supply(timeout=60)
    assert len(shelf.objects) == 2


@pytest.mark.parametrize(("engine", "scheme"), [("buildah", "s3"), ("kaniko", "lab")])
def test_an_engine_that_can_t_read_the_store_gets_a_signed_url(engine: str, scheme: str) -> None:
    told = Told()
    with parcel(engine=engine, storage=Shelf(scheme), told=told) as sent:
        supply = sent.supply(timeout=60)
    assert supply.way == "url"
    assert supply.patches[0].secrets[0].data == {"url": b"https://signed/660"}
    assert "signed" not in f"{supply!r} {told.events}"


def test_certificates_of_the_store_s_own_go_with_its_signed_url() -> None:
    class Certified(Shelf):
        def certificates(self) -> bytes:
            return b"PEM"

    with parcel(engine="buildah", storage=Certified()) as sent:
        (patch,) = sent.supply(timeout=60).patches
        assert sent.foreseen().patches[0].spec == patch.spec
    assert patch.secrets[0].data == {"url": b"https://signed/660", "ca.crt": b"PEM"}


def test_a_pod_without_an_identity_gets_a_signed_url() -> None:
    shelf = Shelf()
    shelf.strangers = True
    with parcel(storage=shelf) as sent:
        assert sent.foreseen().way == "url"
        assert sent.supply(timeout=60).way == "url"


def test_where_the_store_signs_nothing_it_says_what_to_do() -> None:
    with (
        parcel(engine="buildah", storage=Shelf(signs=False)) as sent,
        pytest.raises(errors.Unsupported, match="engine='kaniko'"),
    ):
        sent.supply(timeout=60)


def test_what_is_foreseen_stores_nothing() -> None:
    shelf = Shelf()
    with parcel(storage=shelf) as sent:
        assert sent.foreseen().way == "store"
        assert sent.check().detail.startswith("it will be stored as s3://shelf/contexts/")
        sent.supply(timeout=60)
        assert sent.check().detail.endswith("is there already")
    assert shelf.asked == ["stat", "stat", "put", "stat"]
