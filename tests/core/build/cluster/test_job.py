from __future__ import annotations

import base64
import gzip
import http.server
import io
import json
import os
import re
import ssl
import subprocess
import sys
import tarfile
import threading
from pathlib import Path
from typing import Any

import pytest

from fairing_core.build.cluster import job
from fairing_core.build.cluster.engines import ENGINES, Order
from fairing_core.build.cluster.job import Login, Rendered, Supply
from fairing_core.types import OwnedSecret, PodPatch

LOGIN = Login("h:1", "n:1", {"auth": "c2VjcmV0"}, b"PEM", True)
ORDER = Order(context=None, destination="h:1/a:b", platform="linux/amd64")


def rendered(
    engine: str = "kaniko", supply: Supply | None = None, *more: PodPatch, **said: Any
) -> Rendered:
    made = ENGINES[engine]
    options = {
        "image": "engine",
        "fetch_image": "python",
        "logins": [],
        "namespace": "lab",
        "timeout": 100,
        "start_timeout": 30,
        **said,
    }
    supply = supply or job.in_secret(b"context", made)
    return job.rendered("build-1", made, ORDER, supply, more=more, **options)


def pod(made: Rendered) -> Any:
    return made.job["spec"]["template"]["spec"]


def test_it_is_pure() -> None:
    patch = PodPatch({"nodeSelector": {"a": "b"}}, secrets=(OwnedSecret("store", {"k": b"v"}),))
    assert rendered("buildah", None, patch) == rendered("buildah", None, patch)
    assert json.loads(json.dumps(rendered().job)) == rendered().job


def test_the_whole_of_a_small_one() -> None:
    made = rendered()
    assert made.job["metadata"] == {
        "name": "build-1",
        "namespace": "lab",
        "labels": {
            "app.kubernetes.io/managed-by": "fairing",
            "fairing-builder": "kaniko",
            "fairing-build-id": "build-1",
        },
        "annotations": {"fairing-image": "h:1/a:b"},
    }
    spec = {key: value for key, value in made.job["spec"].items() if key != "template"}
    assert spec == {
        "suspend": True,
        "parallelism": 1,
        "completions": 1,
        "backoffLimit": 0,
        "activeDeadlineSeconds": 730,
        "ttlSecondsAfterFinished": 3600,
    }
    inner = pod(made)
    assert inner["restartPolicy"] == "Never"
    assert inner["activeDeadlineSeconds"] == 100
    assert inner["automountServiceAccountToken"] is False
    assert inner["volumes"] == [{"name": "context", "secret": {"secretName": "build-1-context"}}]
    (main,) = inner["containers"]
    assert (main["name"], main["image"]) == ("build", "engine")
    assert main["args"][0] == "--context=tar:///fairing/context.tar.gz"
    mounts = [{"name": "context", "mountPath": "/fairing", "readOnly": True}]
    assert main["volumeMounts"] == mounts
    assert [(one.name, one.data) for one in made.secrets] == [
        ("context", {"context.tar.gz": b"context"})
    ]


def test_logins_and_certificates_are_in_secrets_and_nowhere_else() -> None:
    made = rendered(logins=[LOGIN])
    assert "c2VjcmV0" not in json.dumps(made.job)
    assert "c2VjcmV0" not in repr((made, LOGIN))
    logins, certificates, _ = made.secrets
    assert logins.type == "kubernetes.io/dockerconfigjson"
    entry = {"auth": "c2VjcmV0"}
    assert json.loads(logins.data[".dockerconfigjson"]) == {"auths": {"h:1": entry, "n:1": entry}}
    assert certificates.data == {"ca-0": b"PEM"}
    volumes = {one["name"]: one for one in pod(made)["volumes"]}
    items = [{"key": "ca-0", "path": "h:1/ca.crt"}]
    assert volumes["certificates"]["secret"] == {
        "secretName": "build-1-certificates",
        "items": items,
    }
    (main,) = pod(made)["containers"]
    assert "--insecure-registry=h:1" in main["args"]
    assert "--registry-certificate=h:1=/kaniko/certificates/h:1/ca.crt" in main["args"]
    assert pod(made)["imagePullSecrets"] == [{"name": "build-1-logins"}]


def test_docker_hub_goes_by_the_name_that_engines_look_for() -> None:
    made = rendered(logins=[Login("docker.io", "docker.io", {"auth": "x"}, None, False)])
    config = json.loads(made.secrets[0].data[".dockerconfigjson"])
    assert list(config["auths"]) == ["https://index.docker.io/v1/"]


@pytest.mark.parametrize("engine", ENGINES)
def test_stdin_is_the_reader_s(engine: str) -> None:
    made = rendered(engine, job.by_stdin(ENGINES[engine]))
    inner = pod(made)
    reader = inner["initContainers"][0] if engine == "buildah" else inner["containers"][0]
    assert reader["stdin"] is reader["stdinOnce"] is True
    assert made.secrets == ()


