"""Loads one plugin in this process and prints what became of it, as JSON."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from fairing_core import errors
from fairing_core.choices import checks_of, make_backend
from fairing_core.installed import BACKENDS, installed
from fairing_core.plugins import KINDS, Plugins
from fairing_core.settings import Settings


def probe(distribution: str, name: str) -> dict[str, Any]:
    """Whether the plugin loads and answers; a backend is made, and asked what it lacks."""
    started = time.perf_counter()
    try:
        hub = Plugins(ambient=False)
        backend = distribution == "fairing-core"
        offers: list[str] = []
        for plugin in installed():
            if (plugin.distribution, plugin.name) == (distribution, name):
                hub.load(plugin)
                backend = backend or plugin.group == BACKENDS
                offers += [
                    f"{kind} {offered}"
                    for kind in KINDS
                    for offered, owner in hub.offers(kind).items()
                    if owner.distribution == distribution
                ]
        if backend:
            made = make_backend(name, {}, Settings.near(Path.cwd()), hub)
            failed = [check for check in checks_of(made) if check.ok is False]
            if failed:
                why = "; ".join(f"{check.name}: {check.detail}" for check in failed)
                text = f"backend {name!r} is not ready: {why}"
                return {"state": "not ready", "error": text, "type": "SettingsError"}
    except errors.FairingError as error:
        return {"state": "failed", "error": str(error), "type": type(error).__name__}
    seconds = round(time.perf_counter() - started, 2)
    return {"state": "ok", "seconds": seconds, "offers": ", ".join(offers) or f"backend {name}"}


if __name__ == "__main__":
    print(json.dumps(probe(*sys.argv[1:])))
