"""Debian's Chromium, headless, driven by its chromedriver as WebDriver says.

Source: W3C WebDriver, https://www.w3.org/TR/webdriver2/.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any, TypeVar

from tests.bench.bench import Bench
from tests.bench.part import Part

PART = "browser"
_T = TypeVar("_T")
CONTROL, SHIFT, ENTER = "\ue009", "\ue008", "\ue007"
_ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",  # root has none
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--no-proxy-server",
    "--no-first-run",
    "--disable-background-networking",
    "--window-size=1400,1400",
)
_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"


class NotThere(Exception):
    """The page has no such element, or it can't be used yet."""


@dataclass(frozen=True)
class Browser:
    """One window; selectors are CSS."""

    port: int
    session: str

    def open(self, url: str) -> None:
        """Goes to a page."""
        self._ask("POST", "url", {"url": url})

    def run(self, script: str, *arguments: Any) -> Any:
        """What a function of that body returns in the page."""
        return self._ask("POST", "execute/sync", {"script": script, "args": list(arguments)})

    def click(self, selector: str, *, seconds: float = 30.0) -> None:
        """Clicks what fits, once it is there and nothing covers it."""
        self._later(lambda: self._element(selector, "click", {}), selector, seconds)

    def type(self, text: str) -> None:
        """Types into what has the focus; keys like `CONTROL` stay down until the end."""
        held = [key for key in text if key in (CONTROL, SHIFT)]
        presses = [{"type": "keyDown", "value": key} for key in held]
        for key in text:
            if key not in held:
                presses += [{"type": "keyDown", "value": key}, {"type": "keyUp", "value": key}]
        presses += [{"type": "keyUp", "value": key} for key in reversed(held)]
        keyboard = {"type": "key", "id": "keyboard", "actions": presses}
        self._ask("POST", "actions", {"actions": [keyboard]})

    def text(self, selector: str) -> str:
        """What is to be read in what fits."""
        found = self.run(
            "return Array.from(document.querySelectorAll(arguments[0]), e => e.innerText)", selector
        )
        return "\n".join(map(str, found))

    def wait_for(self, text: str, selector: str = "body", *, seconds: float = 30.0) -> str:
        """What is to be read there, once `text` is."""

        def found() -> str:
            there = self.text(selector)
            if text not in there:
                raise NotThere(f"{text!r} in {there!r}")
            return there

        return self._later(found, selector, seconds)

    def _later(self, what: Callable[[], _T], selector: str, seconds: float) -> _T:
        end = time.monotonic() + seconds
        while True:
            try:
                return what()
            except NotThere as exc:
                if time.monotonic() > end:
                    raise TimeoutError(f"{selector}: not after {seconds:.0f} s: {exc}") from exc
            time.sleep(0.2)

    def _element(self, selector: str, verb: str, body: Any) -> Any:
        found = self._ask("POST", "element", {"using": "css selector", "value": selector})
        return self._ask("POST", f"element/{found[_ELEMENT]}/{verb}", body)

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        return _ask(self.port, method, f"/session/{self.session}/{path}", body)


@contextmanager
def window(bench: Bench) -> Iterator[Browser]:
    """A browser of its own, without a past; closed at the end."""
    wanted = {"goog:chromeOptions": {"args": _ARGUMENTS}, "pageLoadStrategy": "eager"}
    port = bench.port(PART)
    made = _ask(port, "POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
    found = Browser(port, made["sessionId"])
    try:
        yield found
    finally:
        _ask(port, "DELETE", f"/session/{found.session}")


def _ask(port: int, method: str, path: str, body: Any = None) -> Any:
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        content = None if body is None else json.dumps(body)
        connection.request(method, path, content, {"Content-Type": "application/json"})
        response = connection.getresponse()
        value = json.loads(response.read())["value"]
    finally:
        connection.close()
    if response.status >= 400:
        fault = NotThere if "element" in value["error"] else RuntimeError
        raise fault(f"{value['error']}: {value['message'].splitlines()[0]}")
    return value


def _start(bench: Bench, name: str) -> None:
    command = ["chromedriver", f"--port={bench.port(name)}"]
    folder = str(bench.folder(name))
    bench.processes.start(name, command, part=name, environ={"HOME": folder, "TMPDIR": folder})


def _ready(bench: Bench, name: str) -> str | None:
    try:
        return None if _ask(bench.port(name), "GET", "/status")["ready"] else "it is busy"
    except (OSError, ValueError) as exc:
        return str(exc)


def _environment(bench: Bench) -> Mapping[str, str]:
    return {"FAIRING_BENCH_WEBDRIVER": f"http://127.0.0.1:{bench.port(PART)}"}


BROWSER = Part(
    name=PART,
    about="Debian's Chromium, headless, behind its chromedriver",
    start=_start,
    ready=_ready,
    environment=_environment,
    debian=("chromium", "chromium-driver"),
)
