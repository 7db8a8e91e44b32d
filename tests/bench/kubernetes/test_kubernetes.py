"""The bench's Kubernetes does what tests of ours will lean on."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.bench.bench import BenchError
from tests.bench.kubernetes import config, network
from tests.bench.kubernetes.client import Cluster
from tests.bench.kubernetes.cluster import place

SERVICE = {"apiVersion": "v1", "kind": "Service"}
PAGE = "mkdir /www && echo reached > /www/index.html && exec busybox httpd -f -p 8080 -h /www"
GOOD = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "runAsUser": 1000,
    "seccompProfile": {"type": "RuntimeDefault"},
}


def shell(text: str) -> tuple[str, ...]:
    return ("busybox", "sh", "-c", text)


def claim(cluster: Cluster, name: str) -> dict[str, object]:
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}
    meta = {"name": name, "namespace": cluster.namespace}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": meta,
        "spec": spec,
    }


@pytest.mark.real
def test_a_pod_runs_and_logs(cluster: Cluster) -> None:
    assert cluster.run(cluster.pod("hello", *shell("echo hello"))) == "hello\n"


@pytest.mark.real
def test_a_service_is_found_by_name_and_reached(cluster: Cluster) -> None:
    web = cluster.pod("web", *shell(PAGE), labels={"app": "web"})
    probe = {"tcpSocket": {"port": 8080}, "periodSeconds": 1}
    web["spec"]["containers"][0]["readinessProbe"] = probe
    service = {
        **SERVICE,
        "metadata": {"name": "web", "namespace": cluster.namespace},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]},
    }
    cluster.apply(web, service)
    cluster.kubectl("wait", "pod/web", "--for=condition=Ready", "--timeout=30s")
    again = "for i in 1 2 3 4 5 6 7 8 9; do wget -qO- http://web && exit; sleep 1; done; exit 1"
    assert cluster.run(cluster.pod("asks", *shell(again))) == "reached\n"


@pytest.mark.real
def test_a_claim_is_written_by_one_pod_and_read_by_the_next(cluster: Cluster) -> None:
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
    mounts = {"volumeMounts": [{"name": "data", "mountPath": "/data"}]}
    somebody = {"runAsUser": 1000}  # hostPath knows no fsGroup: a folder that only root may write
    cluster.apply(claim(cluster, "data"))
    cluster.run(
        cluster.pod(
            "writes",
            *shell("echo kept > /data/file"),
            container=mounts,
            volumes=volumes,
            securityContext=somebody,
        )
    )
    reads = cluster.pod("reads", *shell("cat /data/file"), container=mounts, volumes=volumes)
    assert cluster.run(reads) == "kept\n"


@pytest.mark.real
def test_a_claim_that_is_given_back_leaves_no_folder(cluster: Cluster) -> None:
    cluster.apply(claim(cluster, "data"))
    jsonpath = "--for=jsonpath={.status.phase}=Bound"
    cluster.kubectl("wait", "pvc/data", jsonpath, "--timeout=30s")
    name = cluster.get("pvc", "data")["spec"]["volumeName"]
    folder = Path(cluster.get("pv", name)["spec"]["hostPath"]["path"])
    assert folder.is_dir()
    cluster.kubectl("delete", "pvc/data")

    def ask() -> str | None:
        return f"{folder} is still there" if folder.exists() else None

    cluster.bench.wait(ask, seconds=30, what="the provisioner")


@pytest.mark.real
def test_a_restricted_namespace_refuses_a_root_pod_and_takes_a_good_one(cluster: Cluster) -> None:
    label = "pod-security.kubernetes.io/enforce=restricted"
    cluster.kubectl("label", "namespace", cluster.namespace, label)
    with pytest.raises(BenchError, match='violates PodSecurity "restricted:latest"'):
        cluster.apply(cluster.pod("root", *shell("id -u")))
    good = cluster.pod("good", *shell("id -u"), container={"securityContext": GOOD})
    assert cluster.run(good) == "1000\n"


@pytest.mark.real
def test_an_editor_may_write_in_its_namespace_only(profile: Cluster, tmp_path: Path) -> None:
    editor = profile.kubeconfig("default-editor", tmp_path / "editor")
    asked = [str(profile.bench.bin / "kubectl"), f"--kubeconfig={editor}", "auth", "can-i"]

    def may(*words: str) -> bool:
        done = subprocess.run([*asked, *words], capture_output=True, text=True, check=False)
        assert done.stdout.strip() in {"yes", "no"}, done.stderr
        return done.stdout.strip() == "yes"

    assert may("create", "pods")
    assert may("get", "pods", "--subresource=log")
    assert not may("create", "pods", "--namespace=default")
    assert not may("create", "rolebindings")
    assert not may("list", "nodes")


@pytest.mark.real
def test_a_viewer_is_refused_by_rbac(profile: Cluster, tmp_path: Path) -> None:
    viewer = profile.kubeconfig("default-viewer", tmp_path / "viewer")
    command = [str(profile.bench.bin / "kubectl"), f"--kubeconfig={viewer}"]
    listed = subprocess.run([*command, "get", "pods"], capture_output=True, text=True, check=False)
    assert listed.returncode == 0, listed.stderr
    refused = subprocess.run(
        [*command, "create", "configmap", "mine"], capture_output=True, text=True, check=False
    )
    assert "is forbidden" in refused.stderr
    assert f"system:serviceaccount:{profile.namespace}:default-viewer" in refused.stderr


@pytest.mark.real
def test_a_profile_s_quota_is_enforced(profile: Cluster) -> None:
    much = {"resources": {"requests": {"cpu": "5"}, "limits": {"cpu": "5"}}}
    with pytest.raises(BenchError, match="exceeded quota: kf-resource-quota"):
        profile.apply(profile.pod("large", *shell("true"), container=much))


@pytest.mark.real
def test_a_pod_that_names_no_request_is_admitted_and_counted(profile: Cluster) -> None:
    profile.apply(profile.pod("small", *shell("sleep 600")))

    def ask() -> str | None:
        used = profile.get("resourcequota", "kf-resource-quota")["status"].get("used", {})
        wanted = {"cpu": "10m", "requests.cpu": "10m", "requests.memory": "32Mi", "pods": "1"}
        return None if wanted.items() <= used.items() else f"{used}"

    profile.bench.wait(ask, seconds=20, what="the quota")


@pytest.mark.real
def test_a_pod_s_own_token_is_taken_by_the_api_server(profile: Cluster) -> None:
    mounted = "/var/run/secrets/kubernetes.io/serviceaccount/token"
    pod = profile.pod("me", *shell(f"cat {mounted}"), serviceAccountName="default-editor")
    token = profile.run(pod).strip()
    review = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenReview",
        "spec": {"token": token},
    }
    told = profile.kubectl("create", "--output=json", "-f-", stdin=json.dumps(review))
    status = json.loads(told)["status"]
    assert status["authenticated"]
    assert status["user"]["username"] == (
        f"system:serviceaccount:{profile.namespace}:default-editor"
    )


@pytest.mark.real
def test_the_audit_log_tells_who_did_what_and_no_secret(cluster: Cluster) -> None:
    cluster.kubectl("create", "secret", "generic", "mine", "--from-literal=key=very-secret")
    text = place(cluster.bench).audit.read_text()
    events = [json.loads(line) for line in text.splitlines()]
    mine = [
        event
        for event in events
        if event.get("objectRef", {}).get("namespace") == cluster.namespace
        and event["objectRef"]["resource"] == "secrets"
        and event["verb"] == "create"
    ]
    assert [event["user"]["username"] for event in mine] == ["admin"]
    assert "very-secret" not in text


@pytest.mark.real
def test_a_container_s_log_is_rotated(cluster: Cluster) -> None:
    # The kubelet looks after the logs of those that run, every now and then: so it stays.
    program = "yes 0123456789012345678901234567890 | head -c 40000000; sleep 120"
    cluster.apply(cluster.pod("writes", *shell(program)))
    logs = place(cluster.bench).home / "podlogs"

    def ask() -> str | None:
        found = sorted(file.name for file in logs.glob(f"{cluster.namespace}_writes_*/main/*"))
        return None if len(found) > 1 else f"{found} in {logs}"

    cluster.bench.wait(ask, seconds=60, what=f"rotation beyond {config.LOG_SIZE}")


@pytest.mark.real
def test_no_packet_has_a_way_out(cluster: Cluster) -> None:
    # An address for documents: nobody is there, and no route may lead there.
    told = cluster.run(cluster.pod("ping", *shell("ping -c1 -W2 198.51.100.1 2>&1; true")))
    assert "100% packet loss" in told or "unreachable" in told
    inside = network.inside(cluster.bench, ["ip", "route"])
    routes = subprocess.run(inside, capture_output=True, text=True, check=True).stdout
    assert "default" not in routes
    held = subprocess.run(["ip", "route"], capture_output=True, text=True, check=True).stdout
    for cidr in (network.LINK, network.PODS, network.SERVICES):
        assert f"blackhole {cidr}" in held
