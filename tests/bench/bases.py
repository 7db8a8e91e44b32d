"""Base images from Debian's packages, in every registry of the bench."""

from __future__ import annotations

import tarfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.bench import debian, layouts, oci, registry
from tests.bench.bench import Bench
from tests.bench.layouts import Image, Layer, Layout
from tests.bench.part import Part

PART = "bases"
USER, UID, GID, HOME = "jovyan", 1000, 100, "/home/jovyan"
ENTRYPOINT = "/usr/local/bin/start"
STARTED = "STARTED_BY_ENTRYPOINT"
"""The variable that the entrypoint of base/user sets."""
SCRIPT = f"""#!/bin/sh
export {STARTED}=yes
exec "$@"
"""
RUN: Mapping[str, Any] = {
    "Env": [
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "LANG=C.UTF-8",
    ],
    "Cmd": ["python3"],
}
RUN_AS_USER: Mapping[str, Any] = {
    "Env": [*RUN["Env"], f"HOME={HOME}", f"NB_USER={USER}", f"NB_UID={UID}", f"NB_GID={GID}"],
    "User": USER,
    "WorkingDir": HOME,
    "Entrypoint": [ENTRYPOINT],
    "Cmd": ["bash"],
}
RECIPE = (
    debian.SUITES,
    debian.PYTHON,
    debian.ML,
    debian.LEFT_OUT,
    debian.INSTALL_ALONE,
    debian.CLEAN,
    SCRIPT,
    RUN,
    RUN_AS_USER,
    oci.ARCHITECTURE,
)
TAG = f"{debian.SUITE}-{layouts.digest_of(RECIPE)}"
Base = Image
"""A base image: every registry of the bench has it."""


def _make(bench: Bench, layout: Path, work: Path) -> list[dict[str, Any]]:
    python, ml = work / "base-python", work / "base-ml"
    packages = (*debian.PYTHON, *debian.ML)
    with ThreadPoolExecutor() as pool:
        first = pool.submit(debian.make, bench, python, debian.PYTHON, (debian.CLEAN,))
        hooks = (debian.INSTALL_ALONE, debian.CLEAN, debian.TRY_ML)
        second = pool.submit(debian.make, bench, ml, packages, hooks)
        first.result()
        second.result()
    tars = [work / name for name in ("python.tar", "ml.tar", "user.tar")]
    debian.pack(tars[0], python)
    debian.pack(tars[1], ml, below=python)
    _pack_user(tars[2], python)
    with ThreadPoolExecutor() as pool:
        below, learns, user = pool.map(lambda tar: Layer.put(layout, tar), tars)
    return [
        layouts.put_image(layout, "base/python", RUN, (below,)),
        layouts.put_image(layout, "base/user", RUN_AS_USER, (below, user)),
        layouts.put_image(layout, "base/ml", RUN, (below, learns)),
    ]


def _pack_user(target: Path, python: Path) -> None:
    """The layer that adds a user, a home and an entrypoint."""
    passwd = (python / "etc" / "passwd").read_text()
    with tarfile.open(target, "w") as tar:
        account = f"{USER}:x:{UID}:{GID}::{HOME}:/bin/bash\n"
        oci.add(tar, "etc/passwd", (passwd + account).encode())
        oci.add(tar, ENTRYPOINT.lstrip("/"), SCRIPT.encode(), mode=0o755)
        home = tarfile.TarInfo(HOME.lstrip("/"))
        home.type, home.mode, home.uid, home.gid = tarfile.DIRTYPE, 0o755, UID, GID
        tar.addfile(home)


LAYOUT = Layout(name=PART, tag=TAG, make=_make)


def _environment(bench: Bench) -> Mapping[str, str]:
    return {
        f"FAIRING_BENCH_BASE_{name.upper()}": f"{base.repository}:{base.tag}"
        for name, base in LAYOUT.find(bench).items()
    }


BASES = Part(
    name=PART,
    about="base/python, base/user and base/ml from Debian's packages, in every registry",
    start=LAYOUT.start,
    ready=LAYOUT.ready,
    environment=_environment,
    debian=("mmdebstrap",),
    needs=tuple(variant.part for variant in registry.VARIANTS),
    root=True,
)
