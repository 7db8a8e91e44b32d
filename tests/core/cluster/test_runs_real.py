"""Runs on a real cluster: status, logs, results, ends, and what is refused."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from fairing_core import errors, k8s_utils
from fairing_core.cluster.client import Cluster
from fairing_core.cluster.runs import ClusterRuns
from fairing_core.deploy.job import JobDeployer
from fairing_core.types import PodPatch, RunStatus
from tests.bench import certificates
from tests.bench.kubernetes import cluster as bench_cluster
from tests.bench.kubernetes import pki
from tests.core.cluster.conftest import Lab, Wire, as_somebody

SECONDS = 60.0
LONG = (
    "import signal, sys, time; signal.signal(15, lambda *_: sys.exit(3))\n"
    "print('up', flush=True); time.sleep(600)"
)


def started(run: Any) -> None:
    """Returns once the program has written its first line."""
    assert next(iter(run.logs(follow=True))) == "up\n"


# --- the life of a run ----------------------------------------------------------------------------


def test_a_run_succeeds_and_tells_all_of_itself(lab: Lab) -> None:
    run = lab.submit("print('grüße'); print('no end', end='')")
    assert "".join(run.logs(follow=True)) == "grüße\nno end"
    assert run.wait(SECONDS) is RunStatus.SUCCEEDED
    seen = run.snapshot()
    assert (seen.status, seen.exit_code, seen.reason) == (RunStatus.SUCCEEDED, 0, None)
    assert seen.started is not None
    assert seen.ended is not None
    assert seen.started <= seen.ended
    assert (run.started, run.ended) == (seen.started, seen.ended)
    assert run.result() is None
    assert {"Scheduled", "Started"} <= {event.name for event in run.events()}
    assert "".join(run.logs()) == "grüße\nno end"
    assert "".join(run.logs(tail=1)) == "no end"
    assert list(run.logs(tail=0)) == []
    run.delete()
    run.delete()
    with pytest.raises(errors.RunNotFound):
        _ = run.status


def test_a_failed_run_has_its_exit_code_and_the_end_of_its_log(lab: Lab) -> None:
    run = lab.submit("import sys; print('before'); sys.exit(7)")
    assert run.wait(SECONDS) is RunStatus.FAILED
    failure = run.exception()
    assert failure is not None
    assert failure.returncode == 7
    assert "exit code 7\n  the end of its log:\n  before" in str(failure)


def test_more_memory_than_the_limit_is_said(lab: Lab) -> None:
    run = lab.submit("x = bytearray(300_000_000)", resources={"memory": "64Mi"})
    assert run.wait(SECONDS) is RunStatus.FAILED
    assert "OOMKilled" in str(run.outcome().reason)


def test_a_cancelled_run_keeps_its_log_and_says_so_anywhere(lab: Lab) -> None:
    run = lab.submit(LONG)
    started(run)
    assert run.status is RunStatus.RUNNING
    with pytest.raises(errors.WaitTimeout) as caught:
        run.wait(0.01)
    assert caught.value.status == "running"
    run.cancel()
    run.cancel()
    again = lab.runs.get(run.uri)
    assert again == run
    assert again.status is RunStatus.CANCELLED
    time.sleep(5)  # what the Job's controller would clean up is gone by then
    assert "".join(again.logs()) == "up\n"
    assert again.outcome().exit_code == 3


def test_a_timeout_fails_a_run(lab: Lab) -> None:
    run = lab.submit(LONG, timeout=1)
    assert run.wait(SECONDS) is RunStatus.FAILED
    time.sleep(5)
    assert "DeadlineExceeded" in str(run.outcome().reason)
    assert "".join(run.logs()) == "up\n"


def test_a_run_that_never_started_is_cancelled_too(lab: Lab) -> None:
    run = lab.submit(LONG, node_selector={"pool": "none"})
    run.cancel()
    assert run.status is RunStatus.CANCELLED
    assert "before it started" in str(run.outcome().reason)


def test_a_run_is_cancelled_between_two_attempts(lab: Lab) -> None:
    run = lab.submit("import sys; print('again'); sys.exit(3)", retries=5)
    assert next(iter(run.logs(follow=True))) == "again\n"
    run.cancel()
    assert run.status is RunStatus.CANCELLED


def test_retries_start_it_anew_and_all_attempts_are_in_the_log(lab: Lab) -> None:
    # A claim outlives the pod, so the second attempt can tell that it is one.
    lab.bench.apply(_claim(lab))
    code = (
        "import os, sys; print('attempt', len(os.listdir('/mnt')))\n"
        "first = not os.listdir('/mnt'); open('/mnt/seen', 'w'); sys.exit(first)"
    )
    run = lab.submit(code, retries=1, volumes={"/mnt": {"pvc": "data"}})
    assert "".join(run.logs(follow=True)) == "attempt 0\nattempt 1\n"
    assert run.wait(SECONDS) is RunStatus.SUCCEEDED
    assert run.outcome().exit_code == 0
    assert "".join(run.logs()) == "attempt 0\nattempt 1\n"


def test_replicas_are_merged_and_prefixed(lab: Lab) -> None:
    run = lab.submit("print('one'); print('two', end='')", runs=3)
    lines = "".join(run.logs(follow=True)).splitlines()
    assert run.wait(SECONDS) is RunStatus.SUCCEEDED
    prefixes = {line.partition(" ")[0] for line in lines}
    assert len(prefixes) == 3
    assert sorted(line.partition(" ")[2] for line in lines) == ["one"] * 3 + ["two"] * 3
    assert sorted(run.logs()) == sorted(line + "\n" for line in lines)


def _claim(lab: Lab) -> dict[str, Any]:
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}
    meta = {"name": "data", "namespace": lab.namespace}
    kind = "PersistentVolumeClaim"
    return {"apiVersion": "v1", "kind": kind, "metadata": meta, "spec": spec}


# --- logs -----------------------------------------------------------------------------------------


def test_ten_megabytes_at_full_speed_for_two_followers_at_once(lab: Lab) -> None:
    code = (
        "import sys\nfor n in range(80_000):\n"
        "    sys.stdout.write(f'{n:07} ' + 'grüße 🌍 ' * 9 + '\\n')\n"
        "sys.stdout.write('no end')"
    )
    expected = "".join(f"{n:07} " + "grüße 🌍 " * 9 + "\n" for n in range(80_000)) + "no end"
    assert len(expected.encode()) > 10_000_000
    run = lab.submit(code)
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda _: "".join(run.logs(follow=True)), range(2)))
    for text in both:
        # A follower that is there loses nothing, whatever the kubelet rotates.
        assert text == expected


def test_lines_longer_than_the_runtimes_buffer_come_whole(lab: Lab) -> None:
    run = lab.submit("print('ж' * 100_000); print('x' * 50_000, end='')")
    assert "".join(run.logs(follow=True)) == "ж" * 100_000 + "\n" + "x" * 50_000


@pytest.mark.alone
def test_following_survives_cuts_and_an_api_server_that_is_restarted(lab: Lab) -> None:
    code = "import time\nfor n in range(200):\n    print(n, flush=True); time.sleep(0.05)"
    run = lab.submit(code)
    pieces: list[str] = []
    thread = threading.Thread(target=lambda: pieces.extend(run.logs(follow=True)))
    thread.start()
    while len(pieces) < 20:
        time.sleep(0.01)
    bench_cluster.restart_api(lab.bench.bench)
    thread.join(SECONDS)
    assert "".join(pieces) == "".join(f"{n}\n" for n in range(200))
    assert run.wait(SECONDS) is RunStatus.SUCCEEDED


def test_connections_cut_again_and_again_lose_and_double_nothing(lab: Lab, wire: Wire) -> None:
    code = (
        "import time\nfor n in range(4000):\n"
        "    print(n, 'grüße 🌍', flush=True); time.sleep(0.001)"
    )
    run = ClusterRuns(Cluster(config_file=wire.config)).get(lab.submit(code).uri)
    pieces: list[str] = []
    for line in run.logs(follow=True):
        pieces.append(line)
        if len(pieces) % 150 == 0:
            wire.break_off()
    assert "".join(pieces) == "".join(f"{n} grüße 🌍\n" for n in range(4000))


def test_a_log_rotated_while_the_connection_was_cut_has_one_gap_line(lab: Lab, wire: Wire) -> None:
    # The kubelet looks every 10 s whether a log has more than 16 MiB (tests/bench says so).
    code = (
        "import time\nprint('up', flush=True); time.sleep(3)\n"
        "for n in range(130_000): print('x' * 99)\n"
        "time.sleep(25); print('last', flush=True); time.sleep(2)"
    )
    run = ClusterRuns(Cluster(config_file=wire.config)).get(lab.submit(code).uri)
    lines = run.logs(follow=True)
    assert next(lines) == "up\n"
    wire.cut()
    time.sleep(20)
    wire.mend()
    *some, gap, last = lines
    assert last == "last\n"
    assert gap.startswith("[fairing: lines may be missing here: the log was rotated")
    assert set(some) <= {"x" * 99 + "\n"}


def test_who_is_behind_while_the_log_is_rotated_is_not_left_waiting(lab: Lab) -> None:
    # Whoever comes to a file's end for the first time once it is rotated is given no more by the
    # kubelet. It looks every 3 s whether a log has more than 16 MiB, of which 47 bytes a line are
    # the runtime's (tests/bench says so).
    code = (
        "import time\nfor n in range(110_000): print(f'{n:099}')\n"
        "time.sleep(8)\n"
        "for n in range(110_000, 130_000): print(f'{n:099}')\n"
        "time.sleep(8)\n"
        "for n in range(60): print('late', time.time(), flush=True); time.sleep(0.5)"
    )
    run = lab.submit(code)
    deadline = time.monotonic() + SECONDS
    while "".join(run.logs(tail=1)) != f"{109_999:099}\n":
        assert time.monotonic() < deadline
        time.sleep(0.2)
    lines = run.logs(follow=True)
    first = next(lines)
    time.sleep(14)
    came = [(line, time.time()) for line in lines]
    numbered = [first, *(line for line, _ in came if line.startswith("0"))]
    assert numbered == [f"{n:099}\n" for n in range(130_000)]
    waited = [moment - float(line.split()[1]) for line, moment in came if "late" in line]
    assert len(waited) == 60
    assert sum(seconds < 2 for seconds in waited) > 30


@pytest.mark.parametrize("tail", [0, 2])
def test_who_follows_from_the_last_lines_on_has_those_and_what_comes_once(
    lab: Lab, tail: int
) -> None:
    # A follower asks anew after 3 s of silence, then 6, then 12.
    code = (
        "import time\nfor n in range(20): print(n, flush=True)\n"
        "for n in range(3): time.sleep(6); print('late', n, flush=True)"
    )
    run = lab.submit(code)
    deadline = time.monotonic() + SECONDS
    while run.started is None or "".join(run.logs(tail=1)) != "19\n":
        assert time.monotonic() < deadline
        time.sleep(0.1)
    expected = [f"{n}\n" for n in range(20)][20 - tail :] + [f"late {n}\n" for n in range(3)]
    assert list(run.logs(follow=True, tail=tail)) == expected


def test_restarts_of_the_container_are_followed(lab: Lab) -> None:
    code = (
        "import pathlib, sys, time; here = pathlib.Path('/mnt/seen')\n"
        "seen = len(here.read_text()) if here.exists() else 0\n"
        "print('start', seen, flush=True); here.write_text('x' * (seen + 1))\n"
        "time.sleep(1); sys.exit(seen < 1)"
    )
    volumes = {"/mnt": {"empty_dir": None}}
    anew = PodPatch({"restartPolicy": "OnFailure"})
    run = lab.submit(code, retries=3, volumes=volumes, patches=(anew,))
    assert "".join(run.logs(follow=True)) == "start 0\nstart 1\n"
    assert run.wait(SECONDS) is RunStatus.SUCCEEDED
    *earlier, last = run.logs()
    assert last == "start 1\n"
    # The kubelet may have deleted the first container by now.
    assert earlier == ["start 0\n"] or "lines may be missing" in earlier[0]


def test_following_waits_for_a_pod_that_can_not_start_yet_and_says_why(
    lab: Lab, caplog: pytest.LogCaptureFixture
) -> None:
    run = lab.submit("print('at last')", volumes={"/mnt": {"secret": "late"}})
    text: list[str] = []
    thread = threading.Thread(target=lambda: text.extend(run.logs(follow=True)))
    thread.start()
    time.sleep(2)
    assert run.status is RunStatus.PENDING
    lab.bench.kubectl("create", "secret", "generic", "late", "--from-literal=a=b")
    thread.join(150)
    assert text == ["at last\n"]


def test_an_image_that_is_not_there_is_said_while_waiting(
    lab: Lab, caplog: pytest.LogCaptureFixture
) -> None:
    run = lab.submit("", image=lab.image.partition("@")[0] + "@sha256:" + "0" * 64)
    thread = threading.Thread(target=lambda: list(run.logs(follow=True)), daemon=True)
    thread.start()
    deadline = time.monotonic() + SECONDS
    while "ErrImagePull" not in caplog.text and "ImagePullBackOff" not in caplog.text:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert "waits: " in caplog.text
    assert "Image" in str(run.snapshot().reason)
    run.delete()
    thread.join(SECONDS)
    assert not thread.is_alive()


# --- what happens to it ---------------------------------------------------------------------------


def test_a_pod_deleted_under_it_fails_it(lab: Lab) -> None:
    run = lab.submit(LONG)
    started(run)
    lab.bench.kubectl("delete", "pods", "--all", "--grace-period=0", "--force")
    assert run.wait(SECONDS) is RunStatus.FAILED
    assert "deleted" in str(run.outcome().reason)
    assert run.outcome().exit_code is None


def test_a_job_deleted_under_it_ends_the_following(lab: Lab) -> None:
    run = lab.submit(LONG)
    lines = run.logs(follow=True)
    assert next(lines) == "up\n"
    lab.bench.kubectl("delete", "job", run.name, "--wait=false", "--cascade=background")
    lab.bench.kubectl("delete", "pods", "--all", "--grace-period=0", "--force", "--wait=false")
    list(lines)
    with pytest.raises(errors.RunNotFound, match="was deleted"):
        run.wait(SECONDS)


def test_a_run_that_was_replaced_is_not_taken_for_the_other(lab: Lab) -> None:
    first = lab.submit("print(1)", name="same")
    first.wait(SECONDS)
    first.delete()
    second = lab.submit("print(2)", name="same")
    for look in (lambda: first.status, lambda: lab.runs.get(first.uri)):
        with pytest.raises(errors.RunNotFound, match="another one has its name"):
            look()
    first.delete()
    second.wait(SECONDS)
    assert lab.runs.get("same") == second


def test_a_name_that_is_taken_is_refused(lab: Lab) -> None:
    first = lab.submit("", name="same")
    with pytest.raises(errors.InvalidArgument, match="fairing rm same"):
        lab.submit("", name="same")
    assert [run.name for run in lab.runs.list()] == ["same"]
    first.delete()


def test_what_its_submitter_cleaned_up_keeps_its_result_there(lab: Lab) -> None:
    run = lab.submit("print('x')")
    run.clean_up()
    assert run.status is RunStatus.SUCCEEDED
    assert run.result() is None
    with pytest.raises(errors.RunNotFound):
        lab.runs.get(run.uri)


def test_deploy_takes_a_pod_spec_of_the_client_as_the_originals_job_did(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    from kubernetes import client

    container = client.V1Container(name="model", image=lab.image, command=["echo", "hello"])

    def scratch(kube_manager: object, pod_spec: Any, namespace: str) -> None:
        empty = client.V1EmptyDirVolumeSource()
        pod_spec.volumes.append(client.V1Volume(name="scratch", empty_dir=empty))

    mutators: list[Any] = [k8s_utils.add_env({"A": "1"}), scratch]
    deployer = JobDeployer(lab.cluster, cleanup=True, pod_spec_mutators=mutators)
    deployer.deploy(client.V1PodTemplateSpec(spec=client.V1PodSpec(containers=[container])))
    assert capsys.readouterr().out == "hello\n"
    assert list(lab.runs.list()) == []


@pytest.mark.timeout(400)
def test_a_hundred_at_once(lab: Lab) -> None:
    cluster = lab.cluster
    deployer = JobDeployer(cluster)
    with ThreadPoolExecutor(20) as pool:
        runs = list(
            pool.map(
                lambda n: lab.submit(f"print({n})", name=f"many-{n}", deployer=deployer),
                range(100),
            )
        )
    assert len({run.uri for run in runs}) == 100
    assert {run.name for run in lab.runs.list()} == {run.name for run in runs}
    with ThreadPoolExecutor(20) as pool:
        ends = list(pool.map(lambda run: run.wait(300), runs))
        logs = list(pool.map(lambda run: "".join(run.logs()), runs))
        list(pool.map(lambda run: run.delete(), runs))
    assert set(ends) == {RunStatus.SUCCEEDED}
    assert logs == [f"{n}\n" for n in range(100)]
    assert list(lab.runs.list()) == []


# --- what is refused ------------------------------------------------------------------------------


def test_a_namespace_that_is_not_there(lab: Lab) -> None:
    with pytest.raises(errors.ObjectNotFound, match="there is no namespace 'nowhere-at-all'"):
        lab.submit("", namespace="nowhere-at-all")


def test_a_root_image_under_restricted_pods_is_refused_at_once(lab: Lab) -> None:
    label = "pod-security.kubernetes.io/enforce=restricted"
    lab.bench.kubectl("label", "namespace", lab.namespace, label)
    with pytest.raises(errors.ClusterError, match='violates PodSecurity "restricted:latest"'):
        lab.submit("")
    assert list(lab.runs.list()) == []


def test_an_image_with_a_user_passes_restricted(lab: Lab) -> None:
    label = "pod-security.kubernetes.io/enforce=restricted"
    lab.bench.kubectl("label", "namespace", lab.namespace, label)
    run = lab.submit("import os; print(os.getuid())", image=lab.user_image, uid=1000, gid=100)
    assert "".join(run.logs(follow=True)) == "1000\n"


def test_a_quota_that_is_exceeded_is_said_at_once(lab: Lab) -> None:
    lab.bench.kubectl("create", "quota", "small", "--hard=pods=0")
    with pytest.raises(errors.ClusterError, match="exceeded quota: small"):
        lab.submit("")
    assert list(lab.runs.list()) == []


def test_a_refused_job_says_what_the_cluster_says(lab: Lab) -> None:
    with pytest.raises(errors.ClusterError, match=r"spec\.template\.spec\.tolerations"):
        lab.submit("", tolerations=[{"operator": "Sometimes"}])


def test_an_untrusted_and_an_unreachable_server_are_told_apart(lab: Lab, tmp_path: Path) -> None:
    config = json.loads(lab.config.read_text())
    place = config["clusters"][0]["cluster"]
    place.pop("certificate-authority")
    (tmp_path / "untrusted").write_text(json.dumps(config))
    with pytest.raises(errors.UntrustedCluster, match="certificate-authority"):
        Cluster(config_file=tmp_path / "untrusted").get("/version")
    place["server"] = "https://127.0.0.1:9"
    (tmp_path / "away").write_text(json.dumps(config))
    with pytest.raises(errors.ClusterUnreachable, match=r"127\.0\.0\.1:9 doesn't answer"):
        Cluster(config_file=tmp_path / "away").get("/version")


def test_wrong_credentials_are_told(lab: Lab, tmp_path: Path) -> None:
    config = json.loads(lab.config.read_text())
    config["users"][0]["user"] = {"token": "s3cr3t-and-wrong"}
    (tmp_path / "wrong").write_text(json.dumps(config))
    with pytest.raises(errors.ClusterDenied, match="does not know you") as caught:
        Cluster(config_file=tmp_path / "wrong").get("/version")
    assert "s3cr3t" not in str(caught.value)


def test_a_client_certificate_that_has_expired_is_told(lab: Lab, tmp_path: Path) -> None:
    signer = certificates.authority(lab.bench.bench)
    ca = x509.load_pem_x509_certificate(signer.certificate.read_bytes())
    ca_key = serialization.load_pem_private_key(signer.key.read_bytes(), password=None)
    assert isinstance(ca_key, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)

    def config(until: datetime) -> Path:
        certificate = (
            x509.CertificateBuilder()
            .subject_name(pki.subject("somebody", "system:masters"))
            .issuer_name(ca.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=2))
            .not_valid_after(until)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
            .sign(ca_key, hashes.SHA256())
        )
        pem = serialization.Encoding.PEM
        (tmp_path / "my.crt").write_bytes(certificate.public_bytes(pem))
        private, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        (tmp_path / "my.key").write_bytes(key.private_bytes(pem, private, plain))
        content = json.loads(lab.config.read_text())
        user = {"client-certificate": str(tmp_path / "my.crt"),
                "client-key": str(tmp_path / "my.key")}  # fmt: skip
        content["users"][0]["user"] = user
        path = tmp_path / f"until-{until.timestamp()}"
        path.write_text(json.dumps(content))
        return path

    good = config(now + timedelta(days=1))
    assert Cluster(config_file=good).get("/api/v1/namespaces")["kind"] == "NamespaceList"
    with pytest.raises(errors.ClusterDenied, match="have expired: log in again"):
        Cluster(config_file=config(now - timedelta(days=1))).get("/api/v1/namespaces")


# --- rights ---------------------------------------------------------------------------------------


def everything(lab: Lab) -> None:
    run = lab.submit("print('x')")
    assert "".join(run.logs(follow=True)) == "x\n"
    run.wait(SECONDS)
    run.outcome()
    assert run.events()
    assert run in list(lab.runs.list())
    long = lab.submit(LONG)
    started(long)
    long.cancel()
    long.delete()
    run.delete()


def test_the_role_of_the_example_is_enough_for_everything(lab: Lab, tmp_path: Path) -> None:
    everything(as_somebody(lab, tmp_path))


@pytest.mark.parametrize(
    ("resource", "verb"),
    [("jobs", "create"), ("jobs", "get"), ("jobs", "list"), ("jobs", "patch"), ("jobs", "delete"),
     ("pods", "get"), ("pods", "list"), ("pods", "patch"), ("pods_log", "get"), ("events", "list")],
)  # fmt: skip
def test_a_verb_that_is_missing_is_named(
    lab: Lab, tmp_path: Path, resource: str, verb: str
) -> None:
    somebody = as_somebody(lab, tmp_path, **{resource: verb})
    with pytest.raises(errors.ClusterDenied) as caught:
        everything(somebody)
    resource = resource.replace("_", "/")
    found = caught.value
    assert (found.verb, found.resource, found.namespace) == (verb, resource, lab.namespace)
    assert f"you may not {verb} {resource} in the namespace {lab.namespace!r}" in str(found)