def test_what_reaches_a_store_is_for_who_reads_it() -> None:
    made = rendered("buildah", job.by_url("https://signed"))
    (fetch,) = pod(made)["initContainers"]
    variable = {"name": "context-url", "key": "url"}
    assert fetch["env"][0]["valueFrom"] == {
        "secretKeyRef": {**variable, "name": "build-1-context-url"}
    }
    assert "https://signed" not in json.dumps(made.job)


def test_patches_come_last_and_their_secrets_are_owned_too() -> None:
    patch = PodPatch(
        {"serviceAccountName": "builder"},
        {"envFrom": [{"secretRef": {"name": "store"}}]},
        labels={"team": "a", "fairing-build-id": "mine"},
        annotations={"note": "x"},
        secrets=(OwnedSecret("store", {"k": b"v"}),),
    )
    made = rendered("kaniko", None, patch)
    inner, template = pod(made), made.job["spec"]["template"]["metadata"]
    assert inner["serviceAccountName"] == "builder"
    assert inner["containers"][0]["envFrom"] == [{"secretRef": {"name": "build-1-store"}}]
    assert template["labels"]["team"] == "a"
    assert template["labels"]["fairing-build-id"] == "build-1"
    assert template["annotations"] == {"sidecar.istio.io/inject": "false", "note": "x"}


def packed() -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as tar:
        entry = tarfile.TarInfo("context/app/run")
        entry.mode, entry.size = 0o755, 2
        tar.addfile(entry, io.BytesIO(b"hi"))
    return made.getvalue()


def fetch(folder: Path, content: bytes, **environ: str) -> subprocess.CompletedProcess[bytes]:
    """Runs what unpacks a context, with `folder` for the pod's root."""
    inner = pod(rendered("buildah", job.by_stdin(ENGINES["buildah"])))
    command, flag, script = inner["initContainers"][0]["command"]
    assert (command, flag) == ("python3", "-c")
    for place in ("/workspace", "/fairing"):
        script = re.sub(rf'"{place}', f'"{folder}{place}', script)
    return subprocess.run(
        [sys.executable, "-c", script],
        input=content,
        capture_output=True,
        check=False,
        timeout=30,
        env={**os.environ, **environ},
    )


def test_a_context_is_unpacked_from_stdin_with_its_modes(tmp_path: Path) -> None:
    assert fetch(tmp_path, packed()).returncode == 0
    found = tmp_path / "workspace" / "context" / "app" / "run"
    assert found.read_bytes() == b"hi"
    assert found.stat().st_mode & 0o777 == 0o755


def test_a_context_is_unpacked_from_a_secret(tmp_path: Path) -> None:
    (tmp_path / "fairing").mkdir()
    (tmp_path / "fairing" / "context.tar.gz").write_bytes(packed())
    assert fetch(tmp_path, b"").returncode == 0
    assert (tmp_path / "workspace" / "context" / "app" / "run").exists()


def test_a_context_is_unpacked_from_a_url(tmp_path: Path) -> None:
    url = "data:application/gzip;base64," + base64.b64encode(packed()).decode()
    assert fetch(tmp_path, b"", FAIRING_CONTEXT_URL=url).returncode == 0
    assert (tmp_path / "workspace" / "context" / "app" / "run").exists()


class Packed(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(packed())

    def log_message(self, *_: object) -> None:
        pass


def test_a_context_is_unpacked_from_a_store_with_its_own_authority(
    tmp_path: Path, authority: Path, certificate: tuple[Path, Path]
) -> None:
    trust = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trust.load_cert_chain(*certificate)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Packed)
    server.socket = trust.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    made = rendered("buildah", job.by_url("https://signed", authority.read_bytes()))
    (container,), (main,) = pod(made)["initContainers"], pod(made)["containers"]
    (secret,) = made.secrets
    mounted = {one["name"]: one["mountPath"] for one in container["volumeMounts"]}
    where = {one["name"]: one.get("value") for one in container["env"]}["FAIRING_CONTEXT_CA"]
    assert where == f"{mounted['context-url']}/ca.crt"
    (tmp_path / "ca.crt").write_bytes(secret.data["ca.crt"])
    assert "SSL_CERT_FILE" not in json.dumps(main)  # it has registries to trust
    environ = {"FAIRING_CONTEXT_URL": f"https://127.0.0.1:{server.server_port}/x"}
    try:
        assert b"CERTIFICATE_VERIFY_FAILED" in fetch(tmp_path, b"", **environ).stderr
        environ["FAIRING_CONTEXT_CA"] = str(tmp_path / "ca.crt")
        assert fetch(tmp_path, b"", **environ).returncode == 0
    finally:
        server.shutdown()
        server.server_close()
    assert (tmp_path / "workspace" / "context" / "app" / "run").exists()


@pytest.mark.parametrize("content", [b"", packed()[:-20], gzip.compress(b"no tar")])
def test_a_context_that_is_cut_fails(tmp_path: Path, content: bytes) -> None:
    done = fetch(tmp_path, content)
    assert done.returncode == 1
    assert b"tarfile." in done.stderr
