"""A repository of a registry: manifests and blobs, fetched, sent, mounted and copied.

Source: OCI distribution specification v1.1, "Pull" and "Push".
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from typing import NoReturn
from urllib.parse import quote

from fairing_core import errors
from fairing_core.images import http, manifest
from fairing_core.images.cache import digest_of
from fairing_core.images.manifest import Descriptor
from fairing_core.images.reference import ImageRef
from fairing_core.images.remote import Remote

_BLOB = "application/octet-stream"
_ALGORITHMS = ("sha256", "sha384", "sha512")
_TRIES = 5
"""Of a blob whose upload broke: each in a new session, from its first byte."""


class Repository:
    """One repository, by the connections and rights of its `Remote`."""

    def __init__(self, remote: Remote, ref: ImageRef) -> None:
        self.remote = remote
        self.name = ref.repository
        self.full_name = ref.name
        self._path = f"/v2/{ref.repository}"

    def head(self, reference: str) -> str | None:
        """The digest of what `reference` (a tag or a digest) names now; None if it tells none."""
        target, fields = f"{self._path}/manifests/{reference}", {"Accept": manifest.ACCEPT}
        response = self.remote.request("HEAD", target, fields)
        response.close()
        if response.status in (401, 403):  # the answer to a HEAD can't say why
            said = self.remote.request("GET", target, fields)
            if said.status == response.status:
                response = said
            else:
                said.close()
        if response.status != 200:
            if response.status not in (404, 405):
                self.fail(response, f"can't look {self._image(reference)} up")
            return None
        return response.field("docker-content-digest") or None

    def fetch(self, reference: str) -> tuple[bytes, str]:
        """A manifest's bytes and media type.

        Raises:
            ImageNotFound: there is none.
            RegistryError: its bytes are not those that its digest names.
        """
        what = f"can't read {self._image(reference)}"
        target = f"{self._path}/manifests/{reference}"
        accept = {"Accept": manifest.ACCEPT}
        raw, response = self._read(lambda: self.remote.request("GET", target, accept), what)
        if ":" in reference:
            self._verify(raw, reference, what)
        return raw, response.field("content-type")

    def read(self, blob: Descriptor, what: str) -> bytes:
        """A small blob, checked against its digest."""
        if blob.size > manifest.LARGEST:
            raise errors.ImageError(f"{what}: it has {blob.size:,} bytes, more than any should")
        raw, _ = self._read(lambda: self._get(blob, what), what)
        self._verify(raw, blob.digest, what)
        return raw

    def stream(self, blob: Descriptor, *, progress: Callable[[int], object]) -> Iterator[bytes]:
        """A blob's bytes as they come, checked against its digest at the end."""
        what = f"can't read a layer of {self.full_name}"
        checked = _Check(blob.digest, what)
        for block in self._blocks(blob, what):
            checked.update(block)
            progress(len(block))
            yield block
        if checked.size != blob.size or checked.digest != blob.digest:
            raise errors.RegistryError(
                f"{what}: its bytes are not those that {blob.digest} names; the registry, or "
                "something before it, is damaged",
                host=self.remote.host,
            )

    def has(self, digest: str) -> bool:
        """Whether it holds a blob."""
        response = self.remote.request("HEAD", f"{self._path}/blobs/{digest}")
        response.close()
        return response.status == 200

    def begin(self) -> str:
        """Opens an upload; gives its URL."""
        response = self.remote.request("POST", f"{self._path}/blobs/uploads/")
        if response.status != 202:
            self.fail(response, f"can't push to {self.full_name}")
        response.close()
        return self.remote.location(response)

    def mount(self, digest: str, source: str) -> str | None:
        """Takes a blob over from another repository of this registry.

        Returns:
            None when it is here now; else the URL of an upload that the registry opened instead.
        """
        target = f"{self._path}/blobs/uploads/?mount={quote(digest, safe=':')}&from="
        response = self.remote.request("POST", target + quote(source, safe=""))
        if response.status == 201:
            response.close()
            return None
        if response.status == 202:
            response.close()
            return self.remote.location(response)
        response.close()  # some refuse what they can't mount, and take the blob itself
        return self.begin()

    def send(self, digest: str, content: bytes, session: str | None) -> None:
        """Sends a small blob, in an open session if there is one."""

        def once(url: str) -> http.Response:
            fields = {"Content-Type": _BLOB}
            target = _closing(url, digest)
            return self.remote.request("PUT", target, fields, lambda: content, tries=1)

        self._upload(once, session)

    def pour(
        self, blob: Descriptor, blocks: Callable[[], Iterable[bytes]], session: str | None
    ) -> None:
        """Sends a blob of a known digest and size, made anew by `blocks` where it has to be."""

        def once(url: str) -> http.Response:
            fields = {"Content-Type": _BLOB, "Content-Length": str(blob.size)}
            return self.remote.request("PUT", _closing(url, blob.digest), fields, blocks, tries=1)

        self._upload(once, session)

    def pour_unknown(
        self,
        blocks: Callable[[], Iterable[bytes | memoryview]],
        digest: Callable[[], str],
        session: str | None,
    ) -> None:
        """Sends a blob whose digest is only known when `blocks` has given the last one."""

        def once(url: str) -> http.Response:
            fields = {"Content-Type": _BLOB}
            response = self.remote.request("PATCH", url, fields, blocks, tries=1)
            if response.status not in (201, 202, 204):
                return response
            response.close()
            after = self.remote.location(response)
            return self.remote.request("PUT", _closing(after, digest()), fields, lambda: b"")

        self._upload(once, session)

    def tag(self, reference: str, raw: bytes, media_type: str) -> http.Response:
        """Puts a manifest; the answer is the caller's to judge."""
        return self.remote.request(
            "PUT",
            f"{self._path}/manifests/{reference}",
            {"Content-Type": media_type},
            lambda: raw,
        )

    def abandon(self, session: str) -> None:
        """Tells the registry that an upload will not go on; it matters little if that fails."""
        try:
            self.remote.request("DELETE", session, tries=1).close()
        except OSError:
            return

    def fail(self, response: http.Response, what: str) -> NoReturn:
        """Raises what an unwanted answer means."""
        self.remote.fail(response, what)

    def _upload(self, once: Callable[[str], http.Response], session: str | None) -> None:
        for attempt in range(1, _TRIES + 1):
            url = session or self.begin()
            session = None
            try:
                response = once(url)
            except errors.RegistryUnreachable:
                if attempt == _TRIES:
                    raise
                continue
            if response.status in (200, 201, 204):
                response.close()
                return
            # 401: its token is new now. 404, 416: the registry has lost the upload, or its place.
            anew = attempt < _TRIES and (
                response.status in (401, 404, 416) or self.remote.waited(response, attempt)
            )
            if not anew:
                self.fail(response, f"can't push to {self.full_name}")
            response.close()

    def _get(self, blob: Descriptor, what: str, start: int = 0) -> http.Response:
        fields = {"Range": f"bytes={start}-"} if start else {}
        response = self.remote.request("GET", f"{self._path}/blobs/{blob.digest}", fields)
        if response.status != 200 and not (start and response.status == 206):
            self.fail(response, what)
        return response

    def _blocks(self, blob: Descriptor, what: str) -> Iterator[bytes]:
        """A blob's bytes; where the connection breaks, it goes on from there with another."""
        done = 0
        for attempt in range(1, _TRIES + 1):
            response = self._get(blob, what, done)
            skipped = done if response.status == 200 else 0
            try:
                for block in response.blocks():
                    rest = block[skipped:] if skipped else block
                    skipped -= len(block) - len(rest)
                    done += len(rest)
                    if rest:
                        yield rest
            except errors.FairingError:
                raise
            except OSError as exc:
                self.remote.broke(exc, attempt, _TRIES)
            else:
                return

    def _read(self, ask: Callable[[], http.Response], what: str) -> tuple[bytes, http.Response]:
        """A short answer, asked for again where the connection breaks within it."""
        for attempt in range(1, _TRIES + 1):
            response = ask()
            if response.status != 200:
                self.fail(response, what)
            try:
                return response.read(manifest.LARGEST), response
            except http.TooLong as exc:
                raise errors.RegistryError(f"{what}: {exc}", host=self.remote.host) from exc
            except OSError as exc:
                self.remote.broke(exc, attempt, _TRIES)
        raise AssertionError("unreachable")

    def _verify(self, raw: bytes, digest: str, what: str) -> None:
        checked = _Check(digest, what)
        checked.update(raw)
        if checked.digest != digest:
            raise errors.RegistryError(
                f"{what}: its bytes are not those that {digest} names but {digest_of(raw)}; the "
                "registry, or something before it, is damaged",
                host=self.remote.host,
            )

    def _image(self, reference: str) -> str:
        return f"{self.full_name}{'@' if ':' in reference else ':'}{reference}"


def _closing(url: str, digest: str) -> str:
    return f"{url}{'&' if '?' in url else '?'}digest={quote(digest, safe='')}"


class _Check:
    """The size and digest of bytes that pass by, by the algorithm of another digest."""

    def __init__(self, digest: str, what: str) -> None:
        self._algorithm = digest.partition(":")[0]
        if self._algorithm not in _ALGORITHMS:
            raise errors.ImageError(f"{what}: digests of kind {self._algorithm!r} are unknown")
        self._hash = hashlib.new(self._algorithm)
        self.size = 0

    def update(self, block: bytes) -> None:
        self._hash.update(block)
        self.size += len(block)

    @property
    def digest(self) -> str:
        return f"{self._algorithm}:{self._hash.hexdigest()}"
