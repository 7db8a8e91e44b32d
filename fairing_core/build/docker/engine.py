"""The API of a Docker engine, or of Podman's like it: the one module that imports `docker`.

The package finds the engine and carries the bytes. What is streamed is asked for and read here: its
own calls look for credentials where we don't, and stop waiting after a minute.

Source: Docker Engine API v1.41.
"""

from __future__ import annotations

import base64
import contextlib
import errno
import json
import os
import re
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any, Protocol

from fairing_core import errors
from fairing_core.build.docker import log as enginelog
from fairing_core.build.push import Traffic
from fairing_core.images.reference import HUB, ImageRef
from fairing_core.images.tokens import IDENTITY_TOKEN, REGISTRY_TOKEN
from fairing_core.types import Credentials, Report
from fairing_core.values import field, frozen

_QUICK = 5.0  # seconds that an engine may take to say that it is there
_ANSWER = 60.0  # that it may take for a short answer, or to take the next bytes of a context
_SILENCE = 3600.0  # that it may be silent while it builds, pulls or pushes
_HUB_KEY = "https://index.docker.io/v1/"
_PUSHED = re.compile(r": digest: (sha256:[0-9a-f]{64}) size: \d+$")
_INSTALL = (
    "the package 'docker', which talks to the engine, is not installed: "
    "pip install 'fairing-core[docker]'"
)


@frozen
class Address:
    """Where an engine is: `url`, and who said so; `tls` is what the docker package makes of it."""

    url: str
    said: str = ""
    tls: Any = field(default=False, kw_only=True, repr=False)

    def __str__(self) -> str:
        shown = re.sub(r"//[^/@]*@", "//", self.url)
        return f"{shown} ({self.said})" if self.said else shown


class Find(Protocol):
    """Finds an engine: `title` and `start` are for errors."""

    title: str
    start: str

    def __call__(self, host: str | None) -> Address:
        """Where it is; `host` is what the user said."""
        ...


class DockerAddress:
    """A Docker engine: what was said, else DOCKER_HOST, else docker's context, else its socket."""

    title = "Docker engine"
    start = (
        "start it (systemctl start docker), or say where one is: host='unix:///...', DOCKER_HOST"
    )

    def __call__(self, host: str | None) -> Address:
        from docker.context import ContextAPI
        from docker.utils import kwargs_from_env

        said = "" if host else "DOCKER_HOST"
        if url := host or os.environ.get("DOCKER_HOST"):
            found = kwargs_from_env({**os.environ, "DOCKER_HOST": url})
            return Address(url, said, tls=found.get("tls", False))
        name = os.environ.get("DOCKER_CONTEXT")
        context = ContextAPI.get_context(name)
        if context is None:
            shown = name or "that is current"
            raise errors.BuildError(
                f"docker has no context {shown!r}; 'docker context ls' names those it has",
                kind="engine-unreachable",
            )
        said = "" if context.Name == "default" else f"docker's context {context.Name}"
        return Address(
            context.Host or "unix:///var/run/docker.sock", said, tls=context.TLSConfig or False
        )


class PodmanAddress:
    """Podman's API: what was said, else CONTAINER_HOST, else the user's socket, else the system's.

    Source: podman-system-service(1), podman(1) "CONTAINER_HOST".
    """

    title = "Podman engine"
    start = (
        "start it (systemctl --user start podman.socket), or say where one is: "
        "host='unix:///...', CONTAINER_HOST"
    )

    def __call__(self, host: str | None) -> Address:
        said = "" if host else "CONTAINER_HOST"
        if url := host or os.environ.get("CONTAINER_HOST"):
            if url.startswith("ssh:"):
                raise errors.BuildError(
                    f"{Address(url, said)} leads over ssh, which the docker package can't do with "
                    "Podman; forward its socket (ssh -L /tmp/podman.sock:...) and name that",
                    kind="engine-unreachable",
                )
            return Address(url, said)
        runtime = os.environ.get("XDG_RUNTIME_DIR")
        places = [f"{runtime}/podman/podman.sock"] if runtime else []
        places.append("/run/podman/podman.sock")
        there = next((place for place in places if os.path.exists(place)), places[0])
        return Address(f"unix://{there}")


