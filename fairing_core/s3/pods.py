"""What pods need to reach a store: pure functions from values to patches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fairing_core.s3.keys import ENTRIES
from fairing_core.types import OwnedSecret, PodPatch

ORIGIN = "the store"
KEYS = "store-keys"
CA = "store-ca"
CA_FOLDER = "/etc/fairing/store-ca"
_CA_FILE = "ca.crt"


def store_address(endpoint: str | None, region: str) -> PodPatch:
    """Where the store is.

    kaniko reads the first two variables, AWS's own clients the others.
    """
    env = {"AWS_REGION": region}
    if endpoint is not None:
        env |= {
            "S3_ENDPOINT": endpoint,
            "S3_FORCE_PATH_STYLE": "true",
            "AWS_ENDPOINT_URL_S3": endpoint,
        }
    entries = [{"name": name, "value": value} for name, value in sorted(env.items())]
    return PodPatch(container={"env": entries}, origin=ORIGIN)


def keys_by_reference(secret: str, entries: tuple[str, str]) -> PodPatch:
    """The store's keys, from a Secret of the namespace."""
    variables = dict(zip(ENTRIES, entries, strict=True))
    return PodPatch(container={"env": _from_secret(secret, variables)}, origin=ORIGIN)


def keys_by_value(variables: Mapping[str, str]) -> PodPatch:
    """The store's keys, from a Secret that is made for the Job and goes with it."""
    names = {name: name for name in variables}
    made = OwnedSecret(KEYS, {name: value.encode() for name, value in variables.items()})
    return PodPatch(container={"env": _from_secret(KEYS, names)}, secrets=(made,), origin=ORIGIN)


def store_ca(certificates: bytes) -> PodPatch:
    """The authority of the store's certificate, where clients of S3 look for one."""
    made = OwnedSecret(CA, {_CA_FILE: certificates})
    env = [{"name": "AWS_CA_BUNDLE", "value": f"{CA_FOLDER}/{_CA_FILE}"}]
    mount = {"name": CA, "mountPath": CA_FOLDER, "readOnly": True}
    return PodPatch(
        {"volumes": [{"name": CA, "secret": {"secretName": CA}}]},
        {"env": env, "volumeMounts": [mount]},
        secrets=(made,),
        origin=ORIGIN,
    )


def _from_secret(secret: str, variables: Mapping[str, str]) -> list[dict[str, Any]]:
    """Environment variables, each from an entry of the Secret."""
    return [
        {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": entry}}}
        for name, entry in sorted(variables.items())
    ]
