"""What the cluster is made of, without one: configuration, images, manifests, volumes."""

from __future__ import annotations

import ipaddress
import json
import tarfile
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.bench.kubernetes import config, images, manifests, network, provisioner, runtime
from tests.bench.kubernetes.recipes import BINARIES

PLACE = config.Place(Path("/b"), Path("/h"), Path("/ca.crt"), Path("/ca.key"))


def test_ranges_do_not_overlap_and_hold_what_is_in_them() -> None:
    link, pods, services = (
        ipaddress.ip_network(each) for each in (network.LINK, network.PODS, network.SERVICES)
    )
    assert not link.overlaps(pods)
    assert not pods.overlaps(services)
    assert not services.overlaps(link)
    assert {ipaddress.ip_address(each) in link for each in (network.HOST, network.NODE)} == {True}
    assert ipaddress.ip_address(network.DNS_SERVICE) in services


def test_containerd_s_configuration_is_toml_and_asks_for_no_privilege() -> None:
    told = tomllib.loads(runtime.containerd(PLACE))
    cri = told["plugins"]["io.containerd.cri.v1.runtime"]
    assert cri["restrict_oom_score_adj"]
    assert cri["cni"]["bin_dirs"] == ["/b"]
    assert told["root"] == "/h/containerd"


@pytest.mark.parametrize("ca", [None, Path("/ca.crt")])
def test_a_registry_s_hosts_file_is_toml(ca: Path | None) -> None:
    told = tomllib.loads(runtime.registry_hosts("https://registry:5000", ca))
    assert told["server"] == "https://registry:5000"
    assert told["host"]["https://registry:5000"].get("ca") == (str(ca) if ca else None)


def test_all_files_of_components_are_below_the_cluster_s_folder() -> None:
    for flags in (
        config.etcd(PLACE),
        config.api_server(PLACE),
        config.controller_manager(PLACE),
        config.scheduler(PLACE),
        config.kubelet(PLACE),
        config.proxy(PLACE),
    ):
        paths = [value for flag in flags if (value := flag.partition("=")[2]).startswith("/")]
        assert paths
        assert [each for each in paths if not each.startswith(("/h/", "/ca."))] == []


def test_container_logs_rotate_at_16_mib() -> None:
    assert config.kubelet_file(PLACE)["containerLogMaxSize"] == "16Mi"


def test_an_image_is_the_same_bytes_twice(tmp_path: Path) -> None:
    file = tmp_path / "program"
    file.write_bytes(b"\x7fELF")
    one, two = (
        images.archive(tmp_path / name, "bench.invalid/x:1", {"x": file}, ["/x"])
        for name in ("one", "two")
    )
    assert one.read_bytes() == two.read_bytes()


def test_an_image_s_blobs_are_named_by_what_they_hold(tmp_path: Path) -> None:
    file = tmp_path / "program"
    file.write_bytes(b"\x7fELF")
    made = images.archive(tmp_path / "made", "bench.invalid/x:1", {"bin/x": file}, ["/bin/x"])
    with tarfile.open(made) as tar:
        held = {entry.name: tar.extractfile(entry) for entry in tar.getmembers()}
        read = {name: found.read() for name, found in held.items() if found}
    listed = json.loads(read["index.json"])["manifests"][0]
    assert listed["annotations"] == {"io.containerd.image.name": "bench.invalid/x:1"}
    manifest = json.loads(read[f"blobs/{listed['digest'].replace(':', '/')}"])
    told = json.loads(read[f"blobs/{manifest['config']['digest'].replace(':', '/')}"])
    assert told["rootfs"]["diff_ids"] == [manifest["layers"][0]["digest"]]
    assert told["config"]["Entrypoint"] == ["/bin/x"]


def test_a_volume_is_bound_to_its_claim_alone() -> None:
    claim = SimpleNamespace(
        metadata=SimpleNamespace(uid="u", namespace="n", name="c"),
        spec=SimpleNamespace(
            storage_class_name=manifests.STORAGE_CLASS,
            access_modes=["ReadWriteOnce"],
            resources=SimpleNamespace(requests={"storage": "1Mi"}),
        ),
    )
    spec = provisioner.volume(claim, Path("/claims"))["spec"]
    assert spec["claimRef"]["uid"] == "u"
    assert spec["hostPath"]["path"] == "/claims/pvc-u"
    assert spec["capacity"] == {"storage": "1Mi"}


def test_a_profile_s_namespace_has_both_accounts_and_a_quota() -> None:
    made = {(each["kind"], each["metadata"]["name"]) for each in manifests.profile("team")}
    assert ("ServiceAccount", "default-editor") in made
    assert ("ServiceAccount", "default-viewer") in made
    assert ("ResourceQuota", "kf-resource-quota") in made


def test_viewers_never_read_secrets() -> None:
    view = next(
        each
        for each in manifests.kubeflow_roles()
        if each["metadata"]["name"] == "kubeflow-kubernetes-view"
    )
    assert "secrets" not in {name for rule in view["rules"] for name in rule["resources"]}
    assert {verb for rule in view["rules"] for verb in rule["verbs"]} == {"get", "list", "watch"}


def test_binaries_have_one_version_of_each_module() -> None:
    versions: dict[str, set[str]] = {}
    for each in BINARIES:
        versions.setdefault(each.module, set()).add(each.version)
    assert {module for module, found in versions.items() if len(found) > 1} == set()
