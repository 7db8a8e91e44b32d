"""The engines that build inside a cluster, and how each is called: pure functions.

Sources: kaniko v1.24, flags of /kaniko/executor; buildah-build(1), buildah-push(1).
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from fairing_core.values import field, frozen

BELOW = "context"
"""The folder of the archive that is the build's context: kaniko leaves the archive beside it."""

DIGEST = "/dev/termination-log"
"""Where an engine leaves the image's digest: the kubelet reads it into the pod's status."""

WORKSPACE = "/workspace"
"""Where the context is unpacked for an engine that can't do it itself."""

MAIN = "build"
"""The container that builds."""


@frozen(kw_only=True)
class Order:
    """What an engine is asked for.

    `context` is where it reads the archive, as it calls that, or None where the context is below
    `WORKSPACE` already. `destination` is what it calls the image, `platform` what that is for.
    `insecure` are the registries without TLS, `trusting` those with certificates of their own, by
    the file that has them, `logins` whether it is given a config.json.
    """

    context: str | None
    destination: str
    platform: str
    insecure: Sequence[str] = ()
    trusting: Mapping[str, str] = field(default_factory=dict)
    logins: bool = False
    cache: str | None = None
    more: Sequence[str] = ()


class Engine(Protocol):
    """One kind of engine."""

    name: str
    image: str
    """By default; its users may name another."""
    reads: frozenset[str]
    """The schemes of stores, and the ways, that it reads an archive from by itself."""
    logins: str
    """The folder that it reads a config.json of logins from."""
    certificates: str
    """The folder below which it is given certificates."""
    needs: str
    """What it needs of a namespace, and what to do where that is not so."""

    def container(self, order: Order) -> dict[str, Any]:
        """How it is run: command, arguments, environment, security context, mounts."""
        ...


class Kaniko:
    """kaniko's executor: needs root, and no privilege but to change owners."""

    name = "kaniko"
    # The first home of kaniko is archived since June 2025; this one lives on.
    image = "ghcr.io/osscontainertools/kaniko:v1.27.0"
    reads = frozenset({"s3", "gs", "secret", "stdin"})
    logins = "/kaniko/.docker"
    certificates = "/kaniko/certificates"
    needs = (
        "kaniko runs as root, with capabilities that Pod Security's level 'baseline' allows and "
        "'restricted' does not: build in a namespace that lets it (namespace=), or with 'append' "
        "or 'docker'"
    )

    def container(self, order: Order) -> dict[str, Any]:
        """Source: kaniko v1.24, README, "Additional Flags"."""
        flags = [
            f"--context={order.context or f'dir://{WORKSPACE}'}",
            f"--context-sub-path={BELOW}",
            "--dockerfile=Dockerfile",
            f"--destination={order.destination}",
            f"--custom-platform={order.platform}",
            f"--digest-file={DIGEST}",
            "--log-format=text",
            "--log-timestamp=false",
            # Peaks at a twentieth of the memory, and is faster.
            "--compressed-caching=false",
            *(f"--insecure-registry={host}" for host in order.insecure),
            *(f"--registry-certificate={host}={file}" for host, file in order.trusting.items()),
        ]
        if order.cache:
            flags += ["--cache=true", f"--cache-repo={order.cache}", "--cache-copy-layers"]
        # What a base's files and steps that install packages need; Pod Security's baseline has all.
        capabilities = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "SETFCAP"]
        capabilities += ["SETGID", "SETUID"]
        return {
            "args": [*flags, *order.more],
            "securityContext": {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"], "add": capabilities},
                "seccompProfile": {"type": "RuntimeDefault"},
            },
        }


class Buildah:
    """buildah, without nested containers: needs root, and a seccomp profile that lets it mount."""

    name = "buildah"
    image = "quay.io/buildah/stable:v1.41.4"
    reads = frozenset[str]()
    logins = "/etc/fairing"
    certificates = "/etc/containers/certs.d"
    needs = (
        "buildah runs as root, and where a seccomp profile is the default it mounts nothing: build "
        "in a namespace of Pod Security's level 'baseline' whose nodes set none (namespace=), with "
        "engine='kaniko', or with 'append' or 'docker'"
    )

    # $0 is the image's name; what follows are more flags of the build.
    _SCRIPT = (
        'buildah build --layers=false --identity-label=false --file "$CONTEXT/Dockerfile" '
        '--platform "$PLATFORM" --tag "$0" "$@" "$CONTEXT" '
        '&& buildah push --digestfile "$DIGEST" "$0"'
    )

    def container(self, order: Order) -> dict[str, Any]:
        """Source: buildah-build(1), buildah-push(1), containers-registries.conf(5)."""
        env = {
            "BUILDAH_ISOLATION": "chroot",
            "STORAGE_DRIVER": "vfs",
            "CONTEXT": posixpath.join(WORKSPACE, BELOW),
            "PLATFORM": order.platform,
            "DIGEST": DIGEST,
        }
        if order.logins:
            env["REGISTRY_AUTH_FILE"] = f"{self.logins}/config.json"
        script = self._SCRIPT
        if order.insecure:
            env["CONTAINERS_REGISTRIES_CONF"] = "/tmp/registries.conf"  # noqa: S108 - the pod's own
            env["REGISTRIES"] = "".join(
                f"[[registry]]\nlocation = {json.dumps(host)}\ninsecure = true\n"
                for host in order.insecure
            )
            script = f'printf %s "$REGISTRIES" > "$CONTAINERS_REGISTRIES_CONF" && {script}'
        return {
            "command": ["/bin/sh", "-c", script, order.destination],
            "args": list(order.more),
            "env": [{"name": name, "value": value} for name, value in env.items()],
            "volumeMounts": [{"name": "storage", "mountPath": "/var/lib/containers"}],
        }


ENGINES: Mapping[str, Engine] = {"kaniko": Kaniko(), "buildah": Buildah()}
"""By the name that ``engine=`` says."""
