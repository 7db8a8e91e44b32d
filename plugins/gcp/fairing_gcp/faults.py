"""What a refusal of Cloud Storage means, and what to do: pure, from status and reason to an error.

Source: Cloud Storage JSON API, HTTP status and error codes.
"""

from __future__ import annotations

from dataclasses import dataclass

from fairing_core import errors

_NO_BUCKET = "bucket does not exist"  # of an object's 404 that is its bucket's


@dataclass(frozen=True)
class Asked:
    """What was asked for: `what` in words, of which `url`; at which store, by whose login."""

    what: str
    url: str
    store: str = ""
    origin: str = ""
    who: str = ""

    @property
    def bucket(self) -> str:
        """The bucket of the URL."""
        return self.url.removeprefix("gs://").partition("/")[0]


def refused(asked: Asked, status: int | None, reason: str, said: str) -> errors.StorageError:
    """The error for what the store answered."""
    kind, told = _meaning(asked, status, reason, said)
    said = f"{said.strip().rstrip('.')} " if said else ""
    answer = f"{said}(status {status}{f', {reason}' if reason else ''})"
    text = f"{asked.what} {asked.url}: {answer}{told and f'; {told}'}"
    return kind(text, url=asked.url, status=status, code=reason or None)


def _meaning(
    asked: Asked, status: int | None, reason: str, said: str
) -> tuple[type[errors.StorageError], str]:
    if status == 401:
        return errors.StorageDenied, (
            f"{asked.store} does not take the token of {asked.origin}: it has expired or been "
            "revoked; run 'gcloud auth application-default login', or take a new key"
        )
    if reason in ("userProjectMissing", "userProjectAccountProblem", "accountDisabled"):
        return errors.StorageDenied, "a project with billing has to be named: project=..."
    if status == 403:
        return errors.StorageDenied, _lacking(asked)
    if status == 404 and (_NO_BUCKET in said or not _key(asked)):
        return errors.StoredObjectNotFound, no_bucket(asked.bucket)
    if status == 404:
        return errors.StoredObjectNotFound, "there is no such object"
    if status == 412:
        return errors.StorageError, (
            "somebody else wrote to it meanwhile, and was first; nothing was changed: try again"
        )
    if status == 409:
        return errors.StorageError, (
            "the name is taken: bucket names are everybody's; choose another: bucket=..."
        )
    if status == 429 or (status or 0) >= 500:
        return errors.StorageError, "the store is busy or has a fault of its own; try again later"
    return errors.StorageError, ""


def _key(asked: Asked) -> str:
    return asked.url.removeprefix("gs://").partition("/")[2]


def _lacking(asked: Asked) -> str:
    who = asked.who or f"the account of {asked.origin}"
    if asked.what == MAKE:
        return f"{who} may not make buckets there, or the project is another: project=..."
    member = f"serviceAccount:{asked.who}" if asked.who else "..."
    return (
        f"{who} may not; grant it: gcloud storage buckets add-iam-policy-binding "
        f"gs://{asked.bucket} --member={member} --role=roles/storage.objectUser"
    )


MAKE = "can't make the bucket"


def no_bucket(bucket: str) -> str:
    """What to do where there is no bucket."""
    return f"there is no bucket {bucket!r}; make it, or say create_bucket=True"


def missing(url: str, what: str) -> errors.StoredObjectNotFound:
    """The error for what is not there."""
    return errors.StoredObjectNotFound(f"{url}: {what}", url=url, status=404, code="notFound")


def lost(url: str) -> errors.StorageError:
    """The error where another writer was first, with another content."""
    return errors.StorageError(
        f"can't write {url}: somebody else wrote another content there at the same time, and was "
        "first (status 412, conditionNotMet); theirs was left: look whose it is, and try again",
        url=url,
        status=412,
        code="conditionNotMet",
    )


def unreachable(asked: Asked, why: str) -> errors.StorageUnreachable:
    """The error for a store that gives no answer."""
    return errors.StorageUnreachable(
        f"{asked.what} {asked.url}: {asked.store} can't be reached: {why}; look at the network "
        "and the proxy, and at endpoint_url if it is set",
        url=asked.url,
    )


def wants_login(asked: Asked) -> errors.StorageDenied:
    """The error for an emulator that is asked without credentials and wants some."""
    return errors.StorageDenied(
        f"{asked.what} {asked.url}: {asked.store} wants a login (status 401), and what "
        "STORAGE_EMULATOR_HOST names is asked without one; name it by endpoint_url= instead, which "
        "is asked with your credentials",
        url=asked.url,
        status=401,
    )


def damaged(url: str, what: str) -> errors.StorageError:
    """The error for bytes that are others than their digest says."""
    return errors.StorageError(f"{url}: {what}", url=url)


def cant_sign(email: str, status: int, said: str) -> errors.StorageError:
    """The error where IAM does not sign."""
    return errors.StorageDenied(
        f"IAM does not sign as {email}: {said.rstrip('.')} (status {status}); grant that account "
        "roles/iam.serviceAccountTokenCreator on itself",
        url="",
        status=status,
    )
