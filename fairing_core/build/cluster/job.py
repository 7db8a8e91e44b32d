"""The Job that builds, as plain data: pure functions."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from fairing_core.build.cluster.engines import MAIN, WORKSPACE, Engine, Order
from fairing_core.cluster import labels, owned, patches
from fairing_core.types import OwnedSecret, PodPatch
from fairing_core.values import field, frozen, replace

FETCH = "fetch"
"""The container that unpacks the context for an engine that can't."""

SECRET_LIMIT = 1_048_576
"""Bytes of a Secret's data (Kubernetes API v1.36, MaxSecretSize)."""

ARCHIVE = "context.tar.gz"
_LOGINS, _CONFIG = "logins", ".dockerconfigjson"
_ARCHIVE_IN = "/fairing"
_URL = "FAIRING_CONTEXT_URL"
_TRUSTED = "FAIRING_CONTEXT_CA"
_TRUSTED_IN = "/etc/fairing/context-ca"
_TRUSTED_FILE = "ca.crt"
_NO_SIDECAR = {"sidecar.istio.io/inject": "false"}
_TTL = 3600  # seconds; what a client that was killed has left goes then
_SLACK = 600  # seconds beyond all others, for a Job that nobody is there to see
_GRACE = 5  # seconds to end in: nothing that it has is worth more

# Standard library only, for any Python from 3.6 on.
_FETCH_SCRIPT = f"""
import os, sys, tarfile
if "{_URL}" in os.environ:
    import urllib.request
    trusted = None
    if "{_TRUSTED}" in os.environ:
        import ssl
        trusted = ssl.create_default_context(cafile=os.environ["{_TRUSTED}"])
    source = urllib.request.urlopen(os.environ["{_URL}"], timeout=60, context=trusted)
elif os.path.exists("{_ARCHIVE_IN}/{ARCHIVE}"):
    source = open("{_ARCHIVE_IN}/{ARCHIVE}", "rb")
else:
    source = sys.stdin.buffer
with tarfile.open(fileobj=source, mode="r|gz") as tar:
    if hasattr(tarfile, "fully_trusted_filter"):
        tar.extraction_filter = staticmethod(tarfile.fully_trusted_filter)
    tar.extractall("{WORKSPACE}")
"""


class Supply(NamedTuple):
    """How a context gets to its engine.

    `way` is ``store``, ``url``, ``secret`` or ``stdin``; `source` what the engine calls it where it
    reads it by itself, `patches` what a pod needs for that.
    """

    way: str
    source: str | None = None
    patches: tuple[PodPatch, ...] = ()


@frozen
class Login:
    """A registry as the engine calls it: a docker config.json's entry, or certificates, or both.

    `node` is what nodes call it.
    """

    host: str
    node: str
    entry: Mapping[str, str] | None = field(repr=False)
    certificates: bytes | None = field(repr=False)
    insecure: bool


class Rendered(NamedTuple):
    """A Job, suspended, the Secrets that it is to own, and what its engine needs of a namespace."""

    job: dict[str, Any]
    secrets: tuple[OwnedSecret, ...]
    needs: str


def rendered(
    name: str,
    engine: Engine,
    order: Order,
    supply: Supply,
    *,
    image: str,
    fetch_image: str,
    logins: Sequence[Login],
    more: Sequence[PodPatch],
    namespace: str,
    timeout: float,
    start_timeout: float,
) -> Rendered:
    """The Job that builds.

    Args:
        name: the Job's.
        engine: what builds.
        order: what is built; what it says of logins and certificates is filled in here.
        supply: how the context gets there.
        image: the engine's.
        fetch_image: one with a Python, for an engine that can't read the context by itself.
        logins: the registries that it talks to.
        more: what else the pod needs, folded last.
        namespace: where it builds.
        timeout: seconds that its pod may take.
        start_timeout: seconds that the pod may take to start, beside that.
    """
    reads = supply.source is not None
    files = {one.host: _file(engine, one.host) for one in logins if one.certificates}
    order = _filled(order, logins, files, supply.source)
    main = {"name": MAIN, "image": image, **engine.container(order)}
    bare: dict[str, Any] = {
        "restartPolicy": "Never",
        "activeDeadlineSeconds": round(timeout),
        "terminationGracePeriodSeconds": _GRACE,
        "automountServiceAccountToken": False,
        "containers": [main],
    }
    volumes = {one["name"] for one in main.get("volumeMounts") or ()}
    bare["volumes"] = [{"name": volume, "emptyDir": {}} for volume in sorted(volumes)]
    reader = "containers"
    if not reads:
        reader = "initContainers"
        bare["volumes"] += [{"name": "workspace", "emptyDir": {}}]
        mount = {"name": "workspace", "mountPath": WORKSPACE}
        bare["initContainers"] = [
            {
                "name": FETCH,
                "image": fetch_image,
                "command": ["python3", "-c", _FETCH_SCRIPT],
                "volumeMounts": [mount],
                "securityContext": {"allowPrivilegeEscalation": False},
            }
        ]
        main["volumeMounts"] = [*(main.get("volumeMounts") or ()), mount]
    if supply.way == "stdin":
        bare[reader][0].update(stdin=True, stdinOnce=True)
    folding = [*_registries(engine, logins), *supply.patches, *more]
    spec = patches.fold(bare, folding)
    if not reads:  # what reaches the store, or holds the archive, is for who reads it
        spec["initContainers"][0] = _reading(spec["initContainers"][0], supply.patches)
    secrets = owned.secrets_of(folding)
    ours = {**labels.OURS, labels.BUILDER: engine.name, labels.BUILD_ID: name}
    notes: dict[str, str] = dict(_NO_SIDECAR)
    for patch in more:
        ours = {**patch.labels, **ours}
        notes.update(patch.annotations)
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": ours,
            "annotations": {labels.IMAGE: order.destination},
        },
        "spec": {
            "suspend": True,
            "parallelism": 1,
            "completions": 1,
            "backoffLimit": 0,
            # Deletes the pod and its log; the pod's own, which is earlier, keeps them.
            "activeDeadlineSeconds": round(timeout + start_timeout) + _SLACK,
            "ttlSecondsAfterFinished": _TTL,
            "template": {
                "metadata": {"labels": ours, "annotations": notes},
                "spec": owned.settled(spec, name, secrets),
            },
        },
    }
    return Rendered(job, secrets, engine.needs)


