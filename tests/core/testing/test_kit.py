"""The kit passes what keeps its clauses, and fails what does not."""

from __future__ import annotations

import hashlib
import io
import os
import re
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from fairing_core import Credentials, OwnedSecret, PodPatch, StoredObject, errors
from fairing_core.testing import (
    FolderStorage,
    RegistryConformance,
    StorageConformance,
)
from fairing_core.testing.clauses import references, shown, untouched


class TestFolderStorage(StorageConformance):
    folder: Path

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.folder = tmp_path

    def make(self) -> FolderStorage:
        return FolderStorage(folder=self.folder)

    def test_damage_is_found_by_the_last_read(self) -> None:
        store = self.make()
        digest = f"sha256:{hashlib.sha256(b'held').hexdigest()}"
        url = store.put("a", io.BytesIO(b"held"), size=4, digest=digest).url
        (self.folder / "objects" / "a").write_bytes(b"hurt")
        with pytest.raises(errors.StorageError, match="are not those of sha256:"):
            store.open(url).read()


class Hub:
    """A registry as an author would write one."""

    def serves(self, host: str) -> bool:
        return host == "hub.lab.example"

    def repository(self, name: str) -> str:
        return f"hub.lab.example/ml/{name}"

    def ensure(self, repository: str) -> None: ...

    def credentials(self, host: str) -> None: ...

    def pod_access(self, mode: str) -> Sequence[PodPatch]:
        made = OwnedSecret("pull", {".dockerconfigjson": b"s3cr3t"})
        return [PodPatch({"imagePullSecrets": [{"name": "pull"}]}, secrets=(made,))]


class TestHub(RegistryConformance):
    secrets = ("s3cr3t",)

    def make(self) -> Any:
        return Hub()


def test_a_registry_that_serves_every_host_fails() -> None:
    class Greedy(Hub):
        def serves(self, host: str) -> bool:
            return True

    class Clauses(RegistryConformance):
        def make(self) -> Any:
            return Greedy()

    with pytest.raises(AssertionError):
        Clauses().test_it_does_not_serve_every_host()


def test_a_registry_that_shows_its_login_to_every_host_fails() -> None:
    class Trusting(Hub):
        def credentials(self, host: str) -> Any:
            return Credentials("ada", "s3cr3t")

    class Clauses(RegistryConformance):
        def make(self) -> Any:
            return Trusting()

    with pytest.raises(AssertionError):
        Clauses().test_it_has_no_login_for_a_host_that_it_does_not_serve()


@pytest.mark.parametrize(
    "patch",
    [
        PodPatch(container={"env": [{"name": "KEY", "value": "s3cr3t"}]}),
        PodPatch(labels={"key": "s3cr3t"}),
        PodPatch(secrets=(OwnedSecret("unreferred", {"key": b"s3cr3t"}),)),
    ],
    ids=["in plain text", "in a label", "in a Secret that nothing refers to"],
)
def test_a_secret_in_the_wrong_place_fails(patch: PodPatch, tmp_path: Path) -> None:
    class Leaky(FolderStorage):
        def pod_access(self, mode: str) -> Sequence[PodPatch]:
            return [patch]

    class Clauses(StorageConformance):
        secrets = ("s3cr3t",)

        def make(self) -> Any:
            return Leaky(folder=tmp_path)

    with pytest.raises(AssertionError):
        Clauses().test_what_pods_get_has_no_secret_in_it_but_in_secrets()


def test_a_store_that_reads_all_at_once_fails(tmp_path: Path) -> None:
    class Greedy(FolderStorage):
        def put(
            self,
            key: str,
            content: BinaryIO,
            *,
            size: int,
            digest: str,
            progress: Callable[[int], object] | None = None,
        ) -> StoredObject:
            whole = io.BytesIO(content.read())
            return super().put(key, whole, size=size, digest=digest, progress=progress)

    class Clauses(StorageConformance):
        def make(self) -> Any:
            return Greedy(folder=tmp_path)

    with pytest.raises(AssertionError, match="read whole"):
        Clauses().test_a_large_object_is_sent_as_a_stream_and_progress_is_told()


def test_what_touches_is_caught() -> None:
    with pytest.raises(AssertionError, match=re.escape("socket.getaddrinfo")), untouched():
        socket.getaddrinfo("127.0.0.1", 80)
    with untouched():
        pass
    socket.getaddrinfo("127.0.0.1", 80)


def test_a_folder_is_on_this_machine(tmp_path: Path) -> None:
    with untouched(beyond=True):
        os.mkdir(tmp_path / "made")


def test_references_are_found_wherever_they_are() -> None:
    patch = PodPatch(
        {
            "volumes": [{"name": "v", "secret": {"secretName": "volume"}}],
            "imagePullSecrets": [{"name": "pull"}],
        },
        {
            "env": [{"name": "K", "valueFrom": {"secretKeyRef": {"name": "env", "key": "k"}}}],
            "envFrom": [{"secretRef": {"name": "all"}}],
        },
    )
    assert references([patch]) == {"volume", "pull", "env", "all"}
    assert "volume" in shown([patch])
