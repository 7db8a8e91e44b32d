"""Base images: every registry has the same, and pods and the Docker engine run them."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.bench import bases, debian
from tests.bench.bases import Base
from tests.bench.judges import Judges
from tests.bench.kubernetes.client import Cluster
from tests.bench.registry import Registry

if TYPE_CHECKING:
    from docker import DockerClient

FIT = """
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
data, kinds = load_iris(return_X_y=True)
print(LogisticRegression(max_iter=200).fit(data, kinds).score(data, kinds) > 0.9)
"""


@pytest.mark.parametrize(
    "fixture",
    [
        "plain_registry",
        "basic_registry",
        "token_registry",
        "cluster_registry",
        "cluster_basic_registry",
        "cluster_token_registry",
        "two_name_registry",
    ],
)
@pytest.mark.real
def test_every_registry_has_the_same_ones(
    fixture: str,
    request: pytest.FixtureRequest,
    judges: Judges,
    base_python: Base,
    base_user: Base,
    base_ml: Base,
) -> None:
    registry: Registry = request.getfixturevalue(fixture)
    user = "reader" if registry.users else ""
    for base in (base_python, base_user, base_ml):
        digest = judges.crane(registry, "digest", base.at(registry), user=user)
        assert digest == base.digest
        judges.crane(registry, "validate", "--fast", "--remote", base.at(registry), user=user)


def test_their_layers_are_what_they_are_called(
    plain_registry: Registry, judges: Judges, base_user: Base, base_ml: Base
) -> None:
    for base in (base_user, base_ml):
        judges.crane(plain_registry, "validate", "--remote", base.at(plain_registry))


def test_they_share_the_layers_of_python(
    plain_registry: Registry, judges: Judges, base_python: Base, base_user: Base, base_ml: Base
) -> None:
    def layers(base: Base) -> list[str]:
        told = json.loads(judges.crane(plain_registry, "manifest", base.at(plain_registry)))
        return [layer["digest"] for layer in told["layers"]]

    assert len(layers(base_python)) == 1
    assert {tuple(layers(base)[:1]) for base in (base_user, base_ml)} == {
        tuple(layers(base_python))
    }


def test_a_layer_put_on_one_of_them_runs_in_a_pod(
    cluster: Cluster, cluster_registry: Registry, judges: Judges, base_python: Base
) -> None:
    layer = judges.folder / "layer.tar"
    layer.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(layer, "w") as tar:
        content = b"print('appended')"
        entry = tarfile.TarInfo("app/main.py")
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
    image = cluster_registry.image("train:1")
    at = base_python.at(cluster_registry)
    judges.crane(cluster_registry, "append", "-b", at, "-f", str(layer), "-t", image)
    assert cluster.run(cluster.pod("runs", "python", "/app/main.py", image=image)) == "appended\n"


def test_a_pod_runs_python(cluster: Cluster, cluster_registry: Registry, base_python: Base) -> None:
    program = "import bz2, ctypes, sqlite3, ssl, sys; print(sys.version_info[:2])"
    image = base_python.at(cluster_registry)
    pod = cluster.pod("runs", "python", "-c", program, image=image)
    assert cluster.run(pod) == "(3, 11)\n"


def test_a_pod_runs_python_of_a_registry_that_nodes_know_by_another_name(
    cluster: Cluster, two_name_registry: Registry, base_python: Base
) -> None:
    image = base_python.at_nodes(two_name_registry)
    assert image != base_python.at(two_name_registry)
    assert cluster.run(cluster.pod("runs", "python", "-c", "print(1)", image=image)) == "1\n"


def test_a_pod_fits_a_model(cluster: Cluster, cluster_registry: Registry, base_ml: Base) -> None:
    image = base_ml.at(cluster_registry)
    assert cluster.run(cluster.pod("fits", "python", "-c", FIT, image=image)) == "True\n"


def test_a_pod_runs_as_the_named_user_by_its_entrypoint(
    cluster: Cluster, cluster_registry: Registry, base_user: Base
) -> None:
    program = f"""
import getpass, os, pathlib
pathlib.Path("mine").write_text("")
print(os.getuid(), os.getgid(), getpass.getuser(), os.getcwd(), os.environ["{bases.STARTED}"])
"""
    arguments = {"args": ["python", "-c", program]}
    pod = cluster.pod("runs", image=base_user.at(cluster_registry), container=arguments)
    del pod["spec"]["containers"][0]["command"]
    assert cluster.run(pod) == "1000 100 jovyan /home/jovyan yes\n"


def test_its_user_s_name_is_not_enough_where_root_is_forbidden(
    cluster: Cluster, cluster_registry: Registry, base_user: Base
) -> None:
    forbidden = {"securityContext": {"runAsNonRoot": True}}
    image = base_user.at(cluster_registry)
    cluster.apply(cluster.pod("runs", "true", image=image, container=forbidden))

    def ask() -> str | None:
        statuses = cluster.get("pod", "runs")["status"].get("containerStatuses", [])
        told = [each["state"].get("waiting", {}).get("message", "") for each in statuses]
        return None if "non-numeric user (jovyan)" in "".join(told) else f"{told}"

    cluster.bench.wait(ask, seconds=30, what="the refusal")


def test_the_docker_engine_runs_python(
    docker_engine: DockerClient, plain_registry: Registry, base_python: Base
) -> None:
    said = docker_engine.containers.run(
        base_python.at(plain_registry),
        ["python", "-c", "print(1)"],
        network_mode="host",
        remove=True,
    )
    assert said == b"1\n"


# --- how they are made: any machine ---------------------------------------------------------------


def names(tar: Path) -> list[str]:
    with tarfile.open(tar) as opened:
        return opened.getnames()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "tree"
    (folder / "etc").mkdir(parents=True)
    (folder / "etc" / "same").write_text("same")
    (folder / "etc" / "link").symlink_to("same")
    (folder / "etc" / "other").write_text("other")
    return folder


def test_a_layer_holds_what_the_tree_below_has_not(tree: Path, tmp_path: Path) -> None:
    more = tmp_path / "more"
    shutil.copytree(tree, more, symlinks=True)
    (more / "etc" / "other").write_text("changed")
    (more / "new").write_text("")
    debian.pack(tmp_path / "tar", more, below=tree)
    assert names(tmp_path / "tar") == ["etc", "etc/other", "new"]


def test_a_layer_keeps_links_and_owners(tree: Path, tmp_path: Path) -> None:
    debian.pack(tmp_path / "tar", tree)
    with tarfile.open(tmp_path / "tar") as tar:
        assert tar.getmember("etc/link").linkname == "same"
        assert tar.getmember("etc/same").uid == (tree / "etc" / "same").stat().st_uid
        assert {entry.uname for entry in tar} == {""}
