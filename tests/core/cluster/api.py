"""An API server's answers, for what a real one can't be made to do: cuts, rotations, refusals."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

Object = dict[str, Any]
NOW = "2026-11-24T04:00:00Z"


class Api:
    """Objects by path, logs by pod, and the faults that the next requests meet."""

    def __init__(self, folder: Path) -> None:
        self.objects: dict[str, Object] = {}
        self.logs: dict[str, list[tuple[str, bytes]]] = {}
        self.cuts: list[int] = []
        """Bytes after which the next streams of logs break off."""
        self.faults: list[tuple[int, Object | None]] = []
        """What the next requests are answered: a status and its object; 0 closes the line."""
        self.raw: tuple[int, bytes] | None = None
        """What the next request is answered, as it is."""
        self.asked: list[tuple[str, str]] = []
        self.headers: list[dict[str, str]] = []
        self.pods_refused = ""
        """Why no pod is made of a Job."""
        self.on_job: Callable[[Object], object] = self._start
        """What becomes of a Job that is created."""
        self.denied: set[tuple[str, str]] = set()
        """What this user may not: verb and resource."""
        self.refused_logs = ""
        """Why nobody may read logs."""
        self._server = ThreadingHTTPServer(
            ("127.0.0.1", 0), type("Handler", (_Handler,), {"api": self})
        )
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self.config = folder / "kubeconfig"
        self.config.write_text(json.dumps(kubeconfig(self.url)), encoding="utf-8")

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def job(self, name: str, *conditions: str, **spec: Any) -> Object:
        """A Job of the namespace `test`."""
        job = {
            "metadata": _meta(name),
            "spec": {"completions": 1, **spec},
            "status": {"conditions": [condition(kind) for kind in conditions]},
        }
        self.objects[f"/apis/batch/v1/namespaces/test/jobs/{name}"] = job
        return job

    def pod(self, job: Object, name: str, state: Object, restarts: int = 0) -> Object:
        """A pod of a Job."""
        pod = pod_of(job, name, state, restarts)
        self.objects[f"/api/v1/namespaces/{job['metadata']['namespace']}/pods/{name}"] = pod
        return pod

    def _start(self, job: Object) -> None:
        name = f"{job['metadata']['name']}-abcde"
        self.pod(job, name, {"waiting": {"reason": "ContainerCreating"}})


def condition(kind: str, reason: str = "") -> Object:
    return {
        "type": kind,
        "status": "True",
        "reason": reason or "BackoffLimitExceeded",
        "message": "Job has reached the specified backoff limit",
        "lastTransitionTime": NOW,
    }


def pod_of(job: Object, name: str, state: Object, restarts: int = 0) -> Object:
    status = {"name": "fairing-job", "state": state, "restartCount": restarts}
    labels = {"batch.kubernetes.io/controller-uid": job["metadata"]["uid"]}
    return {
        "metadata": _meta(name, labels),
        "spec": {"containers": [{"name": "fairing-job"}]},
        "status": {
            "phase": "Succeeded" if "terminated" in state else "Running",
            "containerStatuses": [status],
        },
    }


def _meta(name: str, labels: Mapping[str, str] | None = None) -> Object:
    return {
        "name": name,
        "namespace": "test",
        "uid": str(uuid.uuid4()),
        "creationTimestamp": NOW,
        "labels": {
            "app.kubernetes.io/managed-by": "fairing",
            "fairing-deployer": "job",
            **(labels or {}),
        },
    }


def kubeconfig(server: str, **user: Any) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "clusters": [{"name": "one", "cluster": {"server": server}}],
        "users": [{"name": "me", "user": user or {"token": "s3cr3t"}}],
        "contexts": [
            {"name": "here", "context": {"cluster": "one", "user": "me", "namespace": "test"}},
            {"name": "bare", "context": {"cluster": "one", "user": "me"}},
        ],
    }


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # 40 ms an answer
    api: Api

    def do_GET(self) -> None:
        path, query = self._begun()
        if self._faulty():
            return
        if path.endswith("/log"):
            self._log(path.split("/")[-2], query)
        elif path in self.api.objects:
            self._answer(200, self.api.objects[path])
        elif path.rpartition("/")[2] in ("jobs", "pods", "events", "nodes"):
            self._answer(200, {"items": _matching(self.api, path, query), "metadata": {}})
        elif path.startswith("/api/v1/namespaces/") and ("get", "namespaces") in self.api.denied:
            self._answer(403, _status(403, "namespaces is forbidden"))
        elif path in ("/version", "/api/v1/namespaces/test"):
            self._answer(200, {})
        else:
            self._answer(404, _status(404, f'"{path.rpartition("/")[2]}" not found'))

    def do_POST(self) -> None:
        path, query = self._begun()
        body = self._body()
        if self._faulty():
            return
        if path.endswith("selfsubjectaccessreviews"):
            asked = body["spec"]["resourceAttributes"]
            resource = "/".join(filter(None, (asked["resource"], asked.get("subresource"))))
            allowed = (asked["verb"], resource) not in self.api.denied
            self._answer(201, {"status": {"allowed": allowed}})
            return
        if query.get("dryRun") == "All":
            self._answer(201, body)
            return
        name = body["metadata"]["name"]
        if f"{path}/{name}" in self.api.objects:
            self._answer(409, _status(409, f'"{name}" already exists'))
            return
        body["metadata"].update(uid=str(uuid.uuid4()), creationTimestamp=NOW)
        body.setdefault("status", {})
        self.api.objects[f"{path}/{name}"] = body
        if self.api.pods_refused:
            event: Object = {"reason": "FailedCreate", "message": self.api.pods_refused}
            event["involvedObject"] = body["metadata"]
            event["metadata"] = {}
            self.api.objects["/api/v1/namespaces/test/events/refused"] = event
        elif path.endswith("jobs"):
            self.api.on_job(body)
        self._answer(201, body)

    def do_PATCH(self) -> None:
        path, _ = self._begun()
        body = self._body()
        if self._faulty():
            return
        _merge(self.api.objects[path], body)
        self._answer(200, self.api.objects[path])

    def do_DELETE(self) -> None:
        path, _ = self._begun()
        body = self._body()
        if self._faulty():
            return
        found = self.api.objects.get(path)
        if found is None:
            self._answer(404, _status(404, "not found"))
            return
        uid = body.get("preconditions", {}).get("uid")
        if uid and uid != found["metadata"]["uid"]:
            self._answer(409, _status(409, "Precondition failed: UID"))
            return
        del self.api.objects[path]
        self._answer(200, {})

    def _begun(self) -> tuple[str, dict[str, str]]:
        self.api.asked.append((self.command, self.path))
        self.api.headers.append({key.lower(): value for key, value in self.headers.items()})
        parts = urlsplit(self.path)
        return parts.path, {key: value[-1] for key, value in parse_qs(parts.query).items()}

    def _body(self) -> Object:
        size = int(self.headers.get("Content-Length") or 0)
        found: Object = json.loads(self.rfile.read(size) or b"{}")
        return found

    def _faulty(self) -> bool:
        if self.api.raw:
            status, data = self.api.raw
            self.api.raw = None
            self._send(status, data)
            return True
        if not self.api.faults:
            return False
        status, content = self.api.faults.pop(0)
        if status == 0:
            self.close_connection = True
            self.connection.close()
        else:
            self._answer(status, content or _status(status, "so it is"))
        return True

    def _answer(self, status: int, content: Object) -> None:
        self._send(status, json.dumps(content).encode())

    def _send(self, status: int, data: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _log(self, name: str, query: Mapping[str, str]) -> None:
        key = f"{name}/previous" if query.get("previous") else name
        if self.api.refused_logs:
            self._answer(403, _status(403, self.api.refused_logs))
            return
        if key not in self.api.logs:
            self._answer(404, _status(404, f'pods "{name}" not found'))
            return
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        left = self.api.cuts.pop(0) if self.api.cuts else None
        lines = self.api.logs[key]
        if "tailLines" in query:
            lines = lines[max(0, len(lines) - int(query["tailLines"])) :]
        if "sinceTime" in query:
            lines = [line for line in lines if line[0] >= query["sinceTime"][:-1]]
        for moment, text in lines:
            data = f"{moment} ".encode() + text
            if left is not None:
                data, left = data[:left], left - len(data)
            if data:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            if left is not None and left <= 0:
                self.close_connection = True
                self.connection.close()
                return
        self._until_ended(name, bool(query.get("follow")))
        self.wfile.write(b"0\r\n\r\n")

    def _until_ended(self, name: str, follow: bool) -> None:
        pod = self.api.objects.get(f"/api/v1/namespaces/test/pods/{name}")
        deadline = time.monotonic() + 5
        while follow and pod and time.monotonic() < deadline:
            if "running" not in pod["status"]["containerStatuses"][0]["state"]:
                return
            time.sleep(0.005)

    def log_message(self, *_: object) -> None:
        pass


def _matching(api: Api, path: str, query: Mapping[str, str]) -> list[Object]:
    words = [word for word in query.get("labelSelector", "").split(",") if word]
    wanted = dict(word.split("=") for word in words if "=" in word)
    named = {word for word in words if "=" not in word}
    uid = query.get("fieldSelector", "").partition("involvedObject.uid=")[2]
    return [
        one
        for at, one in api.objects.items()
        if at.rpartition("/")[0] == path
        and wanted.items() <= (one["metadata"].get("labels") or {}).items()
        and named <= (one["metadata"].get("labels") or {}).keys()
        and (not uid or one["involvedObject"]["uid"] == uid)
    ]


def _merge(old: Object, new: Object) -> None:
    for key, value in new.items():
        if isinstance(value, dict) and isinstance(old.get(key), dict):
            _merge(old[key], value)
        else:
            old[key] = value


def _status(code: int, message: str) -> Object:
    return {"kind": "Status", "code": code, "message": message, "reason": "Reason"}


def stamp(seconds: float) -> str:
    """A time of a log, `seconds` after four o'clock."""
    whole = int(seconds)
    moment = datetime.fromtimestamp(1_795_492_800 + whole, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{moment}.{round((seconds - whole) * 1e9):09}Z"
