"""Moves an object's bytes: up in parts, down as a stream, both checked by SHA-256."""

from __future__ import annotations

import base64
import hashlib
import io
import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from typing import Any, BinaryIO, NamedTuple

from fairing_core import errors
from fairing_core.s3 import _sdk, faults
from fairing_core.s3._sdk import Api
from fairing_core.s3.faults import Asked

logger = logging.getLogger(__name__)

PART = 8 << 20
"""Bytes of a part; an object of no more is sent at once."""

_MOST_PARTS = 10_000  # Source: Amazon S3 user guide, Multipart upload limits
_SIDE_BY_SIDE = 4
_TRIES = 4
METADATA = "sha256"
"""Under which metadata an object's SHA-256 is kept, in hex."""


class Place(NamedTuple):
    """Where an object is."""

    bucket: str
    key: str

    @property
    def url(self) -> str:
        """As users and pods call it."""
        return f"s3://{self.bucket}/{self.key}"

    @property
    def arguments(self) -> dict[str, str]:
        """As boto3's operations take it."""
        return {"Bucket": self.bucket, "Key": self.key}


def upload(
    api: Api,
    place: Place,
    content: BinaryIO,
    *,
    size: int,
    digest: str,
    progress: Callable[[int], object],
) -> None:
    """Sends the object; it is there whole, and as `digest` says, or not at all."""
    asked = Asked("can't write", place.url)
    metadata = {METADATA: digest.removeprefix("sha256:")}
    parts = _parts(content, place, size, digest)
    if size <= PART:
        (data,) = parts
        sum_ = hashlib.sha256(data).digest()
        answer = api.call(
            "put_object",
            asked,
            Body=data,
            ChecksumSHA256=_text(sum_),
            Metadata=metadata,
            **place.arguments,
        )
        progress(size)
        expected = _text(sum_)
    else:
        answer, expected = _in_parts(api, asked, place, parts, metadata, progress)
    told = answer.get("ChecksumSHA256")
    if told is None:  # a store that does not know of these checksums
        _look(api, asked, place, size, metadata)
    elif told != expected:
        raise faults.damaged(place.url, "what the store has is not what was sent; write it again")