class Engine:
    """A connection to an engine.

    Args:
        find: finds it.
        host: what the user said of where it is.

    Raises:
        BuildError: the package is missing, or the engine doesn't answer.
    """

    def __init__(self, find: Find, host: str | None) -> None:
        try:
            import docker
        except ImportError as exc:
            raise errors.BuildError(_INSTALL, kind="engine-package") from exc
        self._find = find
        try:
            self.address = find(host)
            _knock(self.address.url)
            self._client = docker.APIClient(
                base_url=self.address.url,
                tls=self.address.tls,
                version="auto",
                timeout=_QUICK,
                use_ssh_client=self.address.url.startswith("ssh:"),
            )
        except (docker.errors.DockerException, OSError, ValueError) as exc:
            raise self._unreachable(exc) from exc
        self._client.timeout = _ANSWER

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connection, and what the engine does for it."""
        self._client.close()

    def inspect(self, image: str) -> Mapping[str, Any] | None:
        """What the engine knows of an image that it has; None if it has none."""
        response = self.ask("GET", f"/images/{image}/json")
        if response.status_code == 404:
            return None
        return self._json(response, f"can't look {image} up in the engine")

    def pull(self, image: ImageRef, platform: str, who: Credentials | None, report: Report) -> None:
        """Gets an image from its registry."""
        coming = enginelog.Coming(report, str(image))
        params = {"fromImage": image.name, "tag": image.reference, "platform": platform}
        fields = {"X-Registry-Auth": _auth(who, image)}
        for message in self._stream("/images/create", "pull", str(image), params, fields):
            coming.see(message)
        coming.end()

    def build(
        self,
        archive: Callable[[], Iterable[memoryview]],
        params: Mapping[str, str],
        args: Mapping[str, str],
        logins: Mapping[ImageRef, Credentials],
        heard: Callable[[str], None],
    ) -> str:
        """Builds an image of a context, which is sent while it is made; gives its id.

        Args:
            archive: the context, with the Dockerfile, as a tar.
            params: the API's own.
            args: of the build; the proxies of docker's configuration are added, as by its command.
            logins: for images that the Dockerfile names.
            heard: takes each line.
        """
        lines = enginelog.Lines(heard)
        faults: list[errors.FairingError] = []

        def body() -> Iterator[bytes]:
            try:
                for block in archive():
                    yield bytes(block)
            except errors.FairingError as exc:  # an OSError, too, which would be the connection's
                faults.append(exc)
                raise

        known = {_key(image): _table(who, image) for image, who in logins.items()}
        fields = {"Content-Type": "application/tar", "X-Registry-Config": _encoded(known)}
        if args := {**self._proxies(), **args}:
            params = {**params, "buildargs": json.dumps(args)}
        made, name = "", params["t"]
        try:
            stream = self._stream("/build", "build", name, params, fields, body(), lines)
            for message in stream:
                made = (message.get("aux") or {}).get("ID") or made
        except errors.BuildError:
            if faults:
                raise faults[0] from None
            raise
        return made or name

    def push(self, image: ImageRef, who: Credentials | None, report: Report) -> str | None:
        """Pushes an image by its tag; gives the digest that the engine says it has there.

        The bytes that are counted are those before compression: the engine tells no others.
        """
        traffic, sent = Traffic(report), dict[str, int]()
        fields = {"X-Registry-Auth": _auth(who, image)}
        digest = None
        path, params = f"/images/{image.name}/push", {"tag": str(image.tag)}
        for message in self._stream(path, "push", str(image), params, fields):
            digest = (message.get("aux") or {}).get("Digest") or digest
            status, layer = str(message.get("status") or ""), str(message.get("id"))
            if said := _PUSHED.search(status):  # all that Podman tells
                digest = digest or said[1]
            detail = message.get("progressDetail") or {}
            if status == "Pushing" and "current" in detail:
                before = sent.get(layer, 0)
                sent[layer] = max(before, detail["current"])
                traffic.count(sent=sent[layer] - before)
            elif status == "Layer already exists":
                traffic.count(skipped=1)
            elif status.startswith("Mounted from"):
                traffic.count(mounted=1)
        traffic.tell("pushed")
        return digest

    @contextlib.contextmanager
    def opened(self, image: str) -> Iterator[Files]:
        """The files of an image, by a container that is never started."""
        what = f"can't look into {image}"
        table = {"Image": image, "Cmd": ["true"], "Entrypoint": [], "NetworkDisabled": True}
        made = self._json(self.ask("POST", "/containers/create", json=table), what)
        path = f"/containers/{made['Id']}"
        try:
            yield Files(self, path, what)
        finally:
            gone = self.ask("DELETE", path, params={"v": "true", "force": "true"})
            gone.close()

    def _proxies(self) -> Mapping[str, str]:
        """The variables that a RUN needs to get out; the engine keeps them out of the image."""
        from docker.utils.config import load_general_config
        from docker.utils.proxy import ProxyConfig

        said = load_general_config().get("proxies") or {}
        found = said.get(self.address.url) or said.get("default") or {}
        proxies: Mapping[str, str] = ProxyConfig.from_dict(found).get_environment()
        return proxies

    def ask(self, method: str, path: str, **more: Any) -> Any:
        """The answer to one request, whatever its status."""
        import requests

        more.setdefault("timeout", _ANSWER)
        url = f"{self._client.base_url}/v{self._client.api_version}{path}"
        try:
            return self._client.request(method, url, **more)
        except requests.RequestException as exc:
            raise self._unreachable(exc) from exc

    def _stream(
        self,
        path: str,
        doing: enginelog.Doing,
        name: str,
        params: Mapping[str, str],
        fields: Mapping[str, str],
        body: Iterator[bytes] | None = None,
        lines: enginelog.Lines | None = None,
    ) -> Iterator[Mapping[str, Any]]:
        """The messages of a call, to the last; `lines` takes the texts among them.

        Raises:
            BuildError: what one of them says has failed.
        """
        import requests

        waits = (_ANSWER, _SILENCE)
        response = self.ask(
            "POST", path, params=params, headers=fields, data=body, stream=True, timeout=waits
        )
        try:
            if response.status_code >= 400:
                raise enginelog.fault(_message(response), doing, name)
            for line in response.iter_lines(chunk_size=64 << 10):
                if not line:
                    continue
                message = json.loads(line)
                if lines:
                    lines.add(str(message.get("stream") or ""))
                if found := enginelog.error_of(message):
                    if lines:
                        lines.end()
                    tail = lines.tail if lines else ""
                    raise enginelog.fault(found[0], doing, name, code=found[1], tail=tail)
                yield message
        except ValueError as exc:
            raise self._failed(f"its answer is no JSON ({exc})") from exc
        except requests.RequestException as exc:
            raise self.broke(exc) from exc
        finally:
            response.close()
        if lines:
            lines.end()

    def _json(self, response: Any, what: str) -> Mapping[str, Any]:
        if response.status_code >= 400:
            text = f"{what}: {enginelog.plain(_message(response))}"
            raise errors.BuildError(text, kind="engine-refused")
        table: Mapping[str, Any] = response.json()
        return table

    def broke(self, exc: Exception) -> errors.BuildError:
        """What to raise where it hangs up within an answer."""
        return self._failed(f"it broke off ({_cause(exc) or type(exc).__name__})")

    def _failed(self, text: str) -> errors.BuildError:
        fault = f"the {self._find.title} at {self.address}: {text}"
        return errors.BuildError(fault, kind="engine-failed")

    def _unreachable(self, exc: BaseException) -> errors.BuildError:
        """What to raise where an engine doesn't answer, or hangs up."""
        address = getattr(self, "address", None)
        where = f"no {self._find.title} answers" + (f" at {address}" if address else "")
        cause = _cause(exc)
        number = cause.errno if isinstance(cause, OSError) else None
        if number in (errno.EACCES, errno.EPERM):
            told = "you have no right to its socket; join its group (docker), and log in anew"
            return errors.BuildError(f"{where}: {told}", kind="engine-denied")
        if number == errno.ENOENT:
            why = "there is no such socket"
        elif number == errno.ECONNREFUSED:
            why = "nobody listens there"
        elif isinstance(cause, TimeoutError):
            why = "it is silent"
        else:
            why = re.sub(r"//[^/@\s]*@", "//", str(cause))
        text = f"{where}: {why}; {self._find.start}"
        return errors.BuildError(text, kind="engine-unreachable")


