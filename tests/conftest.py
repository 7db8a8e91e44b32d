"""What holds for every test here: nothing is left behind, nothing is skipped in CI."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis.configuration
import pytest

ROOT = Path(__file__).parent.parent

_skipped: list[str] = []


def pytest_configure() -> None:
    hypothesis.configuration.set_hypothesis_home_dir(ROOT / ".cache" / "hypothesis")
    for name in ("connect", "connect_ex", "sendto"):
        _guard(name)
    os.environ["KUBECONFIG"] = os.devnull + "/none"  # a developer's own cluster is no test's


@pytest.fixture(autouse=True)
def _traceless() -> Iterator[None]:
    """Each test leaves environment, working directory and logging as they were."""
    before = _surroundings()
    yield
    assert _surroundings() == before


def _surroundings() -> dict[str, Any]:
    environ = {key: value for key, value in os.environ.items() if key != "PYTEST_CURRENT_TEST"}
    root = logging.getLogger()
    handlers = [handler for handler in root.handlers if "pytest" not in type(handler).__module__]
    return {
        "environment": environ,
        "working directory": Path.cwd(),
        "logging": (root.level, handlers),
    }


def _guard(name: str) -> None:
    """Tests open no socket but loopback's and those of the bench's own ranges.

    Not by an audit hook: one in Python makes coverage's `sys.settrace` fail now and then in
    programs with many threads, before Python 3.12.
    """
    given = getattr(socket.socket, name)

    def guarded(self: socket.socket, *arguments: Any) -> Any:
        address = arguments[-1]
        host = address[0] if isinstance(address, tuple) else ""  # a Unix socket's is a path
        ours = ("127.", "10.96.", "10.99.0.", "10.244.")  # tests/bench/kubernetes/network.py
        if host and not host.startswith(ours) and host not in {"::1", "localhost"}:
            raise PermissionError(f"a test tried to reach {host}")
        return given(self, *arguments)

    setattr(socket.socket, name, guarded)


# --- in CI a skip is a failure --------------------------------------------------------------------


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.skipped and not hasattr(report, "wasxfail"):
        _skipped.append(report.nodeid)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    if report.skipped:
        _skipped.append(report.nodeid)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if _skipped and os.environ.get("CI") and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _skipped and os.environ.get("CI"):
        names = ", ".join(sorted(_skipped))
        terminalreporter.write_line(f"CI is set, so these skips are failures: {names}", red=True)