def _parts(content: BinaryIO, place: Place, size: int, digest: str) -> Iterator[bytes]:
    """The content in parts; where it is another, an error comes instead of the last one."""
    length = max(PART, -(-size // _MOST_PARTS))
    whole = hashlib.sha256()
    left = size
    while True:
        data = content.read(min(length, left))
        whole.update(data)
        left -= len(data)
        if not left or not data:
            break
        yield data
    if left or content.read(1) or f"sha256:{whole.hexdigest()}" != digest:
        raise faults.damaged(
            place.url, f"its content is not the {size:,} bytes of {digest}; it was not written"
        )
    yield data


def _in_parts(
    api: Api,
    asked: Asked,
    place: Place,
    parts: Iterator[bytes],
    metadata: dict[str, str],
    progress: Callable[[int], object],
) -> tuple[dict[str, Any], str]:
    """Sends the parts side by side, a few at a time; gives the answer, and the sum of the sums."""
    begun = api.call(
        "create_multipart_upload",
        asked,
        ChecksumAlgorithm="SHA256",
        Metadata=metadata,
        **place.arguments,
    )
    session = {**place.arguments, "UploadId": begun["UploadId"]}
    sums: list[bytes] = []
    sent: list[dict[str, Any]] = []

    stopped = threading.Event()

    def send(number: int, data: bytes, sum_: str) -> tuple[int, dict[str, Any]]:
        body = _Part(data, stopped)
        answer = api.call(
            "upload_part", asked, Body=body, PartNumber=number, ChecksumSHA256=sum_, **session
        )
        part = {"PartNumber": number, "ETag": answer["ETag"]}
        if told := answer.get("ChecksumSHA256"):
            part["ChecksumSHA256"] = told
        return len(data), part

    def collect(done: set[Future[tuple[int, dict[str, Any]]]]) -> None:
        for future in done:
            length, part = future.result()
            sent.append(part)
            progress(length)

    try:
        with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
            going: set[Future[tuple[int, dict[str, Any]]]] = set()
            try:
                for data in parts:
                    sums.append(hashlib.sha256(data).digest())
                    going.add(pool.submit(send, len(sums), data, _text(sums[-1])))
                    if len(going) >= _SIDE_BY_SIDE:
                        done, going = wait(going, return_when=FIRST_COMPLETED)
                        collect(done)
                collect(going)
            except BaseException:
                stopped.set()
                raise
            finally:
                pool.shutdown(cancel_futures=True)
        sent.sort(key=lambda part: int(part["PartNumber"]))
        answer = api.call(
            "complete_multipart_upload", asked, MultipartUpload={"Parts": sent}, **session
        )
    except BaseException:
        with suppress(errors.FairingError):
            api.call("abort_multipart_upload", asked, **session)
        raise
    return answer, f"{_text(hashlib.sha256(b''.join(sums)).digest())}-{len(sums)}"


class _Stopped(BaseException):
    """No fault that anybody tries again."""


class _Part(io.BytesIO):
    """A part's bytes, as long as somebody wants them to be sent."""

    def __init__(self, data: bytes, stopped: threading.Event) -> None:
        super().__init__(data)
        self._stopped = stopped

    def read(self, size: int | None = -1, /) -> bytes:
        if self._stopped.is_set():
            raise _Stopped
        return super().read(size)


def _look(api: Api, asked: Asked, place: Place, size: int, metadata: dict[str, str]) -> None:
    there = api.call("head_object", asked, **place.arguments)
    if there["ContentLength"] != size or there.get("Metadata", {}) != metadata:
        raise faults.damaged(place.url, "what the store has is not what was sent; write it again")


class Reader(io.RawIOBase):
    """An object's bytes; a connection that breaks is gone on from there with another."""

    def __init__(self, api: Api, place: Place, start: int = 0) -> None:
        super().__init__()
        self._api = api
        self._place = place
        self._asked = Asked("can't read", place.url)
        self._at = start
        self._failures = 0
        answer = self._answer(start)
        self._body = answer["Body"]
        self._size = start + int(answer["ContentLength"])
        self._etag = answer["ETag"]
        self._digest = None if start else answer.get("Metadata", {}).get(METADATA)
        self._hash = hashlib.sha256()

    def _answer(self, start: int) -> dict[str, Any]:
        arguments = self._place.arguments
        if not start:
            return self._api.call("get_object", self._asked, **arguments)
        try:
            return self._api.call("get_object", self._asked, Range=f"bytes={start}-", **arguments)
        except errors.StorageError as exc:
            if exc.status != 416:  # it ends there
                raise
            return {"Body": io.BytesIO(), "ContentLength": 0, "ETag": ""}

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """The next bytes.

        Raises:
            StorageError: the object is another than its digest says, or the connection broke.
        """
        wanted = min(len(buffer), self._size - self._at)
        data = b""
        while wanted and not data:
            try:
                data = self._body.read(wanted)
                if not data:
                    raise ConnectionError("it ended too soon")
            except _sdk.broken() as exc:
                self._again(exc)
        buffer[: len(data)] = data
        self._at += len(data)
        self._hash.update(data)
        if data and self._at == self._size and self._digest not in (None, self._hash.hexdigest()):
            raise faults.damaged(
                self._place.url,
                f"its bytes are not those of sha256:{self._digest}; the store is damaged, or "
                "somebody has written it by other means: delete it, and write it again",
            )
        return len(data)

    def _again(self, exc: Exception) -> None:
        self._failures += 1
        if self._failures == _TRIES:
            raise self._api.broke(self._asked, exc) from exc
        logger.info("%s: %s; going on from byte %d", self._place.url, exc, self._at)
        self._body.close()
        answer = self._api.call(
            "get_object",
            self._asked,
            Range=f"bytes={self._at}-",
            IfMatch=self._etag,
            **self._place.arguments,
        )
        self._body = answer["Body"]

    def close(self) -> None:
        """Ends the connection."""
        if not self.closed:
            self._body.close()
        super().close()


def _text(sum_: bytes) -> str:
    return base64.b64encode(sum_).decode()
