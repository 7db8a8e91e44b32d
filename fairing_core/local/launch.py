"""Makes a run of a staging and starts its supervisor: all of it, or nothing."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from fairing_core import errors
from fairing_core.local import files, places, records, staging, supervisor
from fairing_core.local.handle import LocalRun


def launch(
    folder: Path,
    run: LocalRun,
    *,
    command: Sequence[str],
    args: Sequence[str],
    workdir: str,
    environment: Mapping[str, str],
    returns: bool,
    outputs: Sequence[str],
    grace: float,
) -> None:
    """Starts `command` and `args` in the unpacked code of `folder`, which becomes the run's.

    `environment` is the program's own, whole; `workdir` lies under ``/app``.

    Raises:
        InvalidArgument: the name is taken, or arguments and environment are too many.
        StateError: the disk is full, can't be written to, or the machine has no more processes.
    """
    directory = folder.with_name(run.name)
    app = directory / "app"
    place = Path(places.place(workdir, app))
    if returns:
        environment = {**environment, "FAIRING_RESULT": str(directory / "result.json")}
    lock = staging.take(folder)
    try:
        (folder / place.relative_to(directory)).mkdir(parents=True, exist_ok=True)
        records.write_run(
            folder,
            {
                "uid": run.uid,
                "name": run.name,
                "created": time.time(),
                "command": list(command),
                "args": list(args),
                "workdir": workdir,
                "returns": returns,
                "outputs": list(outputs),
                "grace": grace,
                "program": [_program(command[0], app), *_placed(command[1:], app)],
                "directory": str(place),
            },
        )
        (folder / "log").touch(mode=0o600)
        supervisor.reserve_state(str(folder))
        supervisor.write_state(str(folder), supervisor.blank_state(run.uid))
        supervisor.reserve_state(str(folder))
        _name(folder, directory)
    except OSError as exc:
        staging.discard(folder)
        if isinstance(exc, errors.FairingError):
            raise
        raise files.trouble(exc, folder.parent) from exc
    except BaseException:
        staging.discard(folder)
        raise
    try:
        said = _start(directory, lock, environment, grace)
    except BaseException as exc:
        staging.release(folder)
        run.delete()
        if isinstance(exc, OSError):
            raise _not_started(exc, directory) from exc
        raise
    staging.release(folder)
    if said != "ok":
        run.delete()
        code = said.removeprefix("errno ")
        if code.isdecimal():
            cause = OSError(int(code), os.strerror(int(code)))
            raise _not_started(cause, directory) from cause
        raise errors.StateError(f"the supervisor of {run.name} ended at once: {said or 'killed'}")


def _name(folder: Path, directory: Path) -> None:
    try:
        folder.rename(directory)
    except OSError as exc:
        if exc.errno not in {errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR}:
            raise
        raise errors.InvalidArgument(
            f"there is a run {directory.name!r} already, in {directory.parent}; choose another "
            f"job_name, or remove that run with 'fairing rm {directory.name}'"
        ) from exc


def _program(name: str, app: Path) -> str:
    """Images have their Python under these names; here, it is the current one."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    if name in {"python", "python3", f"python{version}"}:
        return sys.executable
    return places.place(name, app)


def _placed(elements: Sequence[str], app: Path) -> list[str]:
    return [places.place(element, app) for element in elements]


def _start(directory: Path, lock: int, environment: Mapping[str, str], grace: float) -> str:
    """What the supervisor says: ``ok``, ``errno N``, or how it failed."""
    utf8 = sys.getfilesystemencoding().lower() == "utf-8"  # both must turn text into one encoding
    ctype = environment.get("LC_CTYPE")
    process = subprocess.Popen(
        [
            *(sys.executable, "-I", "-S", "-X", f"utf8={int(utf8)}", supervisor.__file__),
            *(str(directory), str(lock), str(grace)),
            *(() if ctype is None else (ctype,)),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment,
        cwd="/",
        pass_fds=(lock,),
        start_new_session=True,
    )
    with process:
        assert process.stdout is not None
        return process.stdout.read().decode(errors="replace").strip()


def _not_started(exc: OSError, directory: Path) -> errors.FairingError:
    if exc.errno == errno.E2BIG:
        return errors.InvalidArgument(
            "arguments and environment take more than the "
            f"{os.sysconf('SC_ARG_MAX'):,} bytes that the kernel gives them together; "
            "pass what is big in a file (input_files)"
        )
    if exc.errno in {errno.EAGAIN, errno.ENOMEM}:
        return errors.StateError(
            f"{directory.name} can't be started: {exc.strerror}; the machine, or your account, "
            "has no more processes or memory to give (ulimit -u)"
        )
    return files.trouble(exc, directory.parent)
