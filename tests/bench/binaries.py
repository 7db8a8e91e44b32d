"""Binaries from Go modules: built once, kept in the cache by a hash of their recipe."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import platform
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.bench.bench import Bench, BenchError
from tests.bench.locks import locked


@dataclass(frozen=True, kw_only=True)
class Binary:
    """How one binary is built.

    Without `main`, `package` is a folder of the module, built in a copy of the module's own source
    with its own go.mod and go.sum. With `main` (or `gomod`), it is built in a module of our own:
    for modules whose replace lines Go ignores elsewhere, and to leave out plugins.
    """

    name: str
    module: str
    version: str
    package: str = "."
    """With a module of our own: an import path, or "." for `main`."""
    main: str = ""
    """The text of main.go."""
    gomod: str = ""
    """The text of go.mod; `go mod tidy` completes it."""
    ldflags: str = ""
    """Added to ``-s -w``."""
    tags: str = ""
    cgo: bool = False
    debian: tuple[str, ...] = ()
    """Debian packages that only the build needs."""

    @property
    def own(self) -> bool:
        """Whether it is built in a module of our own."""
        return bool(self.main or self.gomod)

    @property
    def key(self) -> str:
        """What the cache files it under: another recipe is another binary."""
        recipe = {**asdict(self), "machine": platform.machine()}
        digest = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()
        return f"{self.name}-{self.version}-{digest[:12]}"

    def path(self, cache: Path) -> Path:
        """Where the built binary is."""
        return cache / "bin" / self.key / self.name


def missing(bench: Bench, binaries: Sequence[Binary]) -> list[Binary]:
    """Those that are not built yet."""
    return [each for each in binaries if not each.path(bench.cache).exists()]


def provide(bench: Bench, binaries: Sequence[Binary]) -> None:
    """Builds those that are missing, and links all into the bench's `bin`."""
    if missing(bench, binaries):
        bench.cache.mkdir(parents=True, exist_ok=True)
        with _go_caches(bench):
            for binary in missing(bench, binaries):
                _build_once(bench, binary)
    bench.bin.mkdir(parents=True, exist_ok=True)
    for binary in binaries:
        link = bench.bin / binary.name
        fresh = link.with_suffix(f".{os.getpid()}")
        fresh.symlink_to(binary.path(bench.cache))
        fresh.replace(link)


def _build_once(bench: Bench, binary: Binary) -> None:
    def waiting() -> None:
        bench.say(f"{binary.name}: someone else builds it; waiting")

    with locked(bench.cache / "bin" / f"{binary.key}.lock", waiting):
        target = binary.path(bench.cache)
        if target.exists():
            return
        began = time.monotonic()
        bench.say(f"{binary.name} {binary.version}: building, once")
        fresh = target.parent / f".{binary.name}.new"
        target.parent.mkdir(parents=True, exist_ok=True)
        _build(bench, binary, fresh)
        fresh.replace(target)
        size = target.stat().st_size / 1e6
        bench.say(f"{binary.name}: built in {time.monotonic() - began:.0f} s, {size:.0f} MB")


def _build(bench: Bench, binary: Binary, target: Path) -> None:
    if binary.own:
        folder = _own_module(bench, binary)
        package = binary.package
    else:
        folder = _copied_module(bench, binary)
        package = f"./{binary.package}"
    ldflags = f"-s -w {binary.ldflags}".strip()
    command = ["go", "build", "-trimpath", "-ldflags", ldflags, "-tags", binary.tags]
    _go(bench, binary, [*command, "-o", str(target), package], folder)


def _copied_module(bench: Bench, binary: Binary) -> Path:
    """A copy of the module's source: `go install` asks for lists that are not served for all."""
    told = _go(
        bench, binary, ["go", "mod", "download", "-json", f"{binary.module}@{binary.version}"]
    )
    source = Path(json.loads(told)["Dir"])
    copy = _go_folder(bench) / "source" / source.relative_to(_go_folder(bench) / "mod")
    if not copy.exists():
        fresh = copy.with_name(f"{copy.name}.{os.getpid()}")
        shutil.copytree(source, fresh)
        subprocess.run(["chmod", "-R", "u+w", str(fresh)], check=True)
        with contextlib.suppress(OSError):  # someone else's copy is as good
            fresh.rename(copy)
    return copy


def _own_module(bench: Bench, binary: Binary) -> Path:
    text = binary.gomod or f"module bench/{binary.name}\nrequire {binary.module} {binary.version}\n"
    digest = hashlib.sha256(f"{text}\0{binary.main}\0{binary.package}".encode()).hexdigest()[:12]
    folder = _go_folder(bench) / "own" / f"{binary.name}-{digest}"
    with locked(folder.with_suffix(".lock")):
        if not (folder / "go.sum").exists():
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "go.mod").write_text(text)
            imported = f'//go:build tools\n\npackage tools\n\nimport _ "{binary.package}"\n'
            (folder / "main.go").write_text(binary.main or imported)
            _go(bench, binary, ["go", "mod", "tidy"], folder)
    return folder


def _go(bench: Bench, binary: Binary, command: list[str], folder: Path | None = None) -> str:
    """What a Go command printed; tells every now and then that it is still at it."""
    go = _go_folder(bench)
    environ = {
        **os.environ,
        "GOCACHE": str(go / "build"),
        "GOMODCACHE": str(go / "mod"),
        "GOPATH": str(go / "path"),
        "GOTMPDIR": "",
        "GOFLAGS": "-buildvcs=false -modcacherw" + (" -mod=mod" if binary.own else ""),
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
        "CGO_ENABLED": "1" if binary.cgo else "0",
    }
    log = bench.cache / "bin" / f"{binary.key}.log"
    out = bench.cache / "bin" / f"{binary.key}.out"
    with log.open("w") as errors, out.open("w") as output:
        process = subprocess.Popen(
            ["nice", "-n", "10", *command],
            cwd=folder or go,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
        )
        bench.tell_while(process, f"{binary.name}: go {command[1]}")
    text = out.read_text()
    out.unlink()
    if process.returncode:
        last = "\n".join(log.read_text().splitlines()[-15:])
        raise BenchError(f"{binary.name} can't be built: `{' '.join(command)}` said\n{last}\n{log}")
    log.unlink()
    return text


def _go_folder(bench: Bench) -> Path:
    return bench.cache / "go"


@contextlib.contextmanager
def _go_caches(bench: Bench) -> Iterator[None]:
    """Go's caches, emptied by whoever is the last to build: they grow to 26 GB.

    After a build that failed they stay, so that the next try need not begin from nothing.
    """
    with (bench.cache / "go.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        _go_folder(bench).mkdir(parents=True, exist_ok=True)
        yield
        with contextlib.suppress(BlockingIOError):  # someone else still builds, and will empty them
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(_go_folder(bench))
