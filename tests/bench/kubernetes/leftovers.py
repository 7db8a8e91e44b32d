"""What containerd and the kubelet write outside their folders, where no flag reaches it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from tests.bench import machine
from tests.bench.bench import write

GROUP = "k8s.io"
"""The cgroup in which containerd puts containers, when the kubelet keeps none of its own."""
PLACES = (
    "/var/log/containers",  # the kubelet's links to logs
    "/var/lib/kubelet",  # its device plugins' socket
    "/var/lib/cni",  # results of CNI plugins
    "/run/xtables.lock",
)


def note(home: Path) -> None:
    """Remembers which of the fixed places are not there: those are ours to take away."""
    file = home / "outside.json"
    if not file.exists():
        absent = [each for each in PLACES if not Path(each).exists()]
        write(file, json.dumps(absent if machine.cgroups(GROUP) else [*absent, GROUP]))


def remove(home: Path) -> None:
    """Takes away what was not there before, and the containers' cgroups; they are empty by now."""
    file = home / "outside.json"
    ours = json.loads(file.read_text()) if file.exists() else []
    for each in ours:
        path = Path(each)
        if each == GROUP:
            machine.remove_cgroups(GROUP)
        elif path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    machine.remove_shared()