def in_secret(archive: bytes, engine: Engine) -> Supply:
    """The context in a Secret, which holds `SECRET_LIMIT` bytes at the most."""
    name = "context"
    volume = {"name": name, "secret": {"secretName": name}}
    mount = {"name": name, "mountPath": _ARCHIVE_IN, "readOnly": True}
    patch = PodPatch(
        {"volumes": [volume]},
        {"volumeMounts": [mount]},
        secrets=(OwnedSecret(name, {ARCHIVE: archive}),),
        origin="the context",
    )
    source = f"tar://{_ARCHIVE_IN}/{ARCHIVE}" if "secret" in engine.reads else None
    return Supply("secret", source, (patch,))


def by_stdin(engine: Engine) -> Supply:
    """The context written to the engine's stdin."""
    return Supply("stdin", "tar://stdin" if "stdin" in engine.reads else None)


def by_url(url: str, trusted: bytes | None = None) -> Supply:
    """The context fetched by a URL that is a secret itself.

    `trusted` are the certificates (PEM) that its host is checked with, instead of the system's.
    """
    name = "context-url"
    data = {"url": url.encode()}
    spec: dict[str, Any] = {}
    variable = {"name": _URL, "valueFrom": {"secretKeyRef": {"name": name, "key": "url"}}}
    container: dict[str, Any] = {"env": [variable]}
    if trusted is not None:
        data[_TRUSTED_FILE] = trusted
        items = [{"key": _TRUSTED_FILE, "path": _TRUSTED_FILE}]
        volume = {"name": name, "secret": {"secretName": name, "items": items}}
        spec = {"volumes": [volume]}
        mount = {"name": name, "mountPath": _TRUSTED_IN, "readOnly": True}
        # Not SSL_CERT_FILE: the engine reads that, too, and has registries to trust.
        where = {"name": _TRUSTED, "value": f"{_TRUSTED_IN}/{_TRUSTED_FILE}"}
        container = {"env": [variable, where], "volumeMounts": [mount]}
    secret = OwnedSecret(name, data)
    patch = PodPatch(spec, container, secrets=(secret,), origin="the context")
    return Supply("url", None, (patch,))


def _filled(
    order: Order, logins: Sequence[Login], files: Mapping[str, str], source: str | None
) -> Order:
    return replace(
        order,
        context=source,
        insecure=[one.host for one in logins if one.insecure],
        trusting=files,
        logins=any(one.entry for one in logins),
    )


def _file(engine: Engine, host: str) -> str:
    return f"{engine.certificates}/{host}/ca.crt"


def logins_secret(logins: Sequence[Login]) -> OwnedSecret | None:
    """A config.json for the engine, and for the node that pulls the base to fetch the context."""
    names = {name: one.entry for one in logins for name in (one.host, one.node) if one.entry}
    if not names:
        return None
    config = json.dumps({"auths": {_key(name): entry for name, entry in names.items()}})
    data = {_CONFIG: config.encode()}
    return OwnedSecret(_LOGINS, data, type="kubernetes.io/dockerconfigjson")


def _registries(engine: Engine, logins: Sequence[Login]) -> list[PodPatch]:
    """Logins and certificates, from Secrets of the Job's own."""
    found = []
    if secret := logins_secret(logins):
        patch = _mounted(secret, engine.logins, {_CONFIG: "config.json"})
        spec = {**patch.spec, "imagePullSecrets": [{"name": _LOGINS}]}
        found.append(replace(patch, spec=spec))
    data = {f"ca-{at}": one.certificates for at, one in enumerate(logins) if one.certificates}
    paths = {f"ca-{at}": f"{one.host}/ca.crt" for at, one in enumerate(logins) if one.certificates}
    if data:
        found.append(_mounted(OwnedSecret("certificates", data), engine.certificates, paths))
    return found


def _key(host: str) -> str:
    return "https://index.docker.io/v1/" if host == "docker.io" else host


def _mounted(secret: OwnedSecret, place: str, paths: Mapping[str, str]) -> PodPatch:
    items = [{"key": key, "path": path} for key, path in paths.items()]
    volume = {"name": secret.name, "secret": {"secretName": secret.name, "items": items}}
    mount = {"name": secret.name, "mountPath": place, "readOnly": True}
    return PodPatch(
        {"volumes": [volume]}, {"volumeMounts": [mount]}, secrets=(secret,), origin="registries"
    )


def _reading(container: Mapping[str, Any], supplying: Sequence[PodPatch]) -> dict[str, Any]:
    only = [PodPatch({}, patch.container) for patch in supplying]
    folded: dict[str, Any] = patches.fold({"containers": [container]}, only)["containers"][0]
    return folded
