"""Runs a program under a container's first process, and keeps its outputs until somebody has them.

A program that is the first process itself is spared SIGTERM by Linux; one under this is not.

Shipped as ``fairing_core/keep.py``; what follows is a container's command, then what is asked from
outside while the program is over and the container still there:

    python keep.py run PROGRAM ARGUMENT...
    python keep.py index                  the outputs, as JSON: path, size, sha256
    python keep.py send NUMBER OFFSET     one of them, from a byte on
    python keep.py release                ends the container

FAIRING_OUTPUTS holds the paths, folders and patterns that are kept (JSON), relative to where the
program starts; FAIRING_KEEP the seconds for which they are, and FAIRING_TIMEOUT those after which
the pod fails whatever its program's end was. Where FAIRING_STORE_URL is set, they are written there
(PUT) as one object, and kept only if that fails; FAIRING_STORE_CA holds the certificates (PEM) that
its host is checked with, if not the system's. A first line says that the program starts, and
where something is kept, a last one that it has ended, on stdout and on stderr, after SIGN; a log
without the first was rotated. Ends with the program's exit code (128 + n for signal n).

Standard library only, Python 3.8.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

SIGN = "\x1e[fairing: "
STORE = "FAIRING_STORE_URL"
TRUSTED = "FAIRING_STORE_CA"
_OWN = (STORE, TRUSTED, "FAIRING_RUN_UID", "FAIRING_OUTPUTS", "FAIRING_KEEP", "FAIRING_TIMEOUT")
MISSING = "there is no such file"
BUNDLE = b"fairing outputs 1 "  # then the length of the index, a line end, the index, and the files
NOT_FOUND, NOT_EXECUTABLE = 127, 126  # a shell's
_ROOMS = ("/tmp", "/dev/shm", ".")  # noqa: S108 - the container is nobody else's; after TMPDIR
_IGNORED = (signal.SIGPIPE, signal.SIGXFSZ)  # by this Python; a shell could not undo it
_PLACE = "/etc/resolv.conf"  # which a node writes when it makes the pod's place, before it pulls
_MARGIN = 10.0, 0.5  # seconds in which a node sees an end, and of the timeout at the most
_CHANCE = 2.0  # seconds for who waits already, however near the timeout is
_PAUSE = 0.05  # seconds
_BLOCK = 1 << 20


def main(words: list[str]) -> int:
    """Does what the first word says; gives the exit code."""
    word, rest = words[0], words[1:]
    if word == "run":
        return _Run().whole(rest)
    if word == "index":
        sys.stdout.write(_read("index.json"))
    elif word == "send":
        _send(int(rest[0]), int(rest[1]))
    elif word == "release":
        with open(os.path.join(_room(), "released"), "w"):
            pass
    return 0


class _Run:
    """The program, from its start to the container's end."""

    def __init__(self) -> None:
        self._child = 0
        self._is_stopped = False
        self._home = os.getcwd()
        self._began = time.time()

    def whole(self, command: list[str]) -> int:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
            signal.signal(number, self._hand_on)
        environment = _programs_own()
        _clear()
        if os.environ.get("FAIRING_RESULT") and _made_room():
            environment["FAIRING_RESULT_LARGE"] = os.path.join(_room(), "result.json")
        _say("the program starts")
        try:
            self._child = os.posix_spawnp(command[0], command, environment, setsigdef=_IGNORED)
        except OSError as exc:
            sys.stderr.write(f"{command[0]} can't be started: {exc.strerror}\n")
            return NOT_FOUND if isinstance(exc, FileNotFoundError) else NOT_EXECUTABLE
        if self._is_stopped:  # before there was anything to hand it on to
            os.kill(self._child, signal.SIGTERM)
        code = self._end()
        if not self._is_stopped:
            try:
                self._keep(code)
            except OSError as exc:  # no room on the disk, for one: no fault of the program
                _complain(f"the outputs can't be kept: {exc.strerror}: {exc.filename}")
        return code

    def _hand_on(self, number: int, frame: object) -> None:
        self._is_stopped = True
        if self._child:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._child, number)

    def _end(self) -> int:
        """Waits for the program, and for whoever else is left to the first process."""
        while True:
            pid, status = os.waitpid(-1, 0)
            if pid == self._child:
                self._child = 0
                return os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)

    def _keep(self, code: int) -> None:
        """Comes back once somebody has the outputs, or their time is over."""
        large = os.path.join(_room(), "result.json")
        has_result = os.path.exists(large)
        patterns = _json().loads(os.environ.get("FAIRING_OUTPUTS") or "[]")
        if not (has_result or patterns) or not (has_result or _made_room()):
            return
        if os.getpid() == 1:  # what still runs must not change them
            with contextlib.suppress(ProcessLookupError):
                os.kill(-1, signal.SIGKILL)
        places, missing = found(patterns, self._home)
        index = [_entry(large, None)] if has_result else []
        index += [_entry(at, path) for path, at in sorted(places.items())]
        index += [_left_out(pattern, MISSING) for pattern in missing]
        kept = [entry for entry in index if not entry.get("error")]
        for entry in index:
            if entry.get("error"):
                _complain(f"the output {entry['path'] or large!r} is left out: {entry['error']}")
        if not kept:
            return
        _write("index.json", _json().dumps(index))
        if os.environ.get(STORE) and self._stored(index):
            return
        now, seconds = time.time(), float(os.environ.get("FAIRING_KEEP") or 0)
        until = min(now + seconds, max(self._last_moment(), now + _CHANCE))
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(until))
        size = sum(entry["size"] for entry in index)
        many = f"{len(kept)} outputs, {size} bytes, are kept until {moment}"
        _say(f"the program has ended with exit code {code}; {many}")
        released = os.path.join(_room(), "released")
        while not self._is_stopped and time.time() < until and not os.path.exists(released):
            time.sleep(_PAUSE)

    def _stored(self, index: list[dict[str, Any]]) -> bool:
        """Whether the outputs are in the store now."""
        import http.client
        import urllib.parse

        entries = [entry for entry in index if not entry.get("error")]
        told = _json().dumps({"run": os.environ.get("FAIRING_RUN_UID"), "files": index}).encode()
        head = BUNDLE + b"%d\n" % len(told) + told
        size = len(head) + sum(entry["size"] for entry in entries)
        try:
            url = urllib.parse.urlsplit(os.environ[STORE])
            there: http.client.HTTPConnection
            if url.scheme == "https":
                import ssl

                trusted = ssl.create_default_context(cadata=os.environ.get(TRUSTED))
                there = http.client.HTTPSConnection(url.netloc, timeout=60, context=trusted)
            else:
                there = http.client.HTTPConnection(url.netloc, timeout=60)
            path = urllib.parse.urlunsplit(("", "", url.path or "/", url.query, ""))
            there.request("PUT", path, self._bundle(head, entries), {"Content-Length": str(size)})
            status = there.getresponse().status
            there.close()
        except (OSError, ValueError, http.client.HTTPException) as exc:
            fault = type(exc).__name__  # its text may have the URL, which is a secret
        else:
            if 200 <= status < 300:
                return True
            fault = f"HTTP {status}"
        _complain(f"the outputs can't be stored ({fault}), so they are kept here")
        return False

    def _bundle(self, head: bytes, entries: list[dict[str, Any]]) -> Iterator[bytes]:
        yield head
        for entry in entries:
            left = entry["size"]
            with open(entry["at"], "rb") as file:
                while left and not self._is_stopped:
                    block = file.read(min(left, _BLOCK))
                    if not block:
                        raise OSError("a file has changed")
                    left -= len(block)
                    yield block

    def _last_moment(self) -> float:
        """When the container has to have ended, for the cluster not to end the pod as too late."""
        timeout = float(os.environ.get("FAIRING_TIMEOUT") or "inf")
        began = self._began
        with contextlib.suppress(OSError):
            made = os.stat(_PLACE).st_mtime
            if began - timeout < made < began:  # else it is not of this pod
                began = made
        return began + timeout - min(_MARGIN[0], timeout * _MARGIN[1])


