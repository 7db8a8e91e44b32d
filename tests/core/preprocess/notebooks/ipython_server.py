"""Runs cells in IPython's own shell, as a notebook's kernel does: a fresh one for every notebook.

A program. Reads lines of JSON, ``{"cells": [...], "folder": ...}``, and answers each with what the
cells wrote to stdout. Every notebook runs in a process of its own, forked once IPython is there.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from typing import Any


def main() -> None:
    from IPython.core.interactiveshell import InteractiveShell

    make: Any = InteractiveShell
    make.instance()  # what is imported late is imported now
    make.clear_instance()
    for line in sys.stdin:
        order = json.loads(line)
        with tempfile.TemporaryFile() as written:
            child = os.fork()
            if child == 0:
                os.dup2(written.fileno(), 1)
                _run(make, order["cells"], order["folder"])
            _, status = os.waitpid(child, 0)
            written.seek(0)
            out = written.read().decode().replace("\r\n", "\n")
        json.dump({"out": out, "code": os.waitstatus_to_exitcode(status)}, sys.stdout)
        sys.stdout.write("\n")
        sys.stdout.flush()


def _run(make: Any, cells: list[str], folder: str) -> None:
    os.chdir(folder)
    sys.path.insert(0, folder)
    code = 1
    try:
        shell = make.instance()
        shell.history_manager.enabled = False
        code = 0 if all(shell.run_cell(cell).success for cell in cells) else 1
        sys.stdout.flush()
    finally:
        os._exit(code)


if __name__ == "__main__":
    main()
