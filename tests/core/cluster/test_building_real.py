"""Whole programs whose image is built in the cluster: from outside of it, and from a pod."""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path

import pytest

from tests.bench import tiny
from tests.bench.bases import Base
from tests.bench.kubernetes.client import Cluster
from tests.bench.registry import Registry
from tests.core.cluster.conftest import ROLE, Lab
from tests.core.cluster.test_program_real import FAIRING, ROOT, program

SCRIPT = "import sys, tiny\nprint(sys.argv[1:])\n"
FUNCTION = """
import fairing_core as fairing

def train():
    import tiny
    return tiny.__file__

fairing.config.set_preprocessor("function", input_files=["requirements.txt", "wheels"])
fairing.config.set_builder("cluster", base_image=BASE, engine=ENGINE, engine_image=IMAGE)
fairing.config.set_deployer("job", namespace=NAMESPACE)
print(fairing.config.fn(train)().result())
"""


@pytest.fixture
def wheels(project: Path, base_pip: Base, cluster_registry: Registry) -> Path:
    """The project, with requirements that a folder of it has."""
    (project / "wheels").mkdir()
    (project / "wheels" / tiny.WHEEL).write_bytes(tiny.wheel())
    (project / "requirements.txt").write_text("--no-index\n--find-links wheels\ntiny\n")
    (project / "train.py").write_text(SCRIPT)
    return project


@pytest.mark.parametrize("engine", ["kaniko", "buildah"])
def test_the_packages_of_a_function_are_installed(
    engine: str,
    wheels: Path,
    lab: Lab,
    cluster_registry: Registry,
    base_pip: Base,
    kaniko_image: str,
    buildah_image: str,
) -> None:
    names = {
        "BASE": base_pip.at(cluster_registry),
        "ENGINE": engine,
        "IMAGE": {"kaniko": kaniko_image, "buildah": buildah_image}[engine],
        "NAMESPACE": lab.namespace,
    }
    head = "".join(f"{name} = {value!r}\n" for name, value in names.items())
    (wheels / "packages.py").write_text(head + FUNCTION)
    done = program(wheels, sys.executable, "packages.py")
    said, path = done.stdout.splitlines()
    assert said == tiny.SAYS
    assert path.endswith("-packages/tiny.py")
    assert "travels by a Secret" in done.stderr
    assert "Successfully installed tiny-1" in done.stderr
    assert "built " in done.stderr


def test_the_command_line_builds_in_the_cluster(
    wheels: Path,
    lab: Lab,
    cluster_registry: Registry,
    base_pip: Base,
    kaniko_image: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FAIRING_BUILDER", "cluster")
    words: list[str | Path] = ["train.py", "-i", "requirements.txt", "-i", "wheels"]
    words += ["--base-image", base_pip.at(cluster_registry)]
    words += ["--builder-option", f"engine_image={kaniko_image}", "--builder-option", "timeout=90"]
    planned = program(wheels, FAIRING, "plan", *words).stderr
    assert "it travels by a Secret of the build's own" in planned
    assert "you may do all that builds need" in planned
    assert not lab.bench.kubectl("get", "jobs,secrets", "--output=name")
    done = program(wheels, FAIRING, "run", *words, "--", "--epochs", "3")
    assert done.stdout.splitlines() == [tiny.SAYS, "['--epochs', '3']"]
    words += ["--builder", "kaniko"]
    unknown = program(wheels, FAIRING, "run", *words, exit_code=82)
    assert "no builder is called 'kaniko'" in unknown.stderr


def test_a_build_that_fails_runs_nothing(
    wheels: Path, lab: Lab, cluster_registry: Registry, base_pip: Base, kaniko_image: str
) -> None:
    (wheels / "requirements.txt").write_text("--no-index\nnot-there\n")
    words: list[str | Path] = ["train.py", "-i", "requirements.txt", "--builder", "cluster"]
    words += ["--base-image", base_pip.at(cluster_registry)]
    words += ["--builder-option", f"engine_image={kaniko_image}"]
    done = program(wheels, FAIRING, "run", *words, exit_code=115)
    assert "No matching distribution found for not-there" in done.stderr
    assert "a RUN step failed" in done.stderr
    lab.bench.kubectl("wait", "--for=delete", "pods", "--all", "--timeout=30s")
    assert not lab.bench.kubectl("get", "jobs,pods,secrets", "--output=name")


def test_in_a_pod_the_cluster_is_chosen_by_itself(
    wheels: Path,
    lab: Lab,
    cluster: Cluster,
    cluster_registry: Registry,
    base_pip: Base,
    kaniko_image: str,
) -> None:
    for file in (ROLE, ROLE.with_name("role-build.yaml")):
        cluster.kubectl("apply", "-f-", stdin=file.read_text())
    for role in ("fairing", "fairing-build"):
        subject = f"--serviceaccount={lab.namespace}:default"
        cluster.kubectl("create", "rolebinding", role, f"--role={role}", subject)
    own = (wheels / "pyproject.toml").read_text()
    (wheels / "pyproject.toml").write_text(own.partition("[tool.fairing.backends")[0])
    packages = sysconfig.get_paths()["purelib"]
    folders = {"project": str(wheels), "packages": packages, "root": str(ROOT)}
    mounts = [{"name": name, "mountPath": f"/{name}"} for name in ("packages", "root")]
    env = {
        "PYTHONPATH": "/root:/packages",
        "FAIRING_CACHE": "/tmp/cache",
        "PYTHONDONTWRITEBYTECODE": "1",
        "FAIRING_BASE_IMAGE": base_pip.at(cluster_registry),
    }
    container = {
        "volumeMounts": [*mounts, {"name": "project", "mountPath": "/work"}],
        "env": [{"name": name, "value": value} for name, value in env.items()],
        "workingDir": "/work",
    }
    words = ["python3", "-c", "from fairing_core.cli import program; program()", "-v", "run"]
    words += ["train.py", "-i", "requirements.txt"]
    words += ["-i", "wheels", "--builder-option", f"engine_image={kaniko_image}"]
    pod = cluster.pod(
        "notebook",
        *words,
        image=lab.image,
        container=container,
        volumes=[{"name": name, "hostPath": {"path": path}} for name, path in folders.items()],
    )
    log = cluster.run(pod)
    assert "builder 'cluster' builds it, since not append: " in log
    assert tiny.SAYS in log
    assert "[]" in log.splitlines()