def _programs_own() -> dict[str, str]:
    """The container's variables, without those that are for the keeper."""
    found = {key: value for key, value in os.environ.items() if key not in _OWN}
    with contextlib.suppress(OSError):
        # Where there is no locale, Python has set one of its own (PEP 538).
        with open("/proc/self/environ", "rb") as file:
            given = file.read().split(b"\0")
        found.pop("LC_CTYPE", None)
        name = b"LC_CTYPE="
        for item in given:
            if item.startswith(name):
                found["LC_CTYPE"] = os.fsdecode(item[len(name) :])
    return found


def _say(told: str) -> None:
    """On both streams, since a log has the lines of each in order, but not of one and the other."""
    for stream in (1, 2):
        with contextlib.suppress(OSError):
            os.write(stream, f"{SIGN}{told}]\n".encode())


def _complain(text: str) -> None:
    """What a person has to know; before the last line, since what follows is read by nobody."""
    sys.stderr.write(f"fairing: {text}\n")
    sys.stderr.flush()


def found(patterns: Iterable[str], home: str) -> tuple[dict[str, str], list[str]]:
    """The files by the path that they go by, and the patterns of which there are none.

    The path is relative to `home` where they are below it.
    """
    import glob

    places, missing = {}, []
    for pattern in patterns:
        # A file's own name may have brackets.
        matches = glob.glob(os.path.join(glob.escape(home), pattern), recursive=True)
        paths = [path for one in (os.path.join(home, pattern), *matches) for path in _files(one)]
        for path in paths:
            name = os.path.relpath(path, home)
            is_below = name.partition("/")[0] != ".."
            places[name if is_below else path.lstrip("/")] = path
        if not paths:
            missing.append(pattern)
    return places, missing


