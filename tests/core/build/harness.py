"""Files on their way into a layer, and layers read by others than us."""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import tarfile
from collections.abc import Iterable
from pathlib import Path

from fairing_core.build.layer import tar
from fairing_core.types import ContextFile


def inline(destination: str, content: bytes = b"x", mode: int = 0o644) -> ContextFile:
    return ContextFile(destination, content, mode=mode, size=len(content), reason="test")


def on_disk(path: Path, destination: str, content: bytes, mode: int = 0o644) -> ContextFile:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return ContextFile(destination, path, mode=mode, size=len(content), reason="test")


def made(
    *files: ContextFile, uid: int = 0, gid: int = 0, folders: Iterable[str] = ("/app/",)
) -> bytes:
    return b"".join(tar(files, uid=uid, gid=gid, folders=folders))


def sha256(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def members(archive: bytes) -> list[tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(archive), errorlevel=2) as opened:
        return opened.getmembers()


def names(archive: bytes) -> list[str]:
    return [member.name for member in members(archive)]


def contents(archive: bytes) -> dict[str, bytes]:
    """Every file by its destination."""
    with tarfile.open(fileobj=io.BytesIO(archive), errorlevel=2) as opened:
        found = {}
        for member in opened.getmembers():
            if content := opened.extractfile(member):
                found[f"/{member.name}"] = content.read()
        return found


def run(*command: str | Path, feed: bytes = b"") -> str:
    """What a program prints, which has to succeed."""
    done = subprocess.run(command, input=feed, stdout=subprocess.PIPE, check=True, timeout=60)
    return done.stdout.decode().strip()


def run_python(program: str, *arguments: str | Path, feed: bytes = b"") -> str:
    """What a Python program prints, in a process of its own."""
    return run(sys.executable, "-c", program, *arguments, feed=feed)
