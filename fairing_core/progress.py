"""Shows a run's steps, its log and its end to the person who started it."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TextIO

from fairing_core.types import RunStatus

if TYPE_CHECKING:
    from fairing_core.interfaces import RunHandle
    from fairing_core.types import Event

_COLOURS = {RunStatus.SUCCEEDED: "32", RunStatus.FAILED: "31", RunStatus.CANCELLED: "33"}


def has_colours(stream: TextIO) -> bool:
    """Whether `stream` is a terminal that shows colours, and whoever looks at it wants them.

    Source: https://no-color.org
    """
    return _is_terminal(stream) and not os.environ.get("NO_COLOR")


def _is_terminal(stream: TextIO) -> bool:
    return stream.isatty() and os.environ.get("TERM") != "dumb"


class Progress:
    """Writes one line a step; how far a step is, in one that is rewritten, also in a notebook.

    Args:
        stream: where to write; by default stderr, as stdout belongs to the program's output.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream
        self._is_open = False  # whether a line is being rewritten
        self._shown: Any = None  # that line, in a notebook
        self.traffic: dict[str, str | int | float] = {}

    def plugin(self) -> object:
        """What `TrainJob.submit` takes: a plugin for one run, which is told of each event."""
        from fairing_core.hookspecs import hookimpl

        step = self.step

        class Listener:
            @hookimpl
            def fairing_event(self, event: Event) -> None:
                step(event.name, **event.fields)

        return Listener()

    def step(self, name: str, /, **fields: str | int | float) -> None:
        """Shows a step; those that nobody has to see leave no line."""
        if name == "pushed":
            self.traffic = fields
        if moving := _moving(name, fields):
            self._rewrite(moving)
        elif line := _line(name, fields):
            self.say(line)

    def _rewrite(self, text: str) -> None:
        stream = self._stream or sys.stderr
        if _is_terminal(stream):
            print(f"\r\033[K{_in('2', text, stream)}", end="", file=stream, flush=True)
            self._is_open = True
        elif self._shown is not None:
            self._shown.update({"text/plain": text}, raw=True)
        elif self._stream is None and (display := _display()):
            self._shown = display({"text/plain": text}, raw=True, display_id=True)

    def say(self, text: str, colour: str = "2") -> None:
        """One line, dim or coloured in a terminal and plain elsewhere."""
        if self._shown is not None:
            self._shown.update({"text/plain": text}, raw=True)
            self._shown = None
            return
        stream = self._stream or sys.stderr
        before = "\r\033[K" if self._is_open else ""
        self._is_open = False
        print(f"{before}{_in(colour, text, stream)}", file=stream, flush=True)

    def follow(self, handle: RunHandle) -> RunStatus:
        """Writes the run's output to stdout until it ends, then says how it ended.

        Ctrl-C leaves the run running: it says how to come back, and raises KeyboardInterrupt.
        """
        handle.report = self.step
        try:
            for piece in handle.logs(follow=True):
                sys.stdout.write(piece)
                sys.stdout.flush()
            status = handle.wait()
        except KeyboardInterrupt:
            told = handle.name if handle.uri.startswith("fairing://local/") else f"'{handle.uri}'"
            self.say(f"\ndetached; {handle.name} goes on: fairing logs -f {told}", "33")
            raise
        code = handle.outcome().exit_code
        self.say(
            f"{handle.name} {status}{f' (exit code {code})' if code else ''}", _COLOURS[status]
        )
        return status


def _in(colour: str, text: str, stream: TextIO) -> str:
    return f"\033[{colour}m{text}\033[0m" if has_colours(stream) else text


def _display() -> Any:
    """What shows something in the notebook that this runs in, if it does; IPython is there then."""
    from fairing_core.preprocess.notebooks.current import shell

    return sys.modules["IPython"].display.display if hasattr(shell(), "kernel") else None


def shown_size(count: int) -> str:
    """Bytes for people, in decimal units (SI): ``1.5 MB``."""
    size = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    raise AssertionError("unreachable")


def _moving(name: str, fields: Mapping[str, str | int | float]) -> str:
    """How far a step is, where that is worth a line that is rewritten; "" elsewhere."""
    if name == "pushing":
        return f"pushing: {_traffic(fields)}"
    if name in ("pulling", "fetching"):
        what = "outputs" if name == "fetching" else fields["image"]
        came, total = shown_size(int(fields["bytes"])), shown_size(int(fields["total"]))
        return f"{name} {what}: {came} of {total}"
    if name == "uploading":
        sent, total = shown_size(int(fields["sent"])), shown_size(int(fields["total"]))
        return f"uploading the context: {sent} of {total}"
    return ""


def _line(name: str, fields: Mapping[str, str | int | float]) -> str:
    """What is said of a step; "" of those that nobody has to see."""
    if name == "build-log":
        return str(fields["line"])
    size = shown_size(int(fields.get("bytes", 0)))
    if name == "packaged":
        return f"packaged {_count(int(fields['files']), 'file')}, {size}"
    if name == "copying":
        return f"copying {size} of the base to {fields['to']}, which has not seen it yet"
    if name == "supplying":
        return f"the context, {size}, travels by {fields['way']}"
    if name == "stored":
        return f"the context, {size}, {'is stored' if fields['sent'] else 'was stored already'}"
    if name == "pulled":
        return f"pulled {fields['image']}, {size}"
    if name == "pushed":
        return f"pushed: {_traffic(fields)}" if fields["sent"] else "pushed: nothing is new"
    if name == "fetched":
        files = int(fields["files"])
        return f"fetched {_count(files, 'output') if files else 'the result'}, {size}"
    if name == "built" and not str(fields["image"]).startswith("file:"):
        return f"built {fields['image']}"
    return f"started {fields['uri']}" if name == "submitted" else ""


def _traffic(fields: Mapping[str, str | int | float]) -> str:
    """``85.8 MB sent (101.2 MB/s); of the base's layers 13 mounted``."""
    sent, seconds = int(fields["sent"]), float(fields["seconds"])
    text = f"{shown_size(sent)} sent"
    if seconds > 0.5 and sent > 1_000_000:
        text += f" ({shown_size(int(sent / seconds))}/s)"
    counts = {key: int(fields[key]) for key in ("mounted", "skipped", "copied")}
    layers = ", ".join(f"{number} {key}" for key, number in counts.items() if number)
    return f"{text}; layers: {layers}" if layers else text


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
