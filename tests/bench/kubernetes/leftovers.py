"""What containerd and the kubelet write outside their folders, where no flag reaches it."""

from __future__ import annotations

import contextlib
import json
import shutil
from pathlib import Path

from tests.bench import machine
from tests.bench.bench import write

_FIXED = (
    "/var/log/containers",  # the kubelet's links to logs
    "/var/lib/kubelet",  # its device plugins' socket
    "/var/lib/cni",  # results of CNI plugins
    "/run/containerd",  # shims' sockets
    "/run/xtables.lock",
)
GROUP = "k8s.io"
"""The cgroup in which containerd puts containers that nobody names another one for."""


def note(home: Path) -> None:
    """Remembers which of the fixed places are not there: those are ours to take away."""
    file = home / "outside.json"
    if not file.exists():
        write(file, json.dumps([each for each in _FIXED if not Path(each).exists()]))


def remove(home: Path) -> None:
    """Takes away what was not there before, and the containers' cgroups; they are empty by now."""
    with contextlib.suppress(FileNotFoundError):
        for each in json.loads((home / "outside.json").read_text()):
            path = Path(each)
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
    machine.remove_cgroups(GROUP)
