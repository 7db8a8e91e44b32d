"""What Jupyter Servers answer, and what becomes of it."""

from __future__ import annotations

import json
import os
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from fairing_core.preprocess.notebooks import servers

KERNEL = "0d7c"
TOKEN = "s3cret-t0ken"


class Jupyter:
    """A server that answers as it is told, and keeps what it was asked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.answer: Any = []
        self.status = 200
        self.asked: list[tuple[str, str | None]] = []
        mine = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                mine.asked.append((self.path, self.headers["Authorization"]))
                content = mine.answer
                if not isinstance(content, bytes):
                    content = json.dumps(content).encode()
                self.send_response(mine.status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def port(self) -> int:
        return int(self.http.server_address[1])

    def tell(self, name: str = "jpserver-1.json", **more: Any) -> Path:
        """Writes the file of a server; None leaves an entry out."""
        told = {
            "base_url": "/user/ada/",
            "hostname": "127.0.0.1",
            "port": self.port,
            "secure": False,
            "pid": os.getpid(),
            "root_dir": str(self.folder),
            "token": TOKEN,
        } | more
        path = self.folder / name
        path.write_text(json.dumps({k: v for k, v in told.items() if v is not None}))
        return path

    def runs(self, *sessions: Mapping[str, Any]) -> None:
        self.answer = list(sessions)

    def found(self) -> Path | str:
        return servers.notebook(KERNEL, [self.folder])


def session(path: str, **more: Any) -> dict[str, Any]:
    return {"path": path, "type": "notebook", "kernel": {"id": KERNEL}, **more}


@pytest.fixture
def jupyter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Jupyter]:
    for name in ("JUPYTERHUB_SERVICE_PREFIX", "JUPYTERHUB_API_TOKEN", "JPY_API_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "train.ipynb").touch()
    found = Jupyter(tmp_path)
    yield found
    found.http.shutdown()
    found.http.server_close()


def test_the_kernels_session_is_told_below_the_root_by_a_token_in_the_header(
    jupyter: Jupyter,
) -> None:
    jupyter.tell()
    jupyter.runs(session("other.ipynb", kernel={"id": "another"}), session("sub/train.ipynb"))
    assert jupyter.found() == jupyter.folder / "sub" / "train.ipynb"
    assert jupyter.asked == [("/user/ada/api/sessions", f"token {TOKEN}")]


@pytest.mark.parametrize("path", ["RTC:sub/train.ipynb", "/sub/train.ipynb"])
def test_a_path_with_a_drive_or_a_slash(path: str, jupyter: Jupyter) -> None:
    jupyter.tell()
    jupyter.runs(session(path))
    assert jupyter.found() == jupyter.folder / "sub" / "train.ipynb"


def test_an_old_server_that_listens_on_every_address(jupyter: Jupyter) -> None:
    folder = str(jupyter.folder)
    jupyter.tell("nbserver-1.json", hostname="0.0.0.0", root_dir=None, notebook_dir=folder)
    jupyter.runs({"notebook": {"path": "sub/train.ipynb"}, "kernel": {"id": KERNEL}})
    assert jupyter.found() == jupyter.folder / "sub" / "train.ipynb"


@pytest.mark.parametrize(("prefix", "sent"), [("/user/ada/", "token hubs"), ("/user/grace/", None)])
def test_jupyterhubs_token_is_for_its_own_server(
    prefix: str, sent: str | None, jupyter: Jupyter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUPYTERHUB_SERVICE_PREFIX", prefix)
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "hubs")
    jupyter.tell(token="")
    jupyter.runs(session("sub/train.ipynb"))
    assert jupyter.found() == jupyter.folder / "sub" / "train.ipynb"
    assert jupyter.asked[0][1] == sent


def test_a_certificate_that_nobody_signed_will_do_on_this_machine(
    jupyter: Jupyter, certificate: tuple[Path, Path]
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    jupyter.http.socket = context.wrap_socket(jupyter.http.socket, server_side=True)
    jupyter.tell(secure=True)
    jupyter.runs(session("sub/train.ipynb"))
    assert jupyter.found() == jupyter.folder / "sub" / "train.ipynb"


@pytest.mark.parametrize("status", [302, 401, 403])
def test_a_server_that_lets_nobody_in(status: int, jupyter: Jupyter) -> None:
    file = jupyter.tell()
    jupyter.status = status
    answer = str(jupyter.found())
    assert f"lets nobody in with the token in {file} ({status})" in answer
    assert TOKEN not in answer


def test_a_server_without_a_token_in_its_file(jupyter: Jupyter) -> None:
    file = jupyter.tell(token="")
    jupyter.status = 403
    assert f"with no token, as in {file} (403)" in str(jupyter.found())


@pytest.mark.parametrize(
    ("status", "answer"), [(500, []), (200, b"<html>"), (200, {"message": "no"})]
)
def test_a_server_that_answers_amiss(status: int, answer: Any, jupyter: Jupyter) -> None:
    jupyter.tell()
    jupyter.status, jupyter.answer = status, answer
    assert f"answered amiss ({status})" in str(jupyter.found())


def test_a_server_that_does_not_answer_is_followed_by_one_that_does(jupyter: Jupyter) -> None:
    os.utime(jupyter.tell("jpserver-1.json"), (0, 0))
    jupyter.tell("jpserver-2.json", port=1)
    jupyter.runs(session("sub/train.ipynb"))
    assert jupyter.found() == jupyter.folder / "sub" / "train.ipynb"
    jupyter.runs()
    answer = str(jupyter.found())
    assert "http://127.0.0.1:1/user/ada/ doesn't answer (ConnectionRefusedError" in answer
    assert "runs this kernel for no notebook" in answer


def test_a_server_that_hangs_is_given_two_seconds(jupyter: Jupyter) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        jupyter.tell(port=deaf.getsockname()[1])
        began = time.monotonic()
        assert "doesn't answer (TimeoutError" in str(jupyter.found())
        assert time.monotonic() - began < 2 * servers.SECONDS


def test_the_server_that_started_this_program_is_asked_first(jupyter: Jupyter) -> None:
    os.utime(jupyter.tell("jpserver-1.json", pid=os.getppid()), (0, 0))
    jupyter.tell("jpserver-2.json", base_url="/other/")
    jupyter.found()
    assert [path for path, _ in jupyter.asked] == ["/user/ada/api/sessions", "/other/api/sessions"]


def test_files_of_servers_that_are_gone_or_are_none(jupyter: Jupyter) -> None:
    jupyter.tell("jpserver-1.json", pid=2**22 + 1)
    jupyter.tell("jpserver-2.json", port=None)
    (jupyter.folder / "jpserver-3.json").write_text("")
    (jupyter.folder / "jpserver-4.json").write_text("[]")
    (jupyter.folder / "jpserver-5.json").mkdir()
    assert jupyter.found() == "no Jupyter Server runs on this machine as this user"
    assert not jupyter.asked


def test_another_machines_server_gets_no_token(jupyter: Jupyter) -> None:
    jupyter.tell(hostname="192.0.2.7")
    assert "http://192.0.2.7" in str(jupyter.found())
    assert "is not on this machine" in str(jupyter.found())


def test_a_notebook_that_is_no_file_here(jupyter: Jupyter) -> None:
    jupyter.tell()
    jupyter.runs(session("bucket/train.ipynb"))
    assert "runs 'bucket/train.ipynb', which is no file in" in str(jupyter.found())


def test_two_notebooks_that_share_a_kernel_are_both_named(jupyter: Jupyter) -> None:
    jupyter.tell()
    jupyter.runs(session("b.ipynb"), session("a.ipynb"))
    assert "more than one notebook (a.ipynb, b.ipynb)" in str(jupyter.found())


def test_a_console_is_no_notebook(jupyter: Jupyter) -> None:
    jupyter.tell()
    jupyter.runs(session("console-1", type="console"), session("sub/train.ipynb"))
    assert jupyter.found() == jupyter.folder / "sub" / "train.ipynb"


def test_a_token_is_in_no_repr(jupyter: Jupyter) -> None:
    (server,) = servers.running([jupyter.tell().parent])
    assert server.token == TOKEN
    assert TOKEN not in repr(server)


def test_where_jupyter_keeps_files() -> None:
    assert servers.runtime_folder({"JUPYTER_RUNTIME_DIR": "/r"}) == Path("/r")
    assert servers.runtime_folder({"JUPYTER_DATA_DIR": "/d"}) == Path("/d/runtime")
    assert servers.runtime_folder({"XDG_DATA_HOME": "/x"}) == Path("/x/jupyter/runtime")
    assert servers.runtime_folder({}) == Path.home() / ".local/share/jupyter/runtime"
