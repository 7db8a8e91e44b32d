"""`up`, `down` and `status`: one bench at a time, parts side by side, nothing left behind."""

from __future__ import annotations

import functools
import hashlib
import shutil
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Literal

from tests.bench import binaries, machine
from tests.bench.bench import Bench, BenchError
from tests.bench.locks import locked
from tests.bench.part import Part

State = Literal["up", "down", "broken"]


def up(bench: Bench, parts: Sequence[Part], others: Sequence[Part] = ()) -> None:
    """Brings `parts` up: a bench that runs is shared, and what is broken is started anew.

    So are those of `others` that need what was broken.

    Raises:
        BenchError: a part can't be had here, or did not become ready; the others may be up.
    """
    with _alone(bench):
        states = {part.name: status(bench, part)[0] for part in parts}
        if all(state == "up" for state in states.values()):
            bench.say(f"already up: {', '.join(states)}")
            if old := [part.name for part in parts if _source_of(bench, part) != _source()]:
                bench.say(f"started by other code than this: {', '.join(old)}; `down` ends them")
            return
        for part in parts:
            if lacks := machine.lacks(bench, part):
                raise BenchError(f"{part.name}: {lacks}")
        machine.install(bench, parts)
        binaries.provide(bench, [each for part in parts for each in part.binaries])
        started = [each for each in others if _started(bench, each).exists()]
        known = list({part.name: part for part in (*parts, *started)}.values())
        fallen = _fallen(known, {name for name, state in states.items() if state == "broken"})
        _clean(bench, fallen)
        _start(bench, [part for part in known if part in fallen or states.get(part.name) == "down"])


def down(bench: Bench, parts: Sequence[Part]) -> None:
    """Takes all away: processes, mounts, what parts made elsewhere, the state folder.

    Raises:
        BenchError: a part could not be taken away; all others are, and `down` may be tried again.
    """
    if not bench.run.exists():
        return
    faults = []
    with _alone(bench):
        for part in reversed(parts):
            if _started(bench, part).exists():
                bench.say(f"{part.name}: stopping")
                try:
                    part.stop(bench, part.name)
                except Exception as exc:  # noqa: BLE001  the other parts have to go all the same
                    faults.append(f"{part.name} could not be stopped: {exc}")
        bench.processes.end_strays()
        if faults:
            raise BenchError("\n".join(faults))
        machine.unmount(bench.run)
        shutil.rmtree(bench.run)


def status(bench: Bench, part: Part) -> tuple[State, str]:
    """Whether a part is up, and what is wrong with a broken one."""
    if not _started(bench, part).exists():
        return "down", ""
    if dead := bench.processes.dead(part.name):
        return "broken", dead
    answer = part.ready(bench, part.name)
    return ("up", "") if answer is None else ("broken", answer)


def _fallen(parts: Sequence[Part], broken: set[str]) -> list[Part]:
    """Broken parts, and started ones that need them: what `up` has to take away first."""
    fallen = set(broken)
    for part in parts:  # needs come first
        if fallen & set(part.needs):
            fallen.add(part.name)
    return [part for part in parts if part.name in fallen]


def _clean(bench: Bench, fallen: Sequence[Part]) -> None:
    for part in reversed(fallen):
        if not _started(bench, part).exists():
            continue
        bench.say(f"{part.name}: was started and is not well; cleaning up")
        part.stop(bench, part.name)
        bench.processes.end_all(part.name)
        machine.unmount(bench.folder(part.name))
        shutil.rmtree(bench.folder(part.name))
        _started(bench, part).unlink(missing_ok=True)


def _start(bench: Bench, parts: Sequence[Part]) -> None:
    """Starts parts side by side, each once its needs are ready."""
    ready = {part.name: threading.Event() for part in parts}
    failed: dict[str, str] = {}

    def bring_up(part: Part) -> None:
        try:
            for need in part.needs:
                if need in ready:
                    ready[need].wait()
                if need in failed:
                    raise BenchError(f"{need}, which it needs, is not up")
            _bring_up(bench, part)
        except Exception as exc:  # noqa: BLE001  every part's fault is told, not only the first
            failed[part.name] = str(exc) if isinstance(exc, BenchError) else repr(exc)
            bench.say(f"{part.name}: FAILED")
        finally:
            ready[part.name].set()

    with ThreadPoolExecutor(max_workers=len(parts) or 1) as pool:
        list(pool.map(bring_up, parts))
    if failed:
        raise BenchError("\n\n".join(f"{name}: {why}" for name, why in failed.items()))


def _bring_up(bench: Bench, part: Part) -> None:
    started = _started(bench, part)
    started.parent.mkdir(parents=True, exist_ok=True)
    started.write_text(_source())  # before it starts: a crash on the way is cleaned up too
    part.start(bench, part.name)

    def ask() -> str | None:
        if dead := bench.processes.dead(part.name):
            raise BenchError(dead)
        return part.ready(bench, part.name)

    bench.wait(ask, seconds=part.patience, what=part.name)
    bench.say(f"{part.name}: up")


def _started(bench: Bench, part: Part) -> Path:
    return bench.run / "started" / part.name


def _source_of(bench: Bench, part: Part) -> str:
    """The digest of the code that started a part."""
    return _started(bench, part).read_text()


@functools.cache
def _source() -> str:
    """A digest of the bench's own code: clones share a bench, and may differ in it."""
    folder = Path(__file__).parent
    files = sorted(path for path in folder.rglob("*.py") if not path.name.startswith("test_"))
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in files)).hexdigest()


def _alone(bench: Bench) -> AbstractContextManager[None]:
    """Holds the bench's lock. It stays in the cache: removing it would let two hold it at once."""
    name = hashlib.sha256(str(bench.run).encode()).hexdigest()[:12]
    lock = bench.cache / "locks" / name
    return locked(lock, lambda: bench.say("another bench command runs; waiting for it"))
