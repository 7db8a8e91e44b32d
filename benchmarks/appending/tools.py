"""The programs that are measured: ours, and those beside it."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from benchmarks.appending.contents import Content
from benchmarks.appending.measure import timed

PIECE = 1 << 20
OCI = "application/vnd.oci.image"
QUIETLY = ("--silent", "--show-error", "--config")
NOTHING = 'data = ""'
HEADS = ("answer-layer", "answer-config")
LAYER, CONFIG, MANIFEST = "layer.gz", "config.json", "manifest.json"


@dataclass(frozen=True, kw_only=True)
class Task:
    """One run: the content onto the base, pushed as the target, both with their tags."""

    content: Content
    base: str
    target: str
    plain: bool
    """Whether the registry speaks plain http."""
    environ: Mapping[str, str]
    folder: Path


class Tool(Protocol):
    """A program, or several of which one waits for the other."""

    @property
    def name(self) -> str:
        """What cases call it."""
        ...

    def prepare(self, task: Task) -> None:
        """Makes what has to be there before the clock starts."""
        ...

    def commands(self, task: Task) -> Iterator[list[str]]:
        """Commands to be timed, one after the other; what happens in between is not."""
        ...


class Ready:
    """A tool that needs nothing before."""

    def prepare(self, task: Task) -> None:
        """Nothing."""


class Ours(Ready):
    """Our command line."""

    name = "ours"

    def commands(self, task: Task) -> Iterator[list[str]]:
        """`fairing build`."""
        fairing = str(Path(sys.executable).with_name("fairing"))
        words = [fairing, "build", str(task.content.folder), "-b", task.base, "-t", task.target]
        yield [*words, "--push"]


@dataclass(frozen=True)
class Crane(Ready):
    """`crane append`, of a tar that is there already."""

    binary: Path
    name: str = "crane"

    def commands(self, task: Task) -> Iterator[list[str]]:
        """One command."""
        tar = str(task.content.tar)
        yield [str(self.binary), "append", "-b", task.base, "-t", task.target, "-f", tar]


@dataclass(frozen=True)
class Docker(Ready):
    """`docker build` by BuildKit, then `docker push`; the engine has the base."""

    host: str
    name: str = "docker"

    @property
    def binary(self) -> str:
        """Debian's client, which is of the engine's version and has BuildKit in it."""
        debian = "/usr/bin/docker"
        return debian if Path(debian).exists() else shutil.which("docker") or "docker"

    @property
    def environ(self) -> dict[str, str]:
        """What its commands need."""
        return {"DOCKER_HOST": self.host, "DOCKER_BUILDKIT": "1"}

    def commands(self, task: Task) -> Iterator[list[str]]:
        """One shell, with both."""
        file = task.folder / "Dockerfile"
        file.write_text(f"FROM {task.base}\nCOPY . /app\n")
        script = '"$0" build -q -f "$1" -t "$2" "$3" && "$0" push -q "$2"'
        environ = [f"{name}={value}" for name, value in self.environ.items()]
        words = [self.binary, str(file), task.target, str(task.content.folder)]
        yield ["env", *environ, "sh", "-c", script, *words]


class Floor:
    """curl, with what has to be sent: two POSTs and the mounts, then three PUTs of ready bytes.

    Two processes, since only the answers say where to PUT to; each keeps its connection.
    """

    name = "floor"

    def prepare(self, task: Task) -> None:
        """Makes the blobs; has the base in the repository, unless that is a new one."""
        root, repository, _ = _places(task)
        image = _image(task)
        mounts = [
            _request(
                f"{root}/v2/{repository}/blobs/uploads/?mount={layer['digest']}"
                f"&from={_repository(task.base)[1]}",
                NOTHING,
            )
            for layer in image["layers"][:-1]
        ]
        posts = [
            _request(f"{root}/v2/{repository}/blobs/uploads/", NOTHING, head=task.folder / head)
            for head in HEADS
        ]
        if repository.startswith("new/"):
            posts += mounts
        else:
            timed(_curl(task, "mounts", mounts), task.environ)  # as if the run before had done it
        _curl(task, "posts", posts)

    def commands(self, task: Task) -> Iterator[list[str]]:
        """What opens the uploads, then what sends."""
        yield ["curl", *QUIETLY, str(task.folder / "posts")]
        root, repository, tag = _places(task)
        puts = []
        for head, name in zip(HEADS, (LAYER, CONFIG), strict=True):
            where = _location(task.folder / head)
            where = f"{root}{where}" if where.startswith("/") else where
            path = task.folder / name
            url = f"{where}{'&' if '?' in where else '?'}digest={_digest(path)}"
            puts.append(_put(url, path, "application/octet-stream"))
        url = f"{root}/v2/{repository}/manifests/{tag}"
        puts.append(_put(url, task.folder / MANIFEST, f"{OCI}.manifest.v1+json"))
        yield _curl(task, "puts", puts)


def _repository(image: str) -> tuple[str, str, str]:
    """Host, repository and tag of an image's name."""
    host, _, rest = image.partition("/")
    repository, _, tag = rest.partition(":")
    return host, repository, tag


