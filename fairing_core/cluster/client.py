"""A cluster's API, by the connections of the Kubernetes client and none of its models.

That one is imported inside of functions only.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from http.client import HTTPException
from typing import Any
from urllib.parse import urlencode

from fairing_core import errors
from fairing_core.cluster.kubeconfig import Access, untyped
from fairing_core.cluster.refusals import refusal

_CONNECT = 10.0  # seconds
READ = 30.0
_PATIENCE = 60.0  # seconds that a server which has answered before may be away
_PAUSES = (0.1, 5.0)
_chance = random.Random()  # not the module's own state, which is the user's to seed
AGAIN = (429, 500, 502, 503, 504)
"""Answers after which the same may be asked again: the server is busy, or its way to a node cut."""

FAILED = "NonZeroExitCode"
"""The reason of an error that says that a command in a pod has failed (Kubernetes' own)."""

_PAGE = 500
_LONGEST = 1 << 20  # bytes that are read of a refusal
_STDIN, _STDOUT, _STDERR, _STATUS = b"\0", b"\1", b"\2", b"\3"  # channels of a command in a pod
_CLOSE = b"\xff"  # what follows is the channel that is closed, where both know _CLOSING
_CLOSING = "v5.channel.k8s.io"
_FRAME = 1 << 16  # bytes that are written to it at once

Object = dict[str, Any]


class Cluster:
    """A cluster's API, as raw paths and plain dicts; asked when it is needed, not before.

    One that was given nothing takes the pod's own service account inside a cluster, else what
    ``KUBECONFIG`` or ``~/.kube/config`` says. Nothing of the process is changed by it, so that
    several lead to several clusters.

    Args:
        namespace: by default the pod's own, else that of the kubeconfig's context.
        config_file: a kubeconfig; by default ``KUBECONFIG``, else ``~/.kube/config``.
        context: the context of the kubeconfig; by default its current one.
        client_configuration: a ``kubernetes.client.Configuration`` to use instead.
        persist_config: whether refreshed tokens are written back to the kubeconfig.
    """

    def __init__(
        self,
        *,
        namespace: str | None = None,
        config_file: str | os.PathLike[str] | None = None,
        context: str | None = None,
        client_configuration: object = None,
        persist_config: bool = True,
    ) -> None:
        self._namespace = namespace
        file = None if config_file is None else os.fspath(config_file)
        self._access = Access(file, context, client_configuration, persist_config)
        self._lock = threading.RLock()
        self._session: _Session | None = None

    @property
    def namespace(self) -> str:
        """The namespace that is meant where none is named.

        Raises:
            NoCluster: it is the kubeconfig's to say, and there is none that can be read.
        """
        return self._namespace or self._connected().namespace

    @property
    def server(self) -> str:
        """The API server's address."""
        return self._connected().server

    def lacks(self) -> str | None:
        """Why it leads nowhere, or None; looks at this machine only, and imports nothing."""
        try:
            self._access.check()
        except errors.NoCluster as exc:
            return str(exc)
        return None

    def warm(self) -> None:
        """Gets ready in the background: what it imports takes longer than a small build.

        Raises:
            NoCluster: there is no kubeconfig, and this is no pod.
        """
        self._access.check()
        threading.Thread(target=self._warm, name="fairing-cluster", daemon=True).start()

    def get(self, path: str, **query: str | int) -> Object:
        """The object, or list, at `path`.

        Raises:
            ObjectNotFound: there is none.
            ClusterError: and its kinds.
        """
        found: Object = json.loads(self._ask("GET", path, query=query))
        return found

    def listed(self, path: str, **query: str | int) -> list[Object]:
        """The items of a list, of however many pages."""
        items: list[Object] = []
        more: dict[str, str | int] = {"limit": _PAGE}
        while True:
            try:
                page = self.get(path, **query, **more)
            except errors.ClusterError as exc:
                if exc.status != 410 or "continue" not in more:
                    raise
                items, more = [], {"limit": _PAGE}  # the list has changed too much meanwhile
                continue
            items += page.get("items") or []
            token = (page.get("metadata") or {}).get("continue")
            if not token:
                return items
            more["continue"] = token

    def create(self, path: str, manifest: Mapping[str, Any], **query: str | int) -> Object:
        """The object that was made of `manifest`, in the collection at `path`."""
        made: Object = json.loads(self._ask("POST", path, body=manifest, query=query))
        return made

    def patch(self, path: str, change: Mapping[str, Any]) -> Object:
        """The object at `path` after a JSON merge patch (RFC 7396)."""
        kind = "application/merge-patch+json"
        changed: Object = json.loads(self._ask("PATCH", path, body=change, content_type=kind))
        return changed

    def delete(self, path: str, *, uid: str | None = None) -> None:
        """Deletes the object at `path`, then what it owns; one that is gone is no error.

        With `uid`, another object of that name stays.
        """
        body: Object = {"propagationPolicy": "Background"}
        if uid is not None:
            body["preconditions"] = {"uid": uid}
        try:
            self._ask("DELETE", path, body=body)
        except errors.ObjectNotFound:
            return
        except errors.ClusterError as exc:
            if exc.status != 409 or uid is None:
                raise

    def stream(
        self, path: str, stop: threading.Event, /, *, patience: float = READ, **query: str | int
    ) -> Iterator[bytes]:
        """The bytes at `path` as they come; ends soon after `stop` is set.

        Args:
            path: what is read.
            stop: whether nobody wants more.
            patience: seconds for which nothing may come, once it has begun.
            query: as the API has it.

        Raises:
            ConnectionError: it was cut, or nothing came for a while.
            ClusterError: and its kinds.
        """
        from urllib3.exceptions import HTTPError

        response = self._send("GET", path, query=query)
        if response.connection is not None and response.connection.sock is not None:
            response.connection.sock.settimeout(patience)  # an answer itself may take its time
        try:
            for data in response.stream(1 << 16):
                if stop.is_set():
                    return
                yield data
        except (HTTPError, HTTPException, OSError) as exc:
            raise ConnectionError(str(exc)) from exc
        finally:
            with contextlib.suppress(Exception):
                response.close()

    def execute(self, path: str, command: Sequence[str], *, container: str) -> Iterator[bytes]:
        """What a command in a pod writes to stdout, as it comes; `path` is that of its ``exec``.

        Raises:
            ConnectionError: it was cut, or nothing came for a while.
            ClusterError: and its kinds; the command failed.

        Source: Kubernetes, the protocol v5.channel.k8s.io of remote commands.
        """
        from websocket import ABNF, WebSocketException

        pairs = [("container", container), ("stdout", "true"), ("stderr", "true")]
        url = f"{path}?{urlencode([*pairs, *(('command', word) for word in command)])}"
        socket = self._websocket(path, url)
        said = b""
        try:
            while True:
                kind, frame = socket.recv_data(control_frame=False)
                if kind == ABNF.OPCODE_CLOSE:
                    raise ConnectionError(f"{path} was closed before the command had ended")
                channel, data = frame[:1], frame[1:]
                if channel == _STDOUT and data:
                    yield data
                elif channel == _STDERR:
                    said += data
                elif channel == _STATUS:
                    _check_ended(json.loads(data), said)
                    return
        except (WebSocketException, OSError) as exc:
            if isinstance(exc, errors.FairingError):
                raise
            raise ConnectionError(f"{path}: {exc}") from exc
        finally:
            with contextlib.suppress(Exception):
                socket.close(timeout=1)

    def feed(self, path: str, blocks: Iterable[bytes], *, container: str) -> None:
        """Writes `blocks` to a container's stdin, and closes it; `path` is that of its ``attach``.

        Raises:
            ConnectionError: it was cut before all was written.
            ClusterError: and its kinds.

        Source: Kubernetes, the protocol v5.channel.k8s.io of remote commands.
        """
        from websocket import WebSocketException

        query = {"container": container, "stdin": "true", "stdout": "false", "stderr": "false"}
        socket = self._websocket(path, f"{path}?{urlencode(query)}")
        try:
            for block in blocks:
                for at in range(0, len(block), _FRAME):
                    socket.send_binary(_STDIN + block[at : at + _FRAME])
            if socket.getheaders().get("sec-websocket-protocol") == _CLOSING:
                socket.send_binary(_CLOSE + _STDIN)
        except (WebSocketException, OSError) as exc:
            if isinstance(exc, errors.FairingError):
                raise
            raise ConnectionError(f"{path}: {exc}") from exc
        finally:
            with contextlib.suppress(Exception):
                socket.close(timeout=5)

    def _websocket(self, path: str, url: str) -> Any:
        from websocket import WebSocketBadStatusException, WebSocketException

        for renewed in (False, True):
            try:
                return self._connected(anew=renewed).websocket(url)
            except WebSocketBadStatusException as exc:
                if exc.status_code == 401 and not renewed:
                    continue
                body = bytes(exc.resp_body or b"")
                # A websocket is opened by GET, and since 1.35 whoever opens it also needs "create".
                method = "GET" if b" cannot get " in body else "POST"
                raise refusal(method, path, (exc.status_code, body), self.server) from exc
            except (WebSocketException, OSError) as exc:
                raise self._unreachable(exc) from exc
        raise AssertionError("unreachable")

    def _warm(self) -> None:
        with contextlib.suppress(Exception):  # whoever needs it meets the fault again
            self._send("GET", "/version").release_conn()

    def _ask(self, method: str, path: str, **more: Any) -> bytes:
        from urllib3.exceptions import HTTPError

        for left in (2, 1, 0):
            response = self._send(method, path, **more)
            try:
                data: bytes = response.read()
            except (HTTPError, OSError) as exc:
                if method != "GET" or not left:
                    raise self._unreachable(exc) from exc
            else:
                response.release_conn()
                return data
        raise AssertionError("unreachable")

    def _send(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str | int] | None = None,
        content_type: str = "application/json",
    ) -> Any:
        """The answer, its body not yet read."""
        from urllib3.exceptions import HTTPError

        url = path + (f"?{urlencode(query)}" if query else "")
        data = None if body is None else json.dumps(body).encode()
        session = self._connected()
        began = time.monotonic()
        pause = _PAUSES[0]
        renewed = False
        while True:
            patience = _PATIENCE if session.has_answered else 0.0
            try:
                response = session.request(method, url, data, content_type)
            except HTTPError as exc:
                fault = _fault(exc)
                safe = method == "GET" or isinstance(fault, ConnectionRefusedError)
                if "CERTIFICATE" in str(fault).upper():
                    raise self._untrusted(fault) from exc
                if not safe or time.monotonic() - began > patience:
                    raise self._unreachable(fault) from exc
            else:
                session.has_answered = True
                if response.status < 400:
                    return response
                if response.status == 401 and not renewed:
                    renewed = True
                    response.drain_conn()
                    session = self._connected(anew=True)  # the token may have been renewed
                    session.has_answered = True
                    continue
                throttled = response.status == 429 or method == "GET"
                away = response.status in AGAIN and throttled
                if not away or time.monotonic() - began > _PATIENCE:
                    answer = (response.status, response.read(_LONGEST))
                    response.release_conn()
                    raise refusal(method, path, answer, self.server)
                told = response.headers.get("Retry-After", "")
                if told.isdigit():
                    pause = max(pause, min(float(told), _PAUSES[1]))
                response.drain_conn()
            time.sleep(pause * _chance.uniform(0.75, 1.25))
            pause = min(pause * 2, _PAUSES[1])

    def _connected(self, *, anew: bool = False) -> _Session:
        with self._lock:
            if self._session is None or anew:
                self._session = _Session(*self._access.loaded())
            return self._session

    def _unreachable(self, fault: object) -> errors.ClusterUnreachable:
        return errors.ClusterUnreachable(
            f"the API server {self.server} doesn't answer: {fault}; is it up, and is this the "
            "cluster you mean ('kubectl config get-contexts')?"
        )

    def _untrusted(self, fault: object) -> errors.UntrustedCluster:
        return errors.UntrustedCluster(
            f"the certificate of the API server {self.server} is not trusted: {fault}; the "
            "kubeconfig's certificate-authority names who is"
        )

    def __getstate__(self) -> dict[str, Any]:
        state = dict(self.__dict__)
        for name in ("_lock", "_session"):
            del state[name]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.RLock(), _session=None)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Cluster) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[object, ...]:
        access = self._access
        return self._namespace, access.config_file, access.context, id(access.given)

    def __repr__(self) -> str:
        said = {
            "namespace": self._namespace,
            "config_file": self._access.config_file,
            "context": self._access.context,
        }
        words = ", ".join(f"{key}={value!r}" for key, value in said.items() if value is not None)
        return f"Cluster({words})"


