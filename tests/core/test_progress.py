import io
from typing import Any

import pytest

from fairing_core.hookspecs import PROJECT
from fairing_core.progress import Progress
from fairing_core.types import Event

TRAFFIC = {"sent": 85_800_000, "mounted": 13, "skipped": 0, "copied": 0, "seconds": 0.8}


@pytest.fixture(autouse=True)
def _a_usual_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("name", "fields", "line"),
    [
        ("packaged", {"files": 1, "bytes": 900}, "packaged 1 file, 900 B"),
        ("pushed", TRAFFIC, "pushed: 85.8 MB sent (107.2 MB/s); layers: 13 mounted"),
        ("pushed", {**TRAFFIC, "sent": 0}, "pushed: nothing is new"),
        ("copying", {"bytes": 1_300_000_000, "to": "b.example"}, "copying 1.3 GB of the base to"),
        ("supplying", {"way": "stdin", "bytes": 900}, "the context, 900 B, travels by stdin"),
        ("stored", {"url": "s3://a", "bytes": 9, "sent": 9}, "the context, 9 B, is stored"),
        (
            "stored",
            {"url": "s3://a", "bytes": 9, "sent": 0},
            "the context, 9 B, was stored already",
        ),
        ("pulled", {"image": "a/b:1", "bytes": 5_000_000, "seconds": 1.0}, "pulled a/b:1, 5.0 MB"),
        ("build-log", {"line": "Step 1/4 : FROM a"}, "Step 1/4 : FROM a"),
        ("built", {"image": "a/b@sha256:c"}, "built a/b@sha256:c"),
        ("submitted", {"uri": "fairing://a/b/c/d"}, "started fairing://a/b/c/d"),
    ],
)
def test_each_step_is_one_line(name: str, fields: dict[str, Any], line: str) -> None:
    stream = io.StringIO()
    Progress(stream).step(name, **fields)
    assert stream.getvalue().startswith(line)
    assert stream.getvalue().count("\n") == 1


def test_a_pipe_sees_no_line_that_is_rewritten() -> None:
    stream = io.StringIO()
    Progress(stream).step("pushing", **TRAFFIC)
    Progress(stream).step("uploading", sent=1, total=2)
    assert stream.getvalue() == ""


def test_a_terminal_sees_a_pull_in_one_line_and_a_build_s_lines_dim() -> None:
    stream = Terminal()
    progress = Progress(stream)
    progress.step("pulling", image="a/b:1", bytes=1_000_000, total=5_000_000)
    progress.step("build-log", line="Step 1/4 : FROM a")
    first, second = stream.getvalue().split("\r")[1:]
    assert "pulling a/b:1: 1.0 MB of 5.0 MB" in first
    assert second == "\033[K\033[2mStep 1/4 : FROM a\033[0m\n"


def test_a_terminal_sees_how_far_it_is_and_then_the_end_in_its_place() -> None:
    stream = Terminal()
    progress = Progress(stream)
    progress.step("pushing", **TRAFFIC)
    progress.step("pushed", **TRAFFIC)
    first, second = stream.getvalue().split("\r")[1:]
    assert "pushing: 85.8 MB sent" in first
    assert second.startswith("\033[K")
    assert second.endswith("\n")


def test_a_terminal_sees_a_context_on_its_way_and_the_build_dimmed() -> None:
    stream = Terminal()
    progress = Progress(stream)
    progress.step("uploading", sent=1000, total=2000)
    progress.step("build-log", line="STEP")
    first, second = stream.getvalue().split("\r")[1:]
    assert "uploading the context: 1.0 kB of 2.0 kB" in first
    assert second == "\033[K\033[2mSTEP\033[0m\n"


def test_what_was_pushed_is_kept_for_the_program() -> None:
    progress = Progress(io.StringIO())
    progress.step("pushed", **TRAFFIC)
    assert progress.traffic == TRAFFIC


def test_as_a_plugin_it_is_told_of_each_event() -> None:
    stream = io.StringIO()
    plugin: Any = Progress(stream).plugin()
    assert hasattr(plugin.fairing_event, f"{PROJECT}_impl")
    plugin.fairing_event(Event("submitted", 0.0, {"uri": "fairing://a/b/c/d"}))
    assert "started fairing://a/b/c/d" in stream.getvalue()


def test_who_wants_no_colours_sees_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    stream = Terminal()
    progress = Progress(stream)
    progress.step("uploading", sent=1000, total=2000)
    progress.step("build-log", line="STEP")
    first, second = stream.getvalue().split("\r")[1:]
    assert first == "\033[Kuploading the context: 1.0 kB of 2.0 kB"
    assert second == "\033[KSTEP\n"


def test_a_terminal_that_can_not_rewrite_a_line_sees_what_a_pipe_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TERM", "dumb")
    stream = Terminal()
    progress = Progress(stream)
    progress.step("uploading", sent=1000, total=2000)
    progress.step("build-log", line="STEP")
    assert stream.getvalue() == "STEP\n"
