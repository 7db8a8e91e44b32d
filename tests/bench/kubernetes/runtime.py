"""Configuration of containerd: its CRI, the pods' network, how it reaches registries."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.bench.kubernetes import network
from tests.bench.kubernetes.config import Place
from tests.bench.kubernetes.images import PAUSE


def cni(place: Place) -> dict[str, Any]:
    """The pods' network: a bridge."""
    ipam = {
        "type": "host-local",
        "dataDir": str(place.home / "cni"),
        "ranges": [[{"subnet": network.PODS.replace(".0.0/16", ".0.0/24")}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    bridge = {"type": "bridge", "bridge": "pods0", "isGateway": True, "hairpinMode": True}
    return {
        "cniVersion": "1.0.0",
        "name": "bench",
        "plugins": [
            {**bridge, "ipam": ipam},
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ],
    }


def containerd(place: Place) -> str:
    """containerd's configuration, in TOML; a JSON string is a TOML string."""

    def quoted(value: Path | str) -> str:
        return json.dumps(str(value))

    runtime = "io.containerd.cri.v1.runtime"
    return f"""version = 3
root = {quoted(place.home / "containerd")}
state = {quoted(place.home / "run")}
disabled_plugins = [
  "io.containerd.nri.v1.nri", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
  "io.containerd.snapshotter.v1.blockfile", "io.containerd.snapshotter.v1.erofs",
  "io.containerd.tracing.processor.v1.otlp", "io.containerd.internal.v1.tracing",
  "io.containerd.internal.v1.opt",
]
[grpc]
  address = {quoted(place.containerd)}
[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = {quoted(PAUSE)}
[plugins."io.containerd.cri.v1.images".registry]
  config_path = {quoted(place.hosts)}
[plugins."io.containerd.grpc.v1.cri"]
  stream_server_address = "127.0.0.1"
[plugins."{runtime}"]
  # A negative oom_score_adj needs CAP_SYS_RESOURCE; without it runc dies.
  restrict_oom_score_adj = true
  disable_apparmor = true
  netns_mounts_under_state_dir = true
  [plugins."{runtime}".cni]
    bin_dirs = [{quoted(place.bin)}]
    conf_dir = {quoted(place.conf / "cni")}
  [plugins."{runtime}".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."{runtime}".containerd.runtimes.runc.options]
      BinaryName = {quoted(place.bin / "runc")}
      Root = {quoted(place.home / "runc")}
      SystemdCgroup = false
"""


def registry_hosts(url: str, ca: Path | None = None) -> str:
    """A `hosts.toml`: how containerd reaches a registry, under whatever name images give it."""
    lines = [f'server = "{url}"', f'[host."{url}"]', '  capabilities = ["pull", "resolve"]']
    if ca:
        lines.append(f"  ca = {json.dumps(str(ca))}")
    return "\n".join([*lines, ""])
