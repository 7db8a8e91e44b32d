"""What an engine's stream of messages says: lines of a build, layers on their way, faults.

An engine answers 200 before it begins; what went wrong is a message within. Pure functions.

Sources: Docker Engine API v1.41, "Build an image", "Push an image"; the texts are dockerd 20.10's
and, for Podman, buildah's.
"""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Literal

from fairing_core import errors
from fairing_core.types import Report

Doing = Literal["pull", "build", "push"]

_KEPT = 50  # lines of a build that an error has in its tail
_SHOWN = 10  # of those, in its message
_TOLD_EVERY = 0.2  # seconds between two reports

# CSI and OSC sequences of a terminal, then all other control characters but tabs.
_CONTROL = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|[^\S\t ]|[\0-\b\x0e-\x1f\x7f]"
)

_INSIDES = re.compile(r" &imagebuilder\.Step\{.*\}")  # a dump, with the base's environment
_EXIT = re.compile(r"non-zero code: (\d+)|while running runtime: exit status (\d+)")
_KINDS = (  # the first that fits
    ("disk-full", "no space left on device"),
    ("dockerfile", "dockerfile parse error|unknown instruction|no build stage|requires buildkit"),
    ("dockerfile", "syntax error|dockerfile .*empty"),
    ("copy-failed", "(?:copy|add) failed|building at step .(?:copy|add) "),
    ("run-failed", "oci runtime|executable file not found|building at step .run "),
    ("denied", "no basic auth credentials|unauthorized|denied|authentication required|forbidden"),
    ("not-found", "manifest unknown|name unknown|not found|no such image|does not exist|not known"),
    ("not-found", "no stage or image found"),
    ("untrusted", "x509|certificate|tls:|http response to https"),
    (
        "unreachable",
        "dial tcp|no such host|connection re|i/o timeout|deadline exceeded|unreachable",
    ),
    ("unreachable", r"\beof\b|client\.timeout"),
    ("dockerfile", "invalid from flag"),  # of itself: the others come with it
)


class Lines:
    """The lines of a build as they become whole, without colours; the last ones are kept."""

    def __init__(self, heard: Callable[[str], None]) -> None:
        self._heard = heard
        self._open = ""
        self._last: deque[str] = deque(maxlen=_KEPT)

    def add(self, text: str) -> None:
        """Takes a piece of the build's output, which need not end with a line."""
        *whole, self._open = (self._open + text).split("\n")
        for line in whole:
            self._say(line)

    def end(self) -> None:
        """There is no more."""
        self._say(self._open)
        self._open = ""

    @property
    def tail(self) -> str:
        """The last lines."""
        return "\n".join(self._last)

    def _say(self, line: str) -> None:
        line = plain(line.rstrip("\r").rpartition("\r")[2])  # a bar that was rewritten: its end
        if line:
            self._last.append(line)
            self._heard(line)


class Coming:
    """An image that is pulled, by the engine's messages of its layers."""

    def __init__(self, report: Report, image: str) -> None:
        self._report = report
        self._image = image
        self._layers: dict[str, tuple[int, int]] = {}
        self._told = self._began = time.monotonic()

    def see(self, message: Mapping[str, Any]) -> None:
        """Takes notice of a message, and reports from time to time."""
        detail = message.get("progressDetail") or {}
        if message.get("status") != "Downloading" or "current" not in detail:
            return
        self._layers[str(message.get("id"))] = (detail["current"], detail.get("total") or 0)
        if time.monotonic() - self._told >= _TOLD_EVERY:
            self._told = time.monotonic()
            came = sum(current for current, _ in self._layers.values())
            self._report("pulling", image=self._image, bytes=came, total=self._total)

    def end(self) -> None:
        """It is there."""
        seconds = time.monotonic() - self._began
        self._report("pulled", image=self._image, bytes=self._total, seconds=seconds)

    @property
    def _total(self) -> int:
        return sum(max(both) for both in self._layers.values())  # a total can be below what came


def plain(text: str) -> str:
    r"""A line without what only a terminal reads, and without blanks at its end.

    >>> plain("\x1b[91mno such thing\x1b[0m  \r")
    'no such thing'
    """
    return _CONTROL.sub("", text).rstrip()


def error_of(message: Mapping[str, Any]) -> tuple[str, int | None] | None:
    """What a message says has failed, and the exit code of a step; None if nothing has."""
    detail = message.get("errorDetail") or {}
    text = detail.get("message") or message.get("error")
    if not text:
        return None
    code = detail.get("code")
    return str(text), code if isinstance(code, int) and code else None


def fault(
    text: str, doing: Doing, name: str, *, code: int | None = None, tail: str = ""
) -> errors.BuildError:
    """What to raise for an engine's own words.

    Args:
        text: they.
        doing: what the engine did.
        name: the image that it pulled or pushed; of a build, what it was to be called.
        code: a step's exit code.
        tail: the last lines of the build.
    """
    text = _INSIDES.sub("", plain(text))
    found = _EXIT.search(text)
    code = code or (int(found[1] or found[2]) if found else None)
    kind = "run-failed" if code else _kind(text)
    if doing == "push" and kind == "not-found":
        kind = "image-missing"
    elif kind in ("denied", "not-found"):
        kind = f"{'push' if doing == 'push' else 'base'}-{kind}"
    elif kind in ("untrusted", "unreachable"):
        kind = f"registry-{kind}"
    what = {"pull": f"can't pull {name}", "push": f"can't push {name}"}.get(doing, "can't build")
    said = f"{what}: {text}"
    if kind == "run-failed":
        said = f"{what}: a step ended with exit code {code}" if code else said
        shown = tail.splitlines()[-_SHOWN:]
        said = "\n".join([f"{said}; {_advice(kind, tail, code)}", *(f"  {line}" for line in shown)])
        return errors.BuildError(said, kind=kind, tail=tail)
    advice = _advice(kind, text, code)
    return errors.BuildError(f"{said}; {advice}" if advice else said, kind=kind, tail=tail)


def _kind(text: str) -> str:
    low = text.lower()
    return next((kind for kind, pattern in _KINDS if re.search(pattern, low)), "failed")


def _advice(kind: str, text: str, code: int | None) -> str:
    if kind == "run-failed":
        if "No module named pip" in text:
            return "the base image's Python has no pip: name one that has, or that has the packages"
        if code == 137:
            return "it was killed, mostly for want of memory: give the engine more"
        return "its last lines say why"
    if kind == "dockerfile" and "BuildKit" in text:
        return (
            "builders that run a Dockerfile here know no BuildKit: leave --mount and the like out"
        )
    return {
        "disk-full": "make room where the engine keeps images ('docker system df' tells of what)",
        "dockerfile": "mend the Dockerfile",
        "copy-failed": "the code lies below app/ in the build's context, beside other inputs",
        "base-denied": "log in to that registry (docker login), or name an image that is there",
        "base-not-found": "name an image that is there (base_image, or FROM)",
        "push-denied": "log in with the right to push (docker login), or name another registry",
        "registry-untrusted": "the engine itself has to trust that registry: its certificate in "
        "/etc/docker/certs.d/HOST/ca.crt, or 'insecure-registries' in its daemon.json "
        "('insecure = true' in Podman's registries.conf)",
        "registry-unreachable": "it is the engine that has to reach that registry, and with TLS "
        "unless it is told otherwise; see that it runs, and its name and port",
    }.get(kind, "")