def _places(task: Task) -> tuple[str, str, str]:
    host, repository, tag = _repository(task.target)
    return f"{'http' if task.plain else 'https'}://{host}", repository, tag


def _image(task: Task) -> dict[str, Any]:
    """Writes the files of layer, config and manifest; gives the manifest."""
    layer, diff_id = task.folder / LAYER, hashlib.sha256()
    gzip = _compressor()
    with task.content.tar.open("rb") as source, layer.open("wb") as output:
        while piece := source.read(PIECE):
            diff_id.update(piece)
            output.write(gzip.compress(piece))
        output.write(gzip.flush())
    _, base, tag = _repository(task.base)
    api = f"{_places(task)[0]}/v2/{base}"
    manifest = _get(task, f"{api}/manifests/{tag}", f"{OCI}.manifest.v1+json")
    config = _get(task, f"{api}/blobs/{manifest['config']['digest']}", "*/*")
    config["rootfs"]["diff_ids"].append(f"sha256:{diff_id.hexdigest()}")
    config["history"].append({"created_by": "curl"})
    written = task.folder / CONFIG
    written.write_text(json.dumps(config))
    kind = manifest["layers"][0]["mediaType"]
    size = layer.stat().st_size
    manifest["layers"].append({"mediaType": kind, "digest": _digest(layer), "size": size})
    manifest["config"] |= {"digest": _digest(written), "size": written.stat().st_size}
    (task.folder / MANIFEST).write_text(json.dumps(manifest))
    return manifest


def _compressor() -> Any:
    try:
        from isal import isal_zlib
    except ImportError:
        return zlib.compressobj(1, wbits=31)
    return isal_zlib.compressobj(1, wbits=31)


def _get(task: Task, url: str, accept: str) -> dict[str, Any]:
    told = task.folder / "told"
    request = _request(url, f'header = "Accept: {accept}"', to=told)
    timed(_curl(task, "get", [request]), task.environ)
    found: dict[str, Any] = json.loads(told.read_text())
    return found


def _curl(task: Task, name: str, requests: list[str]) -> list[str]:
    """One curl for all of them, one after the other on one connection."""
    path = task.folder / name
    path.write_text("next\n".join(requests))
    return ["curl", *QUIETLY, str(path)]


def _request(url: str, *lines: str, head: Path | None = None, to: Path | None = None) -> str:
    wanted = [f'url = "{url}"', "fail", f'output = "{to or "/dev/null"}"', *lines]
    if head:
        wanted.append(f'dump-header = "{head}"')
    return "\n".join(wanted) + "\n"


def _put(url: str, path: Path, kind: str) -> str:
    header = f'header = "Content-Type: {kind}"'
    return _request(url, f'upload-file = "{path}"', header, 'header = "Expect:"')


def _location(head: Path) -> str:
    for line in head.read_text().splitlines():
        name, _, value = line.partition(":")
        if name.lower() == "location":
            return value.strip()
    raise ValueError(f"no Location in the answer:\n{head.read_text()}")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
