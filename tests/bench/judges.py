"""Two programs that know registries and nothing of Fairing: they judge what we push."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

from tests.bench.bench import Bench
from tests.bench.registry import Registry


class Refused(Exception):
    """A judge's own words, when it ended with a failure."""


@dataclass(frozen=True)
class Judges:
    """Runs crane (a Go binary of the bench) and skopeo (Debian's), each as a user of a registry."""

    bench: Bench
    folder: Path

    def crane(self, registry: Registry, *arguments: str, user: str = "") -> str:
        """What `crane` prints; it takes plain http for granted on loopback."""
        return self._run([str(self.bench.bin / "crane"), *arguments], registry, user)

    def skopeo(self, registry: Registry, *arguments: str, user: str = "") -> str:
        """What `skopeo inspect` and the like print: a command, then its arguments."""
        command, *rest = arguments
        verify = f"--tls-verify={'true' if registry.ca else 'false'}"
        return self._run(["skopeo", command, verify, *rest], registry, user)

    def push(
        self,
        registry: Registry,
        image: str,
        files: dict[str, bytes],
        *entrypoint: str,
        user: str = "",
    ) -> str:
        """Pushes an image of one layer with those files (all executable); gives its digest."""
        layer = self.folder / "layer.tar"
        layer.parent.mkdir(parents=True, exist_ok=True)
        with tarfile.open(layer, "w") as tar:
            for name, content in files.items():
                entry = tarfile.TarInfo(name)
                entry.size, entry.mode = len(content), 0o755
                tar.addfile(entry, io.BytesIO(content))
        append = ["append", "--oci-empty-base", "-f", str(layer), "-t", image]
        self.crane(registry, *append, user=user)
        change = ["mutate", image, "--set-platform", "linux/amd64", "-t", image]
        if entrypoint:
            change += ["--entrypoint", ",".join(entrypoint)]
        self.crane(registry, *change, user=user)
        return self.crane(registry, "digest", image, user=user)

    def _run(self, command: list[str], registry: Registry, user: str) -> str:
        home = self.folder / (user or "anonymous")
        home.mkdir(parents=True, exist_ok=True)
        config = home / "config.json"
        config.write_text(registry.docker_config(user))
        environ = {
            **os.environ,
            "DOCKER_CONFIG": str(home),
            "REGISTRY_AUTH_FILE": str(config),
            "HOME": str(home),
        }
        if registry.ca:
            environ["SSL_CERT_FILE"] = str(registry.ca)
        done = subprocess.run(
            command, env=environ, capture_output=True, text=True, timeout=60, check=False
        )
        if done.returncode:
            raise Refused(done.stderr.strip())
        return done.stdout.strip()
