"""Who asks Google: settings as values, and the error where nobody does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fairing_core import errors

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
IAM = "https://iamcredentials.googleapis.com"
USER = "oauth2accesstoken"
"""Whom registries are shown access tokens as. Source: Artifact Registry, Docker authentication."""


@dataclass(frozen=True, kw_only=True)
class Login:
    """By which credentials Google is asked: a key, or Google's own search for them.

    `impersonate` is a service account whose identity is then taken on. `iam_url` is where IAM
    answers.
    """

    credentials_file: Path | None = None
    impersonate: str | None = None
    iam_url: str = IAM


class NotLoggedIn(errors.SettingsError):
    """There are no Google credentials, or Google takes them no more."""


class GoogleUnreachable(NotLoggedIn):
    """Nobody answers where tokens are given out."""


def none(why: str) -> NotLoggedIn:
    """The error where there are no credentials."""
    return NotLoggedIn(
        f"there are no Google credentials here ({why}); run 'gcloud auth application-default "
        "login', or name a service account's key: credentials_file=... "
        "(FAIRING_GCP__CREDENTIALS_FILE), GOOGLE_APPLICATION_CREDENTIALS"
    )


def refused(origin: str, said: str) -> NotLoggedIn:
    """The error where Google takes the credentials no more."""
    return NotLoggedIn(
        f"Google gives no token for the credentials from {origin}: {said}; they have expired or "
        "been revoked: run 'gcloud auth application-default login', or take a new key"
    )


def no_project() -> errors.SettingsError:
    """The error where nobody says which project is meant."""
    return errors.SettingsError(
        "which Google project is meant is not known: the credentials name none; say project=... "
        "(FAIRING_GCP__PROJECT), or set GOOGLE_CLOUD_PROJECT"
    )


def no_location() -> errors.SettingsError:
    """The error where nobody says which location is meant."""
    return errors.SettingsError(
        "which location Artifact Registry is asked in is not known: say location=... "
        "(FAIRING_GCP__LOCATION), such as europe-west3, or CLOUDSDK_COMPUTE_REGION"
    )
