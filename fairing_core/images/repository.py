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
        response = self.remote.request(
            "HEAD", f"{self._path}/manifests/{reference}", {"Accept": manifest.ACCEPT}
        )
        response.close()
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
        response = self.remote.request(
            "GET", f"{self._path}/manifests/{reference}", {"Accept": manifest.ACCEPT}
        )
        if response.status != 200:
            self.fail(response, what)
        raw = self._read(response, what)
        if ":" in reference:
            self._verify(raw, reference, what)
        return raw, response.field("content-type")

    def read(self, blob: Descriptor, what: str) -> bytes:
        """A small blob, checked against its digest."""
        if blob.size > manifest.LARGEST:
            raise errors.ImageError(f"{what}: it has {blob.size:,} bytes, more than any should")
        response = self._get(blob, what)
        raw = self._read(response, what)
        self._verify(raw, blob.digest, what)
        return raw

    def stream(self, blob: Descriptor, *, progress: Callable[[int], object]) -> Iterator[bytes]:
        """A blob's bytes as they come, checked against its digest at the end."""
        what = f"can't read a layer of {self.full_name}"
        algorithm = blob.digest.partition(":")[0]
        checked = hashlib.new(algorithm)
        for block in self._get(blob, what).blocks():
            checked.update(block)
            progress(len(block))
            yield block
        if f"{algorithm}:{checked.hexdigest()}" != blob.digest:
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
            anew = response.status in (401, 404, 416) or self.remote.waited(response, attempt)
            if attempt == _TRIES or not anew:
                self.fail(response, f"can't push to {self.full_name}")
            response.close()

    def _get(self, blob: Descriptor, what: str) -> http.Response:
        response = self.remote.request("GET", f"{self._path}/blobs/{blob.digest}")
        if response.status != 200:
            self.fail(response, what)
        return response

    def _read(self, response: http.Response, what: str) -> bytes:
        try:
            return response.read(manifest.LARGEST)
        except OSError as exc:
            raise errors.RegistryError(f"{what}: {exc}", host=self.remote.host) from exc

    def _verify(self, raw: bytes, digest: str, what: str) -> None:
        algorithm = digest.partition(":")[0]
        try:
            found = f"{algorithm}:{hashlib.new(algorithm, raw).hexdigest()}"
        except ValueError:
            raise errors.ImageError(f"{what}: digests of kind {algorithm!r} are unknown") from None
        if found != digest:
            raise errors.RegistryError(
                f"{what}: its bytes are not those that {digest} names but {digest_of(raw)}; the "
                "registry, or something before it, is damaged",
                host=self.remote.host,
            )

    def _image(self, reference: str) -> str:
        return f"{self.full_name}{'@' if ':' in reference else ':'}{reference}"


def _closing(url: str, digest: str) -> str:
    return f"{url}{'&' if '?' in url else '?'}digest={quote(digest, safe='')}"
