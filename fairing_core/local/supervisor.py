"""Runs the program of one local run to its end, and records how it ended.

A script of its own, detached from the process that submitted: standard library only and without
`site`, so that it starts in a few milliseconds, whatever the user's environment is::

    python -I -S supervisor.py RUN LOCK_FD GRACE [LC_CTYPE]

LOCK_FD is the locked ``RUN/lock``, which stays locked for as long as the supervisor lives. Standard
output gets ``ok`` once the program runs or its failure is recorded, or ``errno N`` when the run
can't be started at all. SIGTERM cancels the run.

The rest of the package imports this module for the names and the form of its records.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import sys
import time
from types import FrameType
from typing import Any, NoReturn

if sys.platform != "win32":
    import fcntl

SCHEMA = 1
"""The version of ``run.json`` and ``state.json``."""

_STATE_SIZE = 4096
_REMAINS = 2.0  # seconds that killed processes get to vanish, before the end is recorded
_NOT_EXECUTABLE = {
    errno.ENOENT: (127, "command not found"),
    errno.ENOTDIR: (127, "command not found"),
    errno.ENAMETOOLONG: (127, "command not found"),
    errno.EACCES: (126, "command can't be executed (no permission)"),
    errno.EISDIR: (126, "command can't be executed (a folder)"),
    errno.ELOOP: (126, "command can't be executed (links in a circle)"),
    errno.ENOEXEC: (126, "command can't be executed (no program for this machine, no #! line)"),
}


def place() -> str:
    """What the pids of a record belong to: this boot and pid namespace (Linux; elsewhere "")."""
    boot = _text("/proc/sys/kernel/random/boot_id").strip()
    return f"{boot} {os.readlink('/proc/self/ns/pid')}" if boot else ""


def born(pid: int) -> str:
    """What tells this process from a later one of the same pid (Linux; elsewhere "")."""
    return "".join(_stat(pid)[19:20])


def _stat(pid: int) -> list[str]:
    """The fields of ``/proc/PID/stat`` from the third on: state, parent's pid, ..., start time."""
    return _text(f"/proc/{pid}/stat").rpartition(")")[2].split()


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def reserve_state(run: str) -> None:
    """Takes the disk space of the next state now, so that it can be recorded on a full disk."""
    fd = os.open(f"{run}/state.next", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(fd, b" " * _STATE_SIZE)
        os.fsync(fd)
    finally:
        os.close(fd)


def write_state(run: str, state: dict[str, Any]) -> None:
    """Makes `state` the run's, at once; overwrites what `reserve_state` took, in place."""
    content = json.dumps({"schema": SCHEMA, **state}).encode().ljust(_STATE_SIZE - 1) + b"\n"
    fd = os.open(f"{run}/state.next", os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, content)
        os.fsync(fd)
    finally:
        os.close(fd)
    os.replace(f"{run}/state.next", f"{run}/state.json")


def blank_state(uid: str) -> dict[str, Any]:
    """The state of a run that was not started yet."""
    return {
        "uid": uid,
        "state": "pending",
        "supervisor": None,
        "program": None,
        "born": "",
        "place": place(),
        "started": None,
        "ended": None,
        "exit_code": None,
        "reason": None,
    }


class _Supervisor:
    def __init__(self, run: str, grace: float) -> None:
        self._run = run
        self._grace = grace
        self._cancelled = False
        self._over = False
        with open(f"{run}/run.json", encoding="utf-8") as file:
            record = json.load(file)
        self._state = blank_state(record["uid"]) | {"supervisor": os.getpid()}
        self._argv: list[str] = [*record["program"], *record["args"]]
        os.chdir(record["directory"])
        self._log = os.open(f"{run}/log", os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)

    def start(self) -> None:
        """Raises OSError when the run can't be started; then its end was not recorded."""
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        signal.signal(signal.SIGTERM, self._cancel)
        signal.signal(signal.SIGALRM, lambda *_: self._kill(signal.SIGKILL))
        _adopt()
        pid, error = self._spawn()
        if error:
            os.waitpid(pid, 0)
            self._record(*self._not_started(error))
        _report("ok", self._log)

    def finish(self) -> None:
        """Waits for the program's end, and records it."""
        if not self._over:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
            self._record(*self._wait(self._state["program"]))

    def _spawn(self) -> tuple[int, int]:
        """The program's pid, and 0 or why it could not be executed.

        The program waits in its own process until its pid is recorded: it never runs unknown, and a
        disk too full for the record stops it before its first instruction.
        """
        guard = os.open(f"{self._run}/program.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(guard, fcntl.LOCK_EX)
        go, gone = os.pipe(), os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(go[1])
            self._become_program(guard, go[0], gone[1])
        for fd in (guard, go[0], gone[1]):
            os.close(fd)
        try:
            self._state.update(state="running", program=pid, born=born(pid), started=time.time())
            write_state(self._run, self._state)
            reserve_state(self._run)
        except OSError:
            os.close(go[1])
            os.waitpid(pid, 0)
            raise
        os.write(go[1], b"1")
        os.close(go[1])
        error = int(os.read(gone[0], 16) or b"0")  # closed by a successful exec
        os.close(gone[0])
        if error and error not in _NOT_EXECUTABLE:
            os.waitpid(pid, 0)
            raise OSError(error, os.strerror(error))
        return pid, error

    def _become_program(self, guard: int, go: int, gone: int) -> NoReturn:
        try:
            os.setsid()
            os.set_inheritable(guard, True)
            if not os.read(go, 1):
                os._exit(1)
            os.dup2(self._log, 1)
            os.dup2(self._log, 2)
            for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
            os.execvp(self._argv[0], self._argv)  # noqa: S606 - without a shell
        except OSError as error:
            os.write(gone, b"%d" % (error.errno or 1))
        finally:
            os._exit(127)

    def _cancel(self, _number: int, _frame: FrameType | None) -> None:
        if not self._cancelled and not self._over:
            self._cancelled = True
            self._kill(signal.SIGTERM)
            signal.setitimer(signal.ITIMER_REAL, max(self._grace, 1e-6))

    def _kill(self, number: int) -> None:
        if not self._over:
            with contextlib.suppress(OSError):  # macOS: EPERM where only zombies are left
                os.killpg(self._state["program"], number)

    def _wait(self, pid: int) -> tuple[str, int, str | None]:
        # Not reaped yet, the program keeps its pid, so what is left of its group can be killed
        # without hitting another's. macOS has no waitid before Python 3.13.
        status = None
        if hasattr(os, "waitid"):
            while (ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)) is not None:
                if ended.si_pid == pid:
                    break
                os.waitpid(ended.si_pid, 0)
        else:
            _, status = os.waitpid(pid, 0)
        self._kill(signal.SIGKILL)
        self._over = True
        if status is None:
            _, status = os.waitpid(pid, 0)
        _end_remains(pid)
        code = os.waitstatus_to_exitcode(status)
        reason = None
        if code < 0:
            with contextlib.suppress(ValueError):
                reason = f"killed by {signal.Signals(-code).name}"
            code, reason = 128 - code, reason or f"killed by signal {-code}"
        if self._cancelled:
            return "cancelled", code, reason
        return "failed" if code else "succeeded", code, reason

    def _not_started(self, error: int) -> tuple[str, int, str]:
        if error == errno.EACCES and not _exists(self._argv[0]):
            error = errno.ENOENT  # a folder of PATH can't be looked into: shells say so, too
        code, why = _NOT_EXECUTABLE[error]
        reason = f"{why}: {self._argv[0][:200]}"
        with contextlib.suppress(OSError):
            os.write(self._log, f"fairing: {reason}\n".encode(errors="surrogateescape"))
        return "failed", code, reason

    def _record(self, state: str, code: int, reason: str | None) -> None:
        self._over = True
        self._state.update(state=state, exit_code=code, reason=reason, ended=time.time())
        write_state(self._run, self._state)


def _exists(command: str) -> bool:
    folders = [""] if "/" in command else os.get_exec_path()
    return any(os.path.lexists(os.path.join(folder, command)) for folder in folders)


def _adopt() -> None:
    """Makes this process the parent of what the program leaves behind, as a container's init is.

    Linux only; elsewhere, what leaves the program's process group outlives the run.
    """
    with contextlib.suppress(ImportError, OSError, AttributeError):
        import ctypes

        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER


def _end_remains(group: int) -> None:
    """Kills what the program left behind, so that its log is complete when its end is seen."""
    deadline = time.monotonic() + _REMAINS
    with contextlib.suppress(ChildProcessError):
        while time.monotonic() < deadline:
            if os.waitpid(-1, os.WNOHANG) == (0, 0):
                for child in _children():
                    with contextlib.suppress(OSError):  # another user's
                        os.kill(child, signal.SIGKILL)  # not reaped: the pid is nobody else's
                time.sleep(0.002)
    with contextlib.suppress(OSError):
        while time.monotonic() < deadline:
            os.killpg(group, 0)
            time.sleep(0.002)


def _children() -> list[int]:
    me = str(os.getpid())
    pids = map(int, filter(str.isdigit, os.listdir("/proc")))
    return [pid for pid in pids if _stat(pid)[1:2] == [me]]


def _report(text: str, log: int | None) -> None:
    """Tells the submitting process, which may be gone, and lets go of its pipe."""
    with contextlib.suppress(OSError):
        os.write(1, f"{text}\n".encode())
    for fd in (1, 2):
        os.dup2(0 if log is None else log, fd)


def _main(run: str, lock: str, grace: str, *ctype: str) -> None:
    # Python has set LC_CTYPE in the "C" locale (PEP 538), -I or not: the program gets the user's.
    if ctype:
        os.environ["LC_CTYPE"] = ctype[0]
    else:
        os.environ.pop("LC_CTYPE", None)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # an ignored one would leave nothing to wait for
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        if os.fork():
            os._exit(0)
        os.set_inheritable(int(lock), False)
        supervisor = _Supervisor(run, float(grace))
        supervisor.start()
    except OSError as error:
        _report(f"errno {error.errno or 0}", None)
    else:
        supervisor.finish()


if __name__ == "__main__":
    _main(*sys.argv[1:])
