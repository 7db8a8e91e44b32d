"""How a run shows itself, and how it is awaited."""

from __future__ import annotations

import re
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairing_core import errors, showing
from fairing_core.interfaces import RunHandle
from fairing_core.progress import Progress
from fairing_core.types import Diagnosis, Outcome, RunStatus, Step


class Run(RunHandle):
    """One that says what it is told to say."""

    def __init__(self, **said: Any) -> None:
        self.said: dict[str, Any] = {
            "status": RunStatus.SUCCEEDED,
            "name": "train-1",
            "image": "r.example/train@sha256:1",
            "timeline": (Step("build", 1.0, 2.5), Step("run", 4.0, None)),
            "logs": ["one\n", "two\n"],
            "why": None,
            "record": b'{"returned": 4}',
            **said,
        }

    def _answer(self, name: str) -> Any:
        answer = self.said[name]
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, threading.Event):
            answer.wait(30)
        return answer

    @property
    def uri(self) -> str:
        return f"fairing://lab/x/job/{self.name}?uid=1"

    @property
    def name(self) -> str:
        return str(self.said["name"])

    @property
    def status(self) -> RunStatus:
        found = self._answer("status")
        if isinstance(found, list):
            found = found.pop(0) if len(found) > 1 else found[0]
        return found  # type: ignore[no-any-return]

    @property
    def image(self) -> str | None:
        return self._answer("image")  # type: ignore[no-any-return]

    def timeline(self) -> Sequence[Step]:
        return self._answer("timeline")  # type: ignore[no-any-return]

    def why(self) -> Diagnosis | None:
        return self._answer("why")  # type: ignore[no-any-return]

    def logs(self, follow: bool = False, *, tail: int | None = None) -> Iterator[str]:
        assert not follow
        assert tail
        return iter(self._answer("logs"))

    def outcome(self) -> Outcome:
        return Outcome(0, record=self.said["record"])

    def cancel(self) -> None:
        raise AssertionError("nobody asked for that")

    delete = cancel


def test_a_line_says_where_it_is_and_what_took_long() -> None:
    assert repr(Run()) == "<Run train-1 succeeded (build 2.5 s) fairing://lab/x/job/train-1?uid=1>"


def test_a_page_has_all_that_one_looks_for() -> None:
    page = Run()._repr_html_()
    for part in ("train-1", "succeeded", "r.example/train@sha256:1", "build 2.5 s", "run ..."):
        assert part in page
    assert page.endswith("<pre>one\ntwo\n</pre>")


def test_a_page_says_why_it_does_not_go_well() -> None:
    why = Diagnosis("image", "no such image", next="push it")
    assert "no such image" in Run(status=RunStatus.PENDING, why=why)._repr_html_()


@pytest.mark.parametrize("part", ["image", "why", "logs"])
@pytest.mark.parametrize("error", [errors.ClusterUnreachable("away"), ValueError("theirs")])
def test_what_can_t_be_had_is_left_out(part: str, error: Exception) -> None:
    page = Run(**{part: error})._repr_html_()
    assert "succeeded" in page
    assert "away" not in page


def test_an_unreachable_cluster_is_shown_not_raised() -> None:
    away = Run(status=errors.ClusterUnreachable("away"))
    assert "unknown: ClusterUnreachable" in repr(away)
    assert "unknown: ClusterUnreachable" in away._repr_html_()
    gone = Run(status=errors.RunNotFound("gone", uri="fairing://a/b/c/d"))
    assert "deleted" in repr(gone)
    broken = Run(status=ValueError("theirs"))
    assert "unknown" in repr(broken)


def test_nobody_waits_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(showing, "_PATIENCE", 0.05)
    never = threading.Event()
    for said in ({"status": never}, {"logs": never}):
        began = time.monotonic()
        assert "no answer within" in Run(**said)._repr_html_()
        assert time.monotonic() - began < 10
    never.set()


@given(st.text(min_size=1), st.text())
def test_no_text_is_taken_for_markup(name: str, line: str) -> None:
    page = Run(name=f"<b>{name}&", logs=[f"<i>{line}"], image=f"<u>{name}")._repr_html_()
    tags = set(re.findall(r"<(/?[a-z]+)", page))
    assert tags <= {"table", "/table", "tr", "/tr", "th", "/th", "td", "/td", "b", "/b", "br",
                    "pre", "/pre"}  # fmt: skip
    assert page.count("<b") - page.count("<br") == 1  # the status


# --- await ----------------------------------------------------------------------------------------


def test_it_is_awaited_while_others_go_on() -> None:
    import asyncio

    run = Run(status=[RunStatus.PENDING, RunStatus.RUNNING, RunStatus.SUCCEEDED])
    ticks = 0

    async def both() -> Any:
        async def tick() -> None:
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0)

        other = asyncio.create_task(tick())
        value = await run
        other.cancel()
        return value

    assert asyncio.run(both()) == 4
    assert ticks > 5


def test_a_failure_is_raised_to_who_awaits_it() -> None:
    import asyncio

    async def wait() -> Any:
        return await Run(status=RunStatus.FAILED, record=b'{"raised": {"type": "ValueError"}}')

    with pytest.raises(errors.RunFailed):
        asyncio.run(wait())


def test_who_stops_waiting_stops_no_run() -> None:
    import asyncio

    run = Run(status=RunStatus.RUNNING)

    async def wait() -> None:
        await asyncio.wait_for(run, 0.1)

    with pytest.raises(TimeoutError):
        asyncio.run(wait())


# --- progress in a notebook -----------------------------------------------------------------------


class Shown:
    """What a notebook shows in one place."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def display(self, data: dict[str, str], *, raw: bool, display_id: bool) -> Shown:
        assert raw
        assert display_id
        self.update(data, raw=raw)
        return self

    def update(self, data: dict[str, str], *, raw: bool) -> None:
        assert raw
        self.texts.append(data["text/plain"])


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> Shown:
    shown = Shown()
    display = SimpleNamespace(display=shown.display)
    shell = SimpleNamespace(kernel=object())
    ipython = SimpleNamespace(get_ipython=lambda: shell, display=display)
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    return shown


def test_a_notebook_sees_one_line_that_moves(
    notebook: Shown, capsys: pytest.CaptureFixture[str]
) -> None:
    progress = Progress()
    progress.step("uploading", sent=1_000_000, total=2_000_000)
    progress.step("uploading", sent=2_000_000, total=2_000_000)
    progress.step("stored", url="s3://a", bytes=2_000_000, sent=2_000_000)
    progress.step("built", image="a/b@sha256:c")
    assert notebook.texts == [
        "uploading the context: 1.0 MB of 2.0 MB",
        "uploading the context: 2.0 MB of 2.0 MB",
        "the context, 2.0 MB, is stored",
    ]
    assert capsys.readouterr().err == "built a/b@sha256:c\n"


def test_a_terminal_s_ipython_is_no_notebook(
    notebook: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules["IPython"], "get_ipython", lambda: None)
    Progress().step("uploading", sent=1, total=2)
    assert notebook.texts == []
