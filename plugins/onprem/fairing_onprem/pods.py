"""What pods need to reach a registry: pure functions from values to patches."""

from __future__ import annotations

from fairing_core import OwnedSecret, PodPatch

ORIGIN = "fairing-onprem"
PULL = "pull"


def pull_by_reference(secret: str) -> PodPatch:
    """The login for a registry, from a Secret of the namespace."""
    return PodPatch({"imagePullSecrets": [{"name": secret}]}, origin=ORIGIN)


def pull_by_value(made: OwnedSecret) -> PodPatch:
    """The login for a registry, from a Secret that is made for the Job and goes with it."""
    spec = {"imagePullSecrets": [{"name": made.name}]}
    return PodPatch(spec, secrets=(made,), origin=ORIGIN)


def runs_as(service_account: str) -> PodPatch:
    """The service account that a pod runs as."""
    return PodPatch({"serviceAccountName": service_account}, origin=ORIGIN)