class _Session:
    """Connections to one API server."""

    def __init__(self, configuration: Any, namespace: str) -> None:
        from kubernetes.client.rest import RESTClientObject

        self.namespace = namespace
        self.server: str = configuration.host
        self.has_answered = False
        self._configuration = configuration
        self._pool = RESTClientObject(configuration).pool_manager

    def request(self, method: str, url: str, body: bytes | None, content_type: str) -> Any:
        from urllib3 import Timeout

        headers = {"Accept": "application/json, */*", "User-Agent": "fairing"}
        if body is not None:
            headers["Content-Type"] = content_type
        if token := self._token():
            headers["Authorization"] = token
        return self._pool.request(
            method,
            self.server + url,
            body=body,
            headers=headers,
            preload_content=False,
            retries=False,
            redirect=False,
            timeout=Timeout(connect=_CONNECT, read=READ),
        )

    def websocket(self, url: str) -> Any:
        from kubernetes.stream import ws_client

        headers = {}
        if token := self._token():
            headers["authorization"] = token
        address = untyped(ws_client.get_websocket_url)(self.server + url)
        socket = untyped(ws_client.create_websocket)(self._configuration, address, headers)
        socket.settimeout(READ)
        return socket

    def _token(self) -> str | None:
        # Not auth_settings(), which in kubernetes 36.0.0 knows one name only, while its own loaders
        # write the other (kubernetes-client/python#2595).
        token: str | None = self._configuration.get_api_key_with_prefix(
            "BearerToken", "authorization"
        )
        return token


def _check_ended(status: Object, said: bytes) -> None:
    """Source: Kubernetes API v1.36, meta/v1 Status."""
    if status.get("status") != "Success":
        told = said.decode("utf-8", "replace").strip() or status.get("message", "")
        raise errors.ClusterError(
            f"a command in the pod failed: {told}", status=500, reason=status.get("reason", "")
        )


def _fault(error: BaseException) -> BaseException:
    """What is at the bottom of an error of urllib3's."""
    seen = {id(error)}
    while True:
        inner = getattr(error, "reason", None)
        inner = inner if isinstance(inner, BaseException) else error.__cause__ or error.__context__
        if inner is None or id(inner) in seen:
            return error
        seen.add(id(inner))
        error = inner