class Files:
    """The files of an image, as long as its container is there."""

    def __init__(self, engine: Engine, container: str, what: str) -> None:
        self._engine = engine
        self._path = f"{container}/archive"
        self._what = what

    def end_of(self, path: str) -> str | None:
        """Where `path` leads once its links are followed; None if nothing is there."""
        response = self._engine.ask("HEAD", self._path, params={"path": path})
        told = response.headers.get("X-Docker-Container-Path-Stat")
        if response.status_code != 200 or not told:
            return None
        return json.loads(base64.b64decode(told)).get("linkTarget") or path

    def tar(self, path: str) -> Iterator[bytes]:
        """A file or a folder, as a tar that begins at its last name.

        Raises:
            BuildError: the engine refuses, or hangs up.
        """
        import requests

        response = self._engine.ask("GET", self._path, params={"path": path}, stream=True)
        try:
            if response.status_code == 404:
                yield bytes(1024)  # a tar of nothing
                return
            if response.status_code >= 400:
                text = f"{self._what}: {enginelog.plain(_message(response))}"
                raise errors.BuildError(text, kind="engine-refused")
            yield from response.iter_content(64 << 10)
        except requests.RequestException as exc:
            raise self._engine.broke(exc) from exc
        finally:
            response.close()


def _knock(url: str) -> None:
    """Sees whether anybody listens at a socket: docker 7.2 leaves one that nobody does open."""
    if not url.startswith("unix:"):
        return
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_QUICK)
        connection.connect(f"/{url.removeprefix('unix:').lstrip('/')}")


