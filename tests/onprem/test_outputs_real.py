"""What runs leave behind goes to the backend's store, and comes home from there."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from fairing_core import TrainJob, errors, get_run, list_runs
from fairing_core.types import RunStatus
from fairing_onprem import OnPremBackend
from tests.bench.bases import Base
from tests.bench.kubernetes.client import Cluster
from tests.bench.minio import Store
from tests.bench.registry import Registry

pytestmark = pytest.mark.real

SCRIPT = """
import os, sys
os.makedirs("runs/deep", exist_ok=True)
open("model.pkl", "wb").write(b"0123456789" * int(sys.argv[1]))
open("runs/deep/loss.txt", "w").write("0.5")
print("the signed URL is not for programs:", "FAIRING_STORE_URL" in os.environ)
sys.exit(int(sys.argv[2]))
"""
LARGE = 5_000_000  # times ten bytes


@pytest.fixture
def backend(
    cluster: Cluster,
    cluster_registry: Registry,
    base_python: Base,
    minio: Store,
    prefix: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> OnPremBackend:
    monkeypatch.setenv("FAIRING_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("FAIRING_ARTIFACTS", str(tmp_path / "artifacts"))
    (tmp_path / "train.py").write_text(SCRIPT, encoding="utf-8")
    return OnPremBackend(
        kubeconfig=cluster.admin,
        namespace=cluster.namespace,
        image_registry=f"{cluster_registry.name}/{prefix}",
        plain_http=True,
        base_image=base_python.at(cluster_registry),
        endpoint_url=minio.url,
        pod_endpoint_url=minio.pod_url,
        bucket=prefix,
        create_bucket=True,
        access_key=minio.access_key,
        secret_key=minio.secret_key,
    )


def submitted(backend: OnPremBackend, folder: Path, size: int, code: int, **options: Any) -> Any:
    return TrainJob(
        folder / "train.py",
        backend=backend,
        args=(str(size), str(code)),
        outputs=["model.pkl", "runs/"],
        deployer_options=options,
    ).submit()


def bucket(minio: Store, name: str) -> None:
    minio.client().create_bucket(Bucket=name)


@pytest.mark.parametrize("code", [0, 3])
def test_the_pod_ends_at_once_and_outputs_come_home_from_the_store(
    backend: OnPremBackend, minio: Store, prefix: str, tmp_path: Path, code: int
) -> None:
    bucket(minio, prefix)
    run = submitted(backend, tmp_path, LARGE, code)
    log = "".join(run.logs(follow=True))
    assert log == "the signed URL is not for programs: False\n"
    assert run.wait(30) is (RunStatus.FAILED if code else RunStatus.SUCCEEDED)
    (stored,) = minio.client().list_objects_v2(Bucket=prefix)["Contents"]
    assert stored["Size"] > 10 * LARGE
    assert not (tmp_path / "artifacts").exists()
    model, loss = get_run(run.uri, backend=backend).artifacts()
    assert model.digest == f"sha256:{hashlib.sha256(b'0123456789' * LARGE).hexdigest()}"
    assert model.content.stat().st_size == 10 * LARGE
    assert loss.content.read_text() == "0.5"
    assert run.outcome().exit_code == code
    run.delete()
    assert "Contents" not in minio.client().list_objects_v2(Bucket=prefix)


def test_a_large_result_comes_home_from_the_store(
    backend: OnPremBackend, minio: Store, prefix: str
) -> None:
    def many() -> list[int]:
        return list(range(100_000))

    bucket(minio, prefix)
    run = TrainJob(many, backend=backend).submit()
    assert run.result(60) == list(range(100_000))
    assert minio.client().list_objects_v2(Bucket=prefix)["KeyCount"] == 1
    (listed,) = list_runs(backend=backend)
    assert listed.result() == list(range(100_000))


def test_no_secret_is_outside_of_secrets(
    backend: OnPremBackend, cluster: Cluster, minio: Store, prefix: str, tmp_path: Path
) -> None:
    bucket(minio, prefix)
    run = submitted(backend, tmp_path, 1, 0)
    run.wait(60)
    objects = cluster.kubectl("get", "jobs,pods,events,configmaps", "-o", "json")
    assert "X-Amz-Signature" not in objects
    assert minio.secret_key not in objects
    (secret,) = json.loads(cluster.kubectl("get", "secrets", "-o", "json"))["items"]
    assert secret["metadata"]["ownerReferences"][0]["uid"] == run.uid
    assert "X-Amz-Signature" not in repr(run) + "".join(run.logs())


def test_what_can_not_be_stored_is_kept_in_the_pod(backend: OnPremBackend, tmp_path: Path) -> None:
    run = submitted(backend, tmp_path, 1, 0)  # there is no bucket, and a signed PUT makes none
    model, _ = run.artifacts(60)
    assert model.size == 10
    assert "the outputs can't be stored (HTTP 404)" in "".join(run.logs())


def test_another_runs_outputs_are_not_taken_for_its_own(
    backend: OnPremBackend, minio: Store, prefix: str, tmp_path: Path
) -> None:
    bucket(minio, prefix)
    run = submitted(backend, tmp_path, 1, 0, job_name="again")
    run.wait(60)
    backend.cluster.delete(f"/apis/batch/v1/namespaces/{run.namespace}/jobs/again", uid=run.uid)
    while list_runs(backend=backend):
        pass
    second = submitted(backend, tmp_path, 1, 0, job_name="again")
    second.wait(60)
    (stored,) = minio.client().list_objects_v2(Bucket=prefix)["Contents"]
    body = minio.client().get_object(Bucket=prefix, Key=stored["Key"])["Body"].read()
    forged = body.replace(second.uid.encode(), run.uid.encode())
    minio.client().put_object(Bucket=prefix, Key=stored["Key"], Body=forged)
    with pytest.raises(errors.ResultUnavailable, match="the outputs of another run"):
        second.artifacts()


def test_several_pods_keep_theirs(
    backend: OnPremBackend, minio: Store, prefix: str, tmp_path: Path
) -> None:
    bucket(minio, prefix)
    run = submitted(backend, tmp_path, 1, 0, runs=2)
    assert len(run.artifacts(90)) == 4
    assert "Contents" not in minio.client().list_objects_v2(Bucket=prefix)
