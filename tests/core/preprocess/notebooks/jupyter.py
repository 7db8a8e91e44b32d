"""A real Jupyter Server, and kernels that are spoken to as a notebook's page speaks to them."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import websocket

BASE_URL = "/user/ada/"
PATIENCE = 60.0
PLAIN = ("jupyter_server",)
LAB = ("jupyterlab",)
_EXTENSIONS = ("jupyterlab", "jupyter_lsp", "jupyter_server_terminals", "notebook_shim")
_SETTINGS: dict[tuple[str, ...], dict[str, Any]] = {
    PLAIN: {
        "jupyter_server_config.json": {
            "ServerApp": {"jpserver_extensions": dict.fromkeys(_EXTENSIONS, False)}
        }
    },
    LAB: {
        "jupyter_lab_config.json": {
            "LabApp": {
                "check_for_updates_class": "jupyterlab.NeverCheckForUpdate",
                "news_url": None,
            }
        }
    },
}


@dataclass
class Kernel:
    """A notebook's kernel at a server, as its websocket has it."""

    id: str
    session: str
    channels: Any

    def run(self, code: str, *, seconds: float = PATIENCE) -> str:
        """What the cell wrote to both streams, and its traceback."""
        message = str(uuid.uuid4())
        header = {
            "msg_id": message,
            "msg_type": "execute_request",
            "session": self.session,
            "username": "ada",
            "version": "5.3",
        }
        content = {"code": code, "store_history": True, "allow_stdin": False, "silent": False}
        self.channels.send(
            json.dumps(
                {
                    "header": header,
                    "parent_header": {},
                    "metadata": {},
                    "content": content,
                    "channel": "shell",
                }
            )
        )
        output = []
        self.channels.settimeout(seconds)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            told = json.loads(self.channels.recv())
            if told["parent_header"].get("msg_id") != message:
                continue
            kind, said = told["header"]["msg_type"], told["content"]
            if kind == "stream":
                output.append(said["text"])
            elif kind == "error":
                output.append("\n".join(said["traceback"]))
            elif kind == "status" and said["execution_state"] == "idle":
                return "".join(output)
        raise TimeoutError("".join(output))


@dataclass
class Jupyter:
    """A server in a folder of its own."""

    root: Path
    home: Path
    token: str = field(default_factory=lambda: secrets.token_hex(16))
    program: tuple[str, ...] = PLAIN
    _open: list[Kernel] = field(default_factory=list)

    def start(self) -> None:
        """Starts it; returns once it answers."""
        self.root.mkdir(exist_ok=True)
        command = [sys.executable, "-m", *self.program, "--no-browser", "--allow-root"]
        command += [f"--ServerApp.base_url={BASE_URL}", "--ServerApp.port=0"]
        command += ["--ServerApp.ip=127.0.0.1", f"--ServerApp.root_dir={self.root}"]
        environ = {key: value for key, value in os.environ.items() if "PROXY" not in key.upper()}
        environ |= {
            "HOME": str(self.home),
            "JUPYTER_TOKEN": self.token,
            "JUPYTER_RUNTIME_DIR": str(self.runtime),
            "JUPYTER_CONFIG_DIR": str(self.home / "config"),
            "JUPYTER_DATA_DIR": str(self.home / "data"),
            "IPYTHONDIR": str(self.home / "ipython"),
            "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        }
        self.home.mkdir(exist_ok=True)
        (self.home / "config").mkdir()
        for name, settings in _SETTINGS[self.program].items():
            (self.home / "config" / name).write_text(json.dumps(settings))
        self.log = self.home / "server.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                command,
                cwd=self.home,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        end = time.monotonic() + PATIENCE
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > end:
                self.process.kill()
                self.process.wait()
                raise AssertionError(self.log.read_text())
            time.sleep(0.05)

    def stop(self) -> None:
        """Ends it and its kernels."""
        for kernel in self._open:
            kernel.channels.shutdown()
        try:
            self.ask("POST", "shutdown")
            self.process.wait(timeout=30)
        finally:
            self.process.kill()  # kernels end when it is gone
            self.process.wait()

    def _answers(self) -> bool:
        """Whether it has told of itself, which it does before it listens, and listens."""
        for file in self.runtime.glob("jpserver-*.json"):
            with contextlib.suppress(ValueError, OSError):
                self.file = file
                self.port = int(json.loads(self.file.read_text())["port"])
                self.ask("GET", "status")
                return True
        return False

    @property
    def runtime(self) -> Path:
        """Where servers and kernels leave the files that tell of them."""
        return self.home / "runtime"

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """An answer of its API."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request(
                method,
                f"{BASE_URL}api/{path}",
                body=None if body is None else json.dumps(body),
                headers={"Authorization": f"token {self.token}"},
            )
            response = connection.getresponse()
            content = response.read()
        finally:
            connection.close()
        assert response.status < 300, (method, path, response.status, content)
        return json.loads(content) if content else None

    def save(self, path: str, *cells: str, counts: tuple[int | None, ...] = ()) -> Path:
        """Saves a notebook of these cells, as Ctrl-S does."""
        numbers = counts or (None,) * len(cells)
        content = {
            "nbformat": 4,
            "nbformat_minor": 5,
            "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3"}},
            "cells": [
                {
                    "cell_type": "code",
                    "id": f"cell{index}",
                    "source": cell,
                    "metadata": {},
                    "outputs": [],
                    "execution_count": number,
                }
                for index, (cell, number) in enumerate(zip(cells, numbers, strict=True))
            ],
        }
        (self.root / path).parent.mkdir(exist_ok=True, parents=True)
        self.ask("PUT", f"contents/{path}", {"type": "notebook", "content": content})
        return self.root / path

    def open(self, path: str, *, kind: str = "notebook", kernel: str = "") -> Kernel:
        """A kernel for a notebook, or the one of that id, as opening it gives."""
        name = path.rpartition("/")[2]
        wanted = {"id": kernel} if kernel else {"name": "python3"}
        session = self.ask(
            "POST", "sessions", {"path": path, "name": name, "type": kind, "kernel": wanted}
        )
        found = session["kernel"]["id"]
        mine = uuid.uuid4().hex
        channels = websocket.create_connection(
            f"ws://127.0.0.1:{self.port}{BASE_URL}api/kernels/{found}/channels?session_id={mine}",
            header=[f"Authorization: token {self.token}"],
            timeout=PATIENCE,
            http_no_proxy=["127.0.0.1"],
        )
        self._open.append(Kernel(found, mine, channels))
        return self._open[-1]

    def rename(self, path: str, to: str) -> Path:
        """Renames a notebook as the page does: the file, and the sessions that have it open."""
        self.ask("PATCH", f"contents/{path}", {"path": to})
        for session in self.ask("GET", "sessions"):
            if session["path"] == path:
                self.ask("PATCH", f"sessions/{session['id']}", {"path": to, "name": to})
        return self.root / to
