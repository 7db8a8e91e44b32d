"""What a store's refusal means, and what to do: pure, from its code and status to an error.

Source: Amazon S3 API reference, Error responses; MinIO's own answers, as seen.
"""

from __future__ import annotations

from dataclasses import dataclass

from fairing_core import errors

_WRONG = ("SignatureDoesNotMatch",)
_UNKNOWN = ("InvalidAccessKeyId",)
_EXPIRED = ("ExpiredToken", "InvalidToken", "InvalidTokenId", "TokenRefreshRequired")
_DENIED = ("AccessDenied", "AllAccessDisabled", "AccountProblem", "Forbidden", "401", "403")
_CLOCK = ("RequestTimeTooSkewed",)
_NO_BUCKET = ("NoSuchBucket",)
_NO_OBJECT = ("NoSuchKey", "NoSuchVersion", "NoSuchUpload", "404", "NotFound")
_REGION = (
    "AuthorizationHeaderMalformed",
    "PermanentRedirect",
    "InvalidRegion",
    "TemporaryRedirect",
    "IllegalLocationConstraintException",
    "301",
    "307",
)
_DAMAGED = (
    "BadDigest",
    "InvalidDigest",
    "XAmzContentSHA256Mismatch",
    "XAmzContentChecksumMismatch",
    "IncompleteBody",
)


@dataclass(frozen=True)
class Asked:
    """What was asked for: `what` in words, of which `url`; then at which store, with whose keys.

    `owner` is the account that was said to own the bucket.
    """

    what: str
    url: str
    store: str = ""
    origin: str = ""
    owner: str = ""

    @property
    def bucket(self) -> str:
        """The bucket of the URL."""
        return self.url.removeprefix("s3://").partition("/")[0]


def refused(
    asked: Asked, status: int | None, code: str, said: str, region: str = ""
) -> errors.StorageError:
    """The error for what the store answered."""
    kind, told = _meaning(asked, status, code, region)
    said = f"{said.rstrip('.')} " if said else ""
    answer = f"{said}(status {status}{f', {code}' if code else ''})"
    text = f"{asked.what} {asked.url}: {answer}{told and f'; {told}'}"
    return kind(text, url=asked.url, status=status, code=code or None)


def _meaning(
    asked: Asked, status: int | None, code: str, region: str
) -> tuple[type[errors.StorageError], str]:
    keys = f"the keys from {asked.origin}" if asked.origin else "the keys"
    denied = f"{keys} don't allow that; ask for the right, or use others"
    if asked.owner:  # which the store does not tell apart, so that nobody learns whose it is
        denied += f"; or the bucket is not the account {asked.owner}'s: bucket_owner=..."
    for codes, kind, told in (
        (_WRONG, errors.StorageDenied, f"{keys} don't fit each other: the secret key is wrong"),
        (
            _UNKNOWN,
            errors.StorageDenied,
            f"{asked.store} does not know {keys}; is it the store that you mean, and are they its?",
        ),
        (
            _EXPIRED,
            errors.StorageDenied,
            f"{keys} have expired, or lack their session token; get new ones",
        ),
        (
            _CLOCK,
            errors.StorageDenied,
            "this machine's clock is too far from the store's; set it right",
        ),
        (
            _NO_BUCKET,
            errors.StoredObjectNotFound,
            f"{asked.store} has no bucket {asked.bucket!r}; make it, or say create_bucket=True",
        ),
        (_NO_OBJECT, errors.StoredObjectNotFound, "there is no such object"),
        (
            _REGION,
            errors.StorageError,
            f"the bucket is in another region; say which: region={region or '...'!r}",
        ),
        (
            _DAMAGED,
            errors.StorageError,
            "what arrived is not what was sent; try again, or look at what is between",
        ),
        (_DENIED, errors.StorageDenied, denied),
    ):
        if code in codes:
            return kind, told
    if status in (401, 403):
        return errors.StorageDenied, denied
    return errors.StorageError, ""


def unreachable(asked: Asked, why: str, *, trust: bool = False) -> errors.StorageUnreachable:
    """The error for a store that gives no answer; `trust` says that its certificate is at fault."""
    if trust:
        cure = "its certificate is not trusted here; name its authority's file (PEM): ca=..."
    else:
        cure = "look at endpoint_url, the network and the proxy, and whether the store is up"
    return errors.StorageUnreachable(
        f"{asked.what} {asked.url}: {asked.store} can't be reached: {why}; {cure}", url=asked.url
    )


def keyless(url: str, store: str, why: str = "") -> errors.StorageDenied:
    """The error where nobody has keys."""
    more = f" ({why})" if why else ""
    return errors.StorageDenied(
        f"there are no keys for {store}{more}: set access_key and secret_key, AWS_ACCESS_KEY_ID "
        "and AWS_SECRET_ACCESS_KEY or AWS_PROFILE, or name the Secret that has them: secret=...",
        url=url,
    )


def damaged(url: str, what: str) -> errors.StorageError:
    """The error for bytes that are others than their digest says."""
    return errors.StorageError(f"{url}: {what}", url=url)
