"""Asks this machine's Jupyter Servers which notebook a kernel runs.

Each server writes a file of itself; what it says there, and at ``api/sessions``, is read by the
standard library, since an environment of kernels need not have Jupyter's server. Only this
machine's are asked, without a proxy and whatever their certificate is: nobody else gets a token.

Source: jupyter_server's ``ServerApp.server_info`` and its REST API.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import ssl
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from fairing_core.values import field, frozen

SECONDS = 2.0
"""How long one server may take to answer."""

_ALL_SECONDS = 10.0
_LARGEST = 10_000_000
_PATTERNS = ("jpserver-*.json", "nbserver-*.json")
_ANY_ADDRESS = ("", "*", "0.0.0.0", "::")  # noqa: S104 - read, not bound


@frozen
class Server:
    """A server as its file tells of it."""

    file: Path
    host: str = field(kw_only=True)
    port: int = field(kw_only=True)
    secure: bool = field(kw_only=True)
    base_url: str = field(kw_only=True)
    root: str = field(kw_only=True)
    pid: int = field(kw_only=True)
    token: str = field(kw_only=True, repr=False)

    @property
    def url(self) -> str:
        """Its address, for messages."""
        return f"http{'s' if self.secure else ''}://{self.host}:{self.port}{self.base_url}"


def notebook(kernel: str, folders: Iterable[Path]) -> Path | str:
    """The notebook of the kernel with that id, or why no server told it."""
    servers = list(running(folders))
    if not servers:
        return "no Jupyter Server runs on this machine as this user"
    faults = []
    end = time.monotonic() + _ALL_SECONDS
    for server in servers:
        if time.monotonic() > end:
            faults.append("servers took too long")
            break
        try:
            sessions = _sessions(server)
        except _Refused as exc:
            faults.append(str(exc))
            continue
        paths = [_path(session) for session in sessions if _is_notebook(session, kernel)]
        if not paths:
            faults.append(f"the Jupyter Server at {server.url} runs this kernel for no notebook")
            continue
        if len(paths) > 1:
            return f"this kernel runs more than one notebook ({', '.join(sorted(paths))})"
        return _local(server, paths[0])
    return "; ".join(faults)


def runtime_folder(environ: Mapping[str, str]) -> Path:
    """Where Jupyter keeps the files of what runs, by default."""
    if named := environ.get("JUPYTER_RUNTIME_DIR"):
        return Path(named)
    if data := environ.get("JUPYTER_DATA_DIR"):
        return Path(data, "runtime")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Jupyter" / "runtime"
    shared = environ.get("APPDATA" if os.name == "nt" else "XDG_DATA_HOME")
    return Path(shared or Path.home() / ".local" / "share", "jupyter", "runtime")


class _Refused(Exception):
    """A server didn't answer, or not what was asked."""


def running(folders: Iterable[Path]) -> Iterator[Server]:
    """Servers of this machine; the one that started this kernel, then the newest, first."""
    files = {file for folder in folders for pattern in _PATTERNS for file in folder.glob(pattern)}
    found = [server for file in sorted(files) if (server := _read(file)) and _lives(server.pid)]
    parent = os.getppid()
    yield from sorted(found, key=lambda each: (each.pid != parent, -_changed(each.file)))


def _read(file: Path) -> Server | None:
    try:
        told = json.loads(file.read_bytes())
        host = told.get("hostname") or ""
        return Server(
            file,
            host="127.0.0.1" if host in _ANY_ADDRESS else host,
            port=int(told["port"]),
            secure=bool(told.get("secure")),
            base_url=told["base_url"],
            root=told.get("root_dir") or told["notebook_dir"],
            pid=int(told["pid"]),
            token=told.get("token") or _hub_token(told["base_url"]),
        )
    except (OSError, ValueError, TypeError, LookupError, AttributeError):
        return None  # it is being written, or is not what it is called


def _hub_token(base_url: str) -> str:
    """What JupyterHub gave this user's own server, which has no other token."""
    if base_url != os.environ.get("JUPYTERHUB_SERVICE_PREFIX"):
        return ""
    return os.environ.get("JUPYTERHUB_API_TOKEN") or os.environ.get("JPY_API_TOKEN") or ""


def _lives(pid: int) -> bool:
    if os.name != "posix":
        return True  # asking would end it
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass  # another user's
    return True


def _changed(file: Path) -> float:
    try:
        return file.stat().st_mtime
    except OSError:
        return 0.0


def _sessions(server: Server) -> Sequence[Mapping[str, Any]]:
    """What the server runs.

    Raises:
        _Refused: it is not this machine's, doesn't answer, or wants another token.
    """
    what = f"the Jupyter Server at {server.url}"
    if not _is_here(server.host):
        raise _Refused(f"{what} is not on this machine")
    headers = {"Authorization": f"token {server.token}"} if server.token else {}
    connection = _connection(server)
    try:
        connection.request("GET", f"{server.base_url}api/sessions", headers=headers)
        response = connection.getresponse()
        answer = response.read(_LARGEST)
    except (OSError, http.client.HTTPException) as exc:
        raise _Refused(f"{what} doesn't answer ({type(exc).__name__}: {exc})") from exc
    finally:
        connection.close()
    if response.status in (301, 302, 401, 403):  # to its login
        told = "the token in" if server.token else "no token, as in"
        raise _Refused(f"{what} lets nobody in with {told} {server.file} ({response.status})")
    try:
        sessions = json.loads(answer) if response.status == 200 else None
    except ValueError:
        sessions = None
    if not isinstance(sessions, list):
        raise _Refused(f"{what} answered amiss ({response.status})")
    return [session for session in sessions if isinstance(session, dict)]


def _connection(server: Server) -> http.client.HTTPConnection:
    if not server.secure:
        return http.client.HTTPConnection(server.host, server.port, timeout=SECONDS)
    context = ssl.create_default_context()  # its certificate is self-signed, or for another name:
    context.check_hostname = False  # that the address is this machine's is what is known of it
    context.verify_mode = ssl.CERT_NONE
    return http.client.HTTPSConnection(server.host, server.port, timeout=SECONDS, context=context)


def _is_here(host: str) -> bool:
    """Whether a host's addresses are this machine's: only those can be bound."""
    try:
        found = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)
        for family, kind, protocol, _, address in found:
            with socket.socket(family, kind, protocol) as probe:
                probe.bind(address)
    except OSError:
        return False
    return True


def _is_notebook(session: Mapping[str, Any], kernel: str) -> bool:
    """Whether it is of that kernel, and no console's."""
    told = session.get("kernel")
    mine = isinstance(told, dict) and told.get("id") == kernel
    return mine and session.get("type", "notebook") == "notebook"


def _path(session: Mapping[str, Any]) -> str:
    """The notebook's path below the server's root; servers before 2017's say it one level down."""
    below = session.get("notebook")
    path = session.get("path") or (below.get("path") if isinstance(below, dict) else "")
    return str(path or "")


def _local(server: Server, path: str) -> Path | str:
    """The file of a session's path, which may begin with a drive's name (``RTC:train.ipynb``)."""
    for each in (path, path.partition(":")[2]):
        found = os.path.normpath(os.path.join(server.root, each.lstrip("/")))
        if each and os.path.isfile(found):
            return Path(found)
    return f"the Jupyter Server at {server.url} runs {path!r}, which is no file in {server.root}"
