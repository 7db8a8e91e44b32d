"""The programs that are measured: ours, and those beside it."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
import uuid
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from benchmarks.appending.contents import Content
from benchmarks.appending.measure import timed

PIECE = 1 << 20
OCI = "application/vnd.oci.image"


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

    def commands(self, task: Task) -> Iterator[list[str]]:
        """Commands to be timed, one after the other; what happens in between is not."""
        ...


class Ours:
    """Our command line."""

    name = "ours"

    def commands(self, task: Task) -> Iterator[list[str]]:
        """`fairing build`."""
        fairing = str(Path(sys.executable).with_name("fairing"))
        words = [fairing, "build", str(task.content.folder), "-b", task.base, "-t", task.target]
        yield [*words, "--push"]


@dataclass(frozen=True)
class Crane:
    """`crane append`, of a tar that is there already."""

    binary: Path
    name: str = "crane"

    def commands(self, task: Task) -> Iterator[list[str]]:
        """One command."""
        tar = str(task.content.tar)
        yield [str(self.binary), "append", "-b", task.base, "-t", task.target, "-f", tar]


@dataclass(frozen=True)
class Docker:
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

    def commands(self, task: Task) -> Iterator[list[str]]:
        """What opens the uploads, then what sends; the work of any builder is done in between."""
        host, _, rest = task.target.partition("/")
        repository, _, tag = rest.partition(":")
        root = f"{'http' if task.plain else 'https'}://{host}"
        api = f"{root}/v2/{repository}"
        base = task.base.partition("/")[2].partition(":")
        layer, config, manifest, digests = _image(task, f"{root}/v2/{base[0]}", base[2])
        heads = [task.folder / f"answer-{number}" for number in range(2)]
        posts = [_request(f"{api}/blobs/uploads/", 'data = ""', head=head) for head in heads]
        mounts = [
            _request(f"{api}/blobs/uploads/?mount={digest}&from={base[0]}", 'data = ""')
            for digest in digests
        ]
        if repository.startswith("new/"):
            posts += mounts
        else:
            timed(_curl(task, mounts), task.environ)  # as if the run before had done it
        yield _curl(task, posts)
        puts = []
        for head, path in zip(heads, (layer, config), strict=True):
            where = _location(head)
            where = f"{root}{where}" if where.startswith("/") else where
            url = f"{where}{'&' if '?' in where else '?'}digest={_digest(path)}"
            puts.append(_put(url, path, "application/octet-stream"))
        puts.append(_put(f"{api}/manifests/{tag}", manifest, f"{OCI}.manifest.v1+json"))
        yield _curl(task, puts)


def _image(task: Task, api: str, tag: str) -> tuple[Path, Path, Path, list[str]]:
    """Files of the layer, the config and the manifest; and the digests of the base's layers."""
    layer, diff_id = task.folder / "layer.gz", hashlib.sha256()
    gzip = _compressor()
    with task.content.tar.open("rb") as source, layer.open("wb") as output:
        while piece := source.read(PIECE):
            diff_id.update(piece)
            output.write(gzip.compress(piece))
        output.write(gzip.flush())
    accept = f"{OCI}.manifest.v1+json"
    manifest = _get(task, f"{api}/manifests/{tag}", accept)
    config = _get(task, f"{api}/blobs/{manifest['config']['digest']}", "*/*")
    mounts = [each["digest"] for each in manifest["layers"]]
    config["rootfs"]["diff_ids"].append(f"sha256:{diff_id.hexdigest()}")
    config["history"].append({"created_by": "curl"})
    files = task.folder / "config.json", task.folder / "manifest.json"
    files[0].write_text(json.dumps(config))
    kind = manifest["layers"][0]["mediaType"]
    size = layer.stat().st_size
    manifest["layers"].append({"mediaType": kind, "digest": _digest(layer), "size": size})
    manifest["config"]["digest"] = _digest(files[0])
    manifest["config"]["size"] = files[0].stat().st_size
    files[1].write_text(json.dumps(manifest))
    return layer, *files, mounts


def _compressor() -> Any:
    try:
        from isal import isal_zlib
    except ImportError:
        return zlib.compressobj(1, wbits=31)
    return isal_zlib.compressobj(1, wbits=31)


def _get(task: Task, url: str, accept: str) -> dict[str, Any]:
    told = task.folder / "told"
    timed(_curl(task, [_request(url, f'header = "Accept: {accept}"', to=told)]), task.environ)
    found: dict[str, Any] = json.loads(told.read_text())
    return found


def _curl(task: Task, requests: list[str]) -> list[str]:
    path = task.folder / f"curl-{uuid.uuid4().hex}"
    path.write_text("next\n".join(requests))
    return ["curl", "--silent", "--show-error", "--config", str(path)]


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
