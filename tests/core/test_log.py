"""Loggers that cost nothing until they are used."""

from __future__ import annotations

import subprocess
import sys

import pytest

from fairing_core import log


def test_a_message_goes_to_the_logger_of_that_name(caplog: pytest.LogCaptureFixture) -> None:
    log.named("fairing_core.somewhere").warning("told %s", "so")
    (record,) = caplog.records
    assert (record.name, record.getMessage()) == ("fairing_core.somewhere", "told so")


def test_logging_is_configured_and_imported_with_the_first_message() -> None:
    code = (
        "import sys; from fairing_core import log\n"
        "log.before_first(lambda: print('configured'))\n"
        "logger = log.named('x'); assert 'logging' not in sys.modules\n"
        "logger.error('one'); logger.error('two')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "configured\n"
    assert done.stderr == "one\ntwo\n"


def test_a_small_build_imports_neither_logging_nor_futures() -> None:
    code = (
        "import sys, fairing_core.cli, fairing_core.cli.build, fairing_core.build.append\n"
        "import fairing_core.build.push, fairing_core.images.remote, fairing_core.progress\n"
        "print(sorted({'logging', 'concurrent.futures', 'importlib.metadata'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "[]\n"
