"""Base images from Debian's packages, in every registry of the bench.

They are made once and kept in the cache as an OCI layout, by a hash of their recipe. A registry
gets them as links into its storage, which takes no time, however many registries there are.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import shutil
import tarfile
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench import debian, oci, registry
from tests.bench.bench import Bench, write
from tests.bench.locks import locked
from tests.bench.part import Part
from tests.bench.registry import Registry

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
TAG = f"{debian.SUITE}-{hashlib.sha256(json.dumps(RECIPE).encode()).hexdigest()[:12]}"
"""Another recipe is another tag: nodes don't pull one again that they have."""
_NAME = "org.opencontainers.image.ref.name"


@dataclass(frozen=True)
class Base:
    """A base image; every registry of the bench has it."""

    repository: str
    digest: str

    def at(self, registry: Registry) -> str:
        """What clients call it at `registry`."""
        return f"{registry.name}/{self.repository}:{TAG}"

    def at_nodes(self, registry: Registry) -> str:
        """What the cluster's nodes call it there: the same, but for a registry with two names."""
        return f"{registry.node_name}/{self.repository}:{TAG}"


def find(bench: Bench) -> Mapping[str, Base]:
    """The base images by the end of their names; none while they are not made."""
    try:
        index = json.loads((_layout(bench) / "index.json").read_text())
    except FileNotFoundError:
        return {}
    named = {each["annotations"][_NAME]: each["digest"] for each in index["manifests"]}
    return {name.partition("/")[2]: Base(name, digest) for name, digest in named.items()}


def provide(bench: Bench) -> Path:
    """The OCI layout that holds them; made when the cache has none of this recipe."""

    def waiting() -> None:
        bench.say("base images: someone else makes them; waiting")

    layout = _layout(bench)
    with locked(layout.with_suffix(".lock"), waiting):
        if not layout.exists():
            began = time.monotonic()
            bench.say("base images: making them from Debian's packages, once")
            fresh = layout.with_suffix(".new")
            shutil.rmtree(fresh, ignore_errors=True)
            _make(bench, fresh)
            fresh.rename(layout)
            size = sum(blob.stat().st_size for blob in _blobs(layout)) / 1e6
            bench.say(f"base images: made in {time.monotonic() - began:.0f} s, {size:.0f} MB")
    return layout


def _layout(bench: Bench) -> Path:
    return bench.cache / "bases" / TAG


def _blobs(layout: Path) -> list[Path]:
    return sorted((layout / "blobs" / "sha256").iterdir())


def _make(bench: Bench, layout: Path) -> None:
    work = layout.with_suffix(".work")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
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
        below, learns, user = pool.map(lambda tar: _Layer.put(layout, tar), tars)
    listed = [
        _put_image(layout, "base/python", RUN, (below,)),
        _put_image(layout, "base/user", RUN_AS_USER, (below, user)),
        _put_image(layout, "base/ml", RUN, (below, learns)),
    ]
    write(layout / "oci-layout", json.dumps({"imageLayoutVersion": "1.0.0"}))
    write(layout / "index.json", json.dumps({"schemaVersion": 2, "manifests": listed}, indent=1))
    shutil.rmtree(work)


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


@dataclass(frozen=True)
class _Layer:
    descriptor: Mapping[str, Any]
    diff_id: str

    @classmethod
    def put(cls, layout: Path, tar: Path) -> _Layer:
        """Compresses a tar into the layout."""
        content = tar.read_bytes()
        packed = io.BytesIO()
        with gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=6, mtime=0) as stream:
            stream.write(content)
        media = f"{oci.TYPE}.layer.v1.tar+gzip"
        return cls(_put(layout, packed.getvalue(), media), oci.digest(content))


def _put_image(
    layout: Path, name: str, run: Mapping[str, Any], layers: tuple[_Layer, ...]
) -> dict[str, Any]:
    config = oci.config(run, [layer.diff_id for layer in layers])
    _put(layout, config, oci.CONFIG)
    manifest = oci.manifest(config, [layer.descriptor for layer in layers])
    return {**_put(layout, manifest, oci.MANIFEST), "annotations": {_NAME: name}}


def _put(layout: Path, content: bytes, media: str) -> dict[str, Any]:
    described = oci.descriptor(content, media)
    blob = layout / "blobs" / described["digest"].replace(":", "/")
    blob.parent.mkdir(parents=True, exist_ok=True)
    blob.write_bytes(content)
    return described


# --- into the registries --------------------------------------------------------------------------


def _start(bench: Bench, part: str) -> None:
    bench.folder(part)
    layout = provide(bench)
    for variant in registry.VARIANTS:
        store = registry.storage(bench, variant.part)
        for blob in _blobs(layout):
            _link(blob, store / "blobs" / "sha256" / blob.name[:2] / blob.name / "data")
        for base in find(bench).values():
            _refer(store / "repositories" / base.repository, layout, base)


def _refer(repository: Path, layout: Path, base: Base) -> None:
    """What distribution keeps of a repository: its blobs' names, a manifest, a tag."""
    manifest = json.loads((layout / "blobs" / base.digest.replace(":", "/")).read_text())
    for each in (manifest["config"], *manifest["layers"]):
        name = each["digest"]
        write(repository / "_layers" / name.replace(":", "/") / "link", name)
    revision = base.digest.replace(":", "/")
    tag = repository / "_manifests" / "tags" / TAG
    for place in (repository / "_manifests" / "revisions" / revision, tag / "index" / revision):
        write(place / "link", base.digest)
    write(tag / "current" / "link", base.digest)


def _link(source: Path, target: Path) -> None:
    """The same file twice, or a copy where a file system ends between the two."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except FileExistsError:
        pass  # a blob of that name holds the same bytes
    except OSError:
        shutil.copyfile(source, target)


def _ready(bench: Bench, part: str) -> str | None:
    found = find(bench)
    if not found:
        return "this clone's base images are not made"
    for variant in registry.VARIANTS:
        for base in found.values():
            repository = registry.storage(bench, variant.part) / "repositories" / base.repository
            link = repository / "_manifests" / "tags" / TAG / "current" / "link"
            if not link.exists() or link.read_text() != base.digest:
                return f"{variant.part} has not {base.repository} of this clone"
    return None


def _environment(bench: Bench) -> Mapping[str, str]:
    return {
        f"FAIRING_BENCH_BASE_{name.upper()}": f"{base.repository}:{TAG}"
        for name, base in find(bench).items()
    }


BASES = Part(
    name=PART,
    about="base/python, base/user and base/ml from Debian's packages, in every registry",
    start=_start,
    ready=_ready,
    environment=_environment,
    debian=("mmdebstrap",),
    needs=tuple(variant.part for variant in registry.VARIANTS),
    root=True,
)
