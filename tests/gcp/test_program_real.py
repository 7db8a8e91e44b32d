"""Programs on a real cluster: contexts in Cloud Storage, pushes by tokens, pods with a login."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from fairing_core import TrainJob, errors
from fairing_core.build.cluster import renewal
from fairing_core.build.cluster.builder import ClusterBuilder
from fairing_core.testing import BackendConformance
from fairing_gcp import GCPBackend, GCSContextSource
from tests.bench import tiny
from tests.bench.bases import Base
from tests.bench.gcs import Buckets
from tests.bench.google import BRIEF, email
from tests.bench.kubernetes.client import Cluster
from tests.bench.registry import Registry

pytestmark = [
    pytest.mark.real,
    pytest.mark.timeout(240),
    pytest.mark.skipif(
        sys.version_info[:2] != (3, 11), reason="the bench's base has Python 3.11: use that one"
    ),
]

PROGRAM = """
from fairing_core import TrainJob
from fairing_core.build.cluster.builder import ClusterBuilder

def train(epochs):
    import json, os, tiny
    key = json.load(open(os.environ["GOOGLE_APPLICATION_CREDENTIALS"]))
    return [epochs, tiny.__name__, key["client_email"]]

job = TrainJob(
    train,
    args=(3,),
    input_files=["requirements.txt", "wheels"],
    builder=ClusterBuilder(engine_image=ENGINE, namespace=NAMESPACE, cleanup=False),
    backend="gcp",
)
print("home:", job.submit().result(timeout=150))
"""


def written(settings: Mapping[str, Any]) -> str:
    lines = [f"{name} = {json.dumps(value)}" for name, value in settings.items()]
    return "\n".join(["[tool.fairing.backends.gcp]", *lines, ""])


@pytest.fixture
def settings(
    cluster: Cluster,
    google_registry: Registry,
    base_pip: Base,
    gcs: Buckets,
    bucket: str,
) -> dict[str, Any]:
    """Those of the backend, but who one is."""
    return {
        "kubeconfig": str(cluster.admin),
        "namespace": cluster.namespace,
        "bucket": bucket,
        "endpoint_url": gcs.url,
        "pod_endpoint_url": gcs.pod_url,
        "image_registry": google_registry.image("ml"),
        "token_host": google_registry.name,
        "ca": str(google_registry.ca),
        "make_pull_secret": True,
        "base_image": base_pip.at(google_registry),
    }


def give_key(cluster: Cluster, gcs: Buckets, tmp_path: Path) -> str:
    """Puts a key into the namespace, as Kubeflow does; gives what nobody may see."""
    key = gcs.google.key(tmp_path / "pods.json", "reader").read_text()
    cluster.apply(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "user-gcp-sa", "namespace": cluster.namespace},
            "stringData": {"user-gcp-sa.json": key},
        }
    )
    return str(json.loads(key)["private_key"]).splitlines()[1]


def test_a_function_with_requirements_is_built_and_run_by_a_machine_of_googles(
    cluster: Cluster,
    settings: dict[str, Any],
    gcs: Buckets,
    kaniko_image: str,
    bucket: str,
    tmp_path: Path,
) -> None:
    secret = give_key(cluster, gcs, tmp_path)
    project = tmp_path / "project"
    (project / "wheels").mkdir(parents=True)
    (project / "wheels" / tiny.WHEEL).write_bytes(tiny.wheel())
    (project / "requirements.txt").write_text("--no-index\n--find-links wheels\ntiny\n")
    names = f"ENGINE, NAMESPACE = {kaniko_image!r}, {cluster.namespace!r}\n"
    (project / "train.py").write_text(names + PROGRAM)
    (project / "pyproject.toml").write_text(written(settings))
    machine = gcs.google.metadata("writer")
    environ = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(tmp_path),
        "KUBECONFIG": str(cluster.admin),
        "GCE_METADATA_HOST": machine,
        "GCE_METADATA_IP": machine.partition("/")[0],
    }
    done = subprocess.run(
        [sys.executable, "train.py"],
        cwd=project,
        env=environ,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == f"home: [3, 'tiny', '{email('reader')}']"
    (context,) = gcs.keys(bucket)
    assert context.startswith("fairing/contexts/")
    told = cluster.kubectl("get", "jobs,pods,events,configmaps", "--output=json")
    assert "ya29." not in told + done.stdout + done.stderr
    assert secret not in told
    pods = [one for one in json.loads(told)["items"] if one["kind"] == "Pod"]
    builds = [one for one in pods if "fairing-builder" in one["metadata"]["name"]]
    assert len(pods) == 2
    assert len(builds) == 1
    for pod in pods:
        env = {one["name"]: one.get("value") for one in pod["spec"]["containers"][0]["env"]}
        assert env["GOOGLE_APPLICATION_CREDENTIALS"] == "/etc/secrets/user-gcp-sa.json"
        assert (env.get("STORAGE_EMULATOR_HOST") == gcs.pod_url) is (pod in builds)
    flags = builds[0]["spec"]["containers"][0]["args"]
    assert f"--context=gs://{bucket}/{context}" in flags


class TestGCP(BackendConformance):
    backend = "gcp"
    timeout = 90.0
    options: Mapping[str, Any]  # type: ignore[misc]

    @pytest.fixture(autouse=True)
    def _on_the_bench(
        self,
        settings: dict[str, Any],
        key: Callable[..., Path],
        google_registry: Registry,
        monkeypatch: pytest.MonkeyPatch,
        tmp_path: Path,
    ) -> None:
        self.options = {**settings, "credentials_file": str(key("writer"))}
        monkeypatch.setenv("FAIRING_ARTIFACTS", str(tmp_path / "artifacts"))
        for name in ("kubeconfig", "namespace"):  # what other processes find runs by
            monkeypatch.setenv(f"FAIRING_GCP__{name.upper()}", self.options[name])


def made(settings: Mapping[str, Any], **more: Any) -> GCPBackend:
    """Settings as objects take them: paths are paths."""
    found: dict[str, Any] = {**settings, **more}
    for name in ("kubeconfig", "ca", "credentials_file"):
        found[name] = Path(found[name]) if found.get(name) else None
    return GCPBackend(**found)


def test_pods_run_as_kubeflows_service_account_where_there_is_no_key(
    cluster: Cluster, settings: dict[str, Any], key: Callable[..., Path]
) -> None:
    account = {"name": "default-editor", "namespace": cluster.namespace}
    cluster.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account})
    run = TrainJob(
        len, args=("four",), backend=made(settings, credentials_file=key("writer"))
    ).submit()
    assert run.result(timeout=90) == 4
    (pod,) = json.loads(cluster.kubectl("get", "pods", "--output=json"))["items"]
    assert pod["spec"]["serviceAccountName"] == "default-editor"
    run.delete()


def test_outputs_come_home_from_the_bucket(
    settings: dict[str, Any],
    key: Callable[..., Path],
    gcs: Buckets,
    bucket: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FAIRING_ARTIFACTS", str(tmp_path / "artifacts"))
    script = tmp_path / "train.py"
    script.write_text("open('model.pkl', 'wb').write(b'0123456789' * 1000)\n")
    backend = made(settings, credentials_file=key("writer"))
    run = TrainJob(script, backend=backend, outputs=["model.pkl"]).submit()
    (artifact,) = run.artifacts(timeout=90)
    assert artifact.content.read_bytes() == b"0123456789" * 1000
    assert [one for one in gcs.keys(bucket) if one.startswith("fairing/outputs/")]
    run.delete()
    assert gcs.keys(bucket) == []


def test_an_engine_that_reads_no_buckets_gets_the_originals_context_by_a_signed_url(
    cluster: Cluster,
    settings: dict[str, Any],
    key: Callable[..., Path],
    gcs: Buckets,
    bucket: str,
    buildah_image: str,
) -> None:
    source = GCSContextSource(
        credentials_file=key("writer"),
        bucket=bucket,
        endpoint_url=gcs.url,
        pod_endpoint_url=gcs.pod_url,
    )
    backend = made(settings, credentials_file=key("writer"), bucket=None)
    builder = ClusterBuilder(
        backend.cluster,
        engine="buildah",
        engine_image=buildah_image,
        context_source=source,
        cleanup=False,
    )
    run = TrainJob(len, args=("four",), backend=backend, builder=builder).submit()
    assert run.result(timeout=90) == 4
    (context,) = gcs.keys(bucket)
    assert context.startswith("fairing_builds/contexts/")
    told = cluster.kubectl("get", "jobs,pods,events,configmaps", "--output=json")
    assert "X-Goog-Signature" not in told


def test_a_build_that_outlasts_its_token_pushes_with_a_new_one(
    settings: dict[str, Any],
    key: Callable[..., Path],
    kaniko_image: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(renewal, "_EVERY", 2.0)
    backend = made(settings, credentials_file=key("brief"))
    own = tmp_path / "Dockerfile"
    own.write_text(f"FROM {settings['base_image']}\nRUN sleep {2 * BRIEF}\nCOPY app/ /app/\n")
    builder = ClusterBuilder(backend.cluster, engine_image=kaniko_image, dockerfile_path=own)
    run = TrainJob(len, args=("four",), backend=backend, builder=builder).submit()
    assert run.result(timeout=90) == 4
    run.delete()


# --- refusals: a clear error, and nothing left ----------------------------------------------------


def build(backend: GCPBackend, image: str) -> object:
    builder = ClusterBuilder(backend.cluster, engine_image=image)
    return TrainJob(len, args=("four",), backend=backend, builder=builder).submit()


def left(cluster: Cluster) -> list[str]:
    told = json.loads(cluster.kubectl("get", "jobs,pods,secrets,configmaps", "--output=json"))
    names = [one["metadata"]["name"] for one in told["items"]]
    return [name for name in names if name not in ("kube-root-ca.crt", "user-gcp-sa")]


@pytest.mark.parametrize(
    ("account", "kind", "says"),
    [
        (None, errors.FairingError, "there are no Google credentials here"),
        ("revoked", errors.FairingError, "invalid_grant"),
        ("expired", errors.RegistryDenied, "refused the user 'oauth2accesstoken'"),
        ("nobody", errors.StorageDenied, "roles/storage.objectUser"),
        ("reader", errors.StorageDenied, "roles/storage.objectUser"),
    ],
)
def test_who_may_not_is_told_and_leaves_nothing(
    account: str | None,
    kind: type[errors.FairingError],
    says: str,
    cluster: Cluster,
    settings: dict[str, Any],
    key: Callable[..., Path],
    gcs: Buckets,
    bucket: str,
    kaniko_image: str,
) -> None:
    file = None if account is None else key(account)
    backend = made(settings, credentials_file=file, make_pull_secret=False)
    with pytest.raises(kind, match=says) as caught:
        build(backend, kaniko_image)
    assert "ya29." not in str(caught.value)
    assert left(cluster) == []
    assert gcs.keys(bucket) == []


def test_a_bucket_that_is_not_there_is_told(
    cluster: Cluster, settings: dict[str, Any], key: Callable[..., Path], kaniko_image: str
) -> None:
    backend = made(settings, credentials_file=key("writer"), bucket="t-none")
    with pytest.raises(errors.StoredObjectNotFound, match="create_bucket=True"):
        build(backend, kaniko_image)
    assert left(cluster) == []


# --- the doctor -----------------------------------------------------------------------------------


def looked_at(backend: GCPBackend) -> dict[str, tuple[bool | None, str]]:
    return {one.name: (one.ok, one.detail) for one in backend.check()}


def test_the_doctor_says_that_all_is_well(
    cluster: Cluster,
    settings: dict[str, Any],
    key: Callable[..., Path],
    gcs: Buckets,
    bucket: str,
    tmp_path: Path,
) -> None:
    give_key(cluster, gcs, tmp_path)
    found = looked_at(made(settings, credentials_file=key("writer")))
    assert {name: told for name, told in found.items() if told[0] is not True} == {}
    assert list(found) == ["cluster", "rights", "identity", "project", "bucket", "push", "pods"]
    assert email("writer") in found["identity"][1]
    assert gcs.keys(bucket) == []


@pytest.mark.parametrize(
    ("account", "failing"),
    [
        ("revoked", {"identity"}),
        ("expired", {"bucket", "push"}),
        ("nobody", {"bucket", "push"}),
        ("reader", {"bucket", "push"}),
    ],
)
def test_the_doctor_says_what_is_not(
    account: str, failing: set[str], settings: dict[str, Any], key: Callable[..., Path]
) -> None:
    found = looked_at(made(settings, credentials_file=key(account)))
    assert {name for name, told in found.items() if told[0] is False} == failing
    assert "ya29." not in str(found)


def test_the_command_shows_it_and_ends_with_1(
    settings: dict[str, Any], key: Callable[..., Path], tmp_path: Path
) -> None:
    given = {**settings, "credentials_file": str(key("reader"))}
    words = [word for name, value in given.items() for word in ("-o", f"{name}={value}")]
    program = str(Path(sys.executable).with_name("fairing"))
    done = subprocess.run(
        [program, "doctor", "--backend", "gcp", *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    rows = {line.split("\t")[1]: line.split("\t")[0] for line in done.stdout.splitlines()}
    assert rows["identity"] == "ok"
    assert rows["bucket"] == "FAIL"
    assert rows["push"] == "FAIL"