def _message(response: Any) -> str:
    """An engine's words for a refusal."""
    try:
        table = response.json()
        return str(table["message"])
    except (ValueError, TypeError, KeyError):
        return f"HTTP {response.status_code} {response.text.strip()[:400]}"


def _cause(exc: BaseException) -> BaseException:
    """The innermost fault: the operating system's or a wait's, where there is one."""
    seen: list[BaseException] = []
    left: list[object] = [exc]
    while left:
        one = left.pop(0)
        if isinstance(one, BaseException) and one not in seen:
            seen.append(one)
            left += [one.__cause__, one.__context__, getattr(one, "reason", None), *one.args]
    for one in seen:
        if (isinstance(one, OSError) and one.errno) or isinstance(one, TimeoutError):
            return one
    timeouts = ("ReadTimeout", "ConnectTimeout", "ReadTimeoutError")
    if any(type(one).__name__ in timeouts for one in seen):
        return TimeoutError()
    return seen[-1]


def _key(image: ImageRef) -> str:
    return _HUB_KEY if image.registry == HUB else image.registry


def _table(who: Credentials, image: ImageRef) -> dict[str, str]:
    """Credentials as the engine reads them."""
    if who.username == IDENTITY_TOKEN:
        found = {"identitytoken": who.password}
    elif who.username == REGISTRY_TOKEN:
        found = {"registrytoken": who.password}
    else:
        found = {"username": who.username, "password": who.password}
    return {**found, "serveraddress": _key(image)}


def _auth(who: Credentials | None, image: ImageRef) -> str:
    return _encoded(_table(who, image) if who else {})


def _encoded(table: Mapping[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(table).encode()).decode()
