"""What is written down of a run: ``run.json``, once, and ``state.json``, as it goes."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fairing_core import errors
from fairing_core.local.supervisor import SCHEMA
from fairing_core.types import RunStatus
from fairing_core.values import field, frozen

_DAMAGES = (KeyError, TypeError, ValueError, OverflowError)


@frozen
class State:
    """Where a run is.

    `supervisor` and `program` are pids, which mean something in `place` only; `born` tells the
    program from a later process of its pid.
    """

    status: RunStatus
    uid: str = field(kw_only=True)
    supervisor: int | None = field(kw_only=True)
    program: int | None = field(kw_only=True)
    born: str = field(kw_only=True)
    place: str = field(kw_only=True)
    started: datetime | None = field(kw_only=True)
    ended: datetime | None = field(kw_only=True)
    exit_code: int | None = field(kw_only=True)
    reason: str | None = field(kw_only=True)


@frozen
class Run:
    """What was asked for; `uid` tells it from another run of its name, `grace` is in seconds.

    `outputs` are relative to `workdir`, which is below ``/app``.
    """

    name: str
    uid: str
    created: datetime
    grace: float = field(kw_only=True)
    outputs: tuple[str, ...] = field(kw_only=True)
    workdir: str = field(kw_only=True)


def write_run(directory: Path, run: dict[str, Any]) -> None:
    """Writes the run's description; it has no environment, which may hold secrets."""
    temporary = directory / "run.next"
    with temporary.open("w", encoding="utf-8") as file:
        json.dump({"schema": SCHEMA, **run}, file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(directory / "run.json")


def read_run(directory: Path) -> Run:
    """The run's description.

    Raises:
        FileNotFoundError: there is none.
        StateError: it is damaged, or of a newer version.
    """
    path = directory / "run.json"
    content = _read(path)
    try:
        created = datetime.fromtimestamp(content["created"], UTC)
        return Run(
            content["name"],
            content["uid"],
            created,
            grace=float(content["grace"]),
            outputs=tuple(content.get("outputs", ())),
            workdir=content["workdir"],
        )
    except _DAMAGES as exc:
        raise _damaged(path) from exc


def read_state(directory: Path) -> State:
    """The state as recorded, whoever lives; raises as `read_run` does."""
    path = directory / "state.json"
    content = _read(path)
    try:
        return State(
            RunStatus(content["state"]),
            uid=content["uid"],
            supervisor=content["supervisor"],
            program=content["program"],
            born=content["born"],
            place=content["place"],
            started=_time(content["started"]),
            ended=_time(content["ended"]),
            exit_code=content["exit_code"],
            reason=content["reason"],
        )
    except _DAMAGES as exc:
        raise _damaged(path) from exc


def _time(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
        schema = content["schema"]
    except FileNotFoundError:
        raise
    except OSError as exc:
        raise errors.StateError(f"{path} can't be read: {exc.strerror}") from exc
    except _DAMAGES as exc:
        raise _damaged(path) from exc
    if not isinstance(content, dict) or not isinstance(schema, int):
        raise _damaged(path)
    if schema > SCHEMA:
        raise errors.StateError(
            f"{path} was written by a newer fairing-core (record version {schema}, "
            f"this one reads {SCHEMA}); upgrade fairing-core"
        )
    return content


def _damaged(path: Path) -> errors.StateError:
    return errors.StateError(
        f"{path} is damaged; delete the run, or its folder {path.parent} if that fails, too"
    )