def _files(path: str) -> Iterator[str]:
    if os.path.isfile(path):
        yield os.path.normpath(path)
    for folder, _, names in os.walk(path):
        for name in names:
            if os.path.isfile(os.path.join(folder, name)):
                yield os.path.normpath(os.path.join(folder, name))


def _entry(at: str, path: str | None) -> dict[str, Any]:
    """What is said of a file; the one without a path is the result."""
    import hashlib

    digest, size = hashlib.sha256(), 0
    try:
        with open(at, "rb") as file:
            for block in iter(lambda: file.read(_BLOCK), b""):
                digest.update(block)
                size += len(block)
    except OSError as exc:
        return _left_out(path, exc.strerror or type(exc).__name__)
    return {"path": path, "at": at, "size": size, "sha256": digest.hexdigest()}


def _left_out(path: str | None, fault: str) -> dict[str, Any]:
    return {"path": path, "at": "", "size": 0, "sha256": "", "error": fault}


def _send(number: int, offset: int) -> None:
    with open(_json().loads(_read("index.json"))[number]["at"], "rb") as file:
        file.seek(offset)
        for block in iter(lambda: file.read(_BLOCK), b""):
            while block:
                block = block[os.write(1, block) :]


# --- where it is kept -----------------------------------------------------------------------------


def _room() -> str:
    """A folder that each process of the container finds; where a volume is shared, no other's."""
    for place in filter(None, (os.environ.get("TMPDIR"), *_ROOMS)):
        if os.access(place, os.W_OK):
            return os.path.join(os.path.abspath(place), f".fairing-keep-{os.uname().nodename}")
    return ""


def _clear() -> None:
    """Removes what a container before this one has left there, on a volume."""
    room = _room()
    for name in ("index.json", "released", "result.json") if room else ():
        with contextlib.suppress(OSError):
            os.unlink(os.path.join(room, name))


def _made_room() -> bool:
    try:
        os.mkdir(_room(), 0o700)
    except OSError:
        return bool(_room()) and os.path.isdir(_room())
    return True


def _read(name: str) -> str:
    with open(os.path.join(_room(), name), encoding="utf-8") as file:
        return file.read()


def _write(name: str, content: str) -> None:
    unfinished = os.path.join(_room(), name + ".tmp")
    with open(unfinished, "w", encoding="utf-8") as file:
        file.write(content)
    os.replace(unfinished, os.path.join(_room(), name))


def _json() -> Any:
    import json

    return json


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
