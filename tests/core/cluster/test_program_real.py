"""Whole programs and the command line on a real cluster, as a newcomer has them."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fairing_core import list_runs
from tests.bench import tiny
from tests.bench.bases import Base
from tests.bench.bench import Bench
from tests.bench.docker import socket_of
from tests.bench.kubernetes.client import Cluster
from tests.bench.registry import Registry
from tests.core.cluster.conftest import Lab

if TYPE_CHECKING:
    from docker import DockerClient

ROOT = Path(__file__).parents[3]
FAIRING = Path(sys.executable).with_name("fairing")

TUTORIAL = """
import fairing_core as fairing
from fairing_core import k8s_utils

def train(epochs=4):
    import os
    print("training for", epochs, os.path.isdir("/mnt/data"))
    return {"loss": 1 / epochs}

fairing.config.set_builder('append', base_image=BASE, registry=REGISTRY, push=True)
fairing.config.set_deployer('job', namespace=NAMESPACE, pod_spec_mutators=[
    k8s_utils.get_resource_mutator(cpu=1, memory=2), k8s_utils.mounting_pvc('data', '/mnt/data')])
remote_train = fairing.config.fn(train)
run = remote_train()
print("home:", run.result())
"""


def program(
    project: Path, *words: str | Path, exit_code: int = 0
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        words, cwd=project, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == exit_code, done.stderr
    return done


def test_the_program_of_every_tutorial_leaves_with_the_functions_result(
    project: Path, lab: Lab, cluster_registry: Registry
) -> None:
    lab.bench.apply(
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": "data", "namespace": lab.namespace},
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": "1Mi"}},
            },
        }
    )
    names = {
        "BASE": lab.image,
        "REGISTRY": f"{cluster_registry.name}/{cluster_registry.prefix}",
        "NAMESPACE": lab.namespace,
    }
    head = "".join(f"{name} = {value!r}\n" for name, value in names.items())
    (project / "tutorial.py").write_text(head + TUTORIAL)
    done = program(project, sys.executable, "tutorial.py")
    assert done.stdout == "training for 4 True\nhome: {'loss': 0.25}\n"
    assert "built " in done.stderr
    (run,) = list_runs(backend="kubernetes")
    assert run.result() == {"loss": 0.25}
    (pod,) = json.loads(lab.bench.kubectl("get", "pods", "-o", "json"))["items"]
    limits = pod["spec"]["containers"][0]["resources"]["limits"]
    assert limits == {"cpu": "1", "memory": "1997159792640m"}  # 1.86Gi, as the server writes it


WITH_PACKAGES = """
import fairing_core as fairing

def train():
    import tiny
    return tiny.__file__

fairing.config.set_preprocessor("function", input_files=["requirements.txt", "wheels"])
fairing.config.set_builder("docker", base_image=BASE, registry=REGISTRY, host=HOST, network="host")
fairing.config.set_deployer("job", namespace=NAMESPACE)
print(fairing.config.fn(train)().result())
"""


def test_an_engine_installs_the_packages_of_a_function(
    project: Path,
    lab: Lab,
    bench: Bench,
    docker_engine: DockerClient,
    cluster_registry: Registry,
    base_pip: Base,
) -> None:
    names = {
        "BASE": base_pip.at(cluster_registry),
        "REGISTRY": f"{cluster_registry.name}/{cluster_registry.prefix}",
        "HOST": f"unix://{socket_of(bench)}",
        "NAMESPACE": lab.namespace,
    }
    head = "".join(f"{name} = {value!r}\n" for name, value in names.items())
    (project / "wheels").mkdir()
    (project / "wheels" / tiny.WHEEL).write_bytes(tiny.wheel())
    (project / "requirements.txt").write_text("--no-index\n--find-links wheels\ntiny\n")
    (project / "packages.py").write_text(head + WITH_PACKAGES)
    done = program(project, sys.executable, "packages.py")
    said, path = done.stdout.splitlines()
    assert said == tiny.SAYS
    assert path.endswith("-packages/tiny.py")
    assert "Step 1/" in done.stderr
    assert "pushed: " in done.stderr
    for image in docker_engine.images.list():
        for tag in image.tags:
            if names["REGISTRY"] in tag:
                docker_engine.images.remove(tag)


def test_the_command_line_from_run_to_rm(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAIRING_BACKEND", "kubernetes")
    (project / "train.py").write_text(
        "import sys, time\nprint('epochs', sys.argv[2], flush=True)\nsys.exit(3)\n"
    )
    done = program(project, FAIRING, "run", "train.py", "--", "--epochs", "3", exit_code=3)
    assert done.stdout == "epochs 3\n"
    assert "failed (exit code 3)" in done.stderr
    (row,) = json.loads(program(project, FAIRING, "ps", "--json").stdout)
    name = row["name"]
    assert (row["status"], row["exit_code"]) == ("failed", 3)
    assert program(project, FAIRING, "logs", "-f", name).stdout == "epochs 3\n"
    assert "exit_code\t3" in program(project, FAIRING, "status", row["uri"]).stdout
    described = program(project, FAIRING, "describe", name).stdout
    assert "Scheduled" in described
    assert "Started" in described
    assert program(project, FAIRING, "wait", name, exit_code=3).stdout == "failed\n"
    assert program(project, FAIRING, "rm", name).stdout == f"{name}\n"
    assert program(project, FAIRING, "ps").stdout == ""


def test_detached_cancelled_and_removed_with_options_of_the_deployer(
    project: Path, lab: Lab
) -> None:
    (project / "long.py").write_text(
        "import signal, sys, time\nsignal.signal(15, lambda *_: sys.exit(3))\ntime.sleep(600)\n"
    )
    options = ["--deploy", "timeout=500", "--deploy", 'resources={"cpu": "100m"}']
    words: list[str | Path] = [
        FAIRING,
        "run",
        "long.py",
        "-b",
        "kubernetes",
        "-d",
        "--name",
        "long",
        *options,
    ]
    uri = program(project, *words).stdout.strip()
    assert uri.startswith(f"fairing://kubernetes/{lab.namespace}/job/long?uid=")
    job = lab.bench.get("job", "long")
    assert job["spec"]["template"]["spec"]["activeDeadlineSeconds"] == 500
    busy = program(project, FAIRING, "rm", uri, exit_code=2)
    assert "still running: long" in busy.stderr
    assert program(project, FAIRING, "cancel", uri).stdout == "long\tcancelled\n"
    assert program(project, FAIRING, "rm", "-b", "kubernetes", "long").stdout == "long\n"


def test_a_function_gets_its_arguments_and_gives_its_result(project: Path) -> None:
    (project / "train.py").write_text("def train(epochs):\n    return {'loss': 1 / epochs}\n")
    words: list[str | Path] = [
        FAIRING,
        "run",
        "train.py::train",
        "-b",
        "kubernetes",
        "--json",
        "--",
        "epochs=4",
    ]
    found = json.loads(program(project, *words).stdout)
    assert (found["status"], found["result"]) == ("succeeded", {"loss": 0.25})


def test_nodes_that_know_the_registry_by_another_name_pull_by_that(
    project: Path, lab: Lab, base_python: Base, two_name_registry: Registry
) -> None:
    registry = two_name_registry
    text = (project / "pyproject.toml").read_text()
    text += (
        f"[tool.fairing.registries.'{registry.name}']\nplain_http = true\n"
        f"pull_name = '{registry.node_name}'\n"
    )
    (project / "pyproject.toml").write_text(text)
    (project / "train.py").write_text("print('pulled')\n")
    words: list[str | Path] = [FAIRING, "run", "train.py", "-b", "kubernetes"]
    words += ["--registry", f"{registry.name}/{registry.prefix}"]
    words += ["--base-image", base_python.at(registry)]
    assert program(project, *words).stdout == "pulled\n"
    (pod,) = json.loads(lab.bench.kubectl("get", "pods", "-o", "json"))["items"]
    assert pod["spec"]["containers"][0]["image"].startswith(registry.node_name)


def test_in_a_pod_the_same_program_runs_by_the_pods_own_account_and_namespace(
    project: Path, lab: Lab, cluster: Cluster
) -> None:
    role = (ROOT / "examples" / "cluster" / "role.yaml").read_text()
    cluster.kubectl("apply", "-f-", stdin=role)
    subject = f"--serviceaccount={lab.namespace}:default"
    cluster.kubectl("create", "rolebinding", "fairing", "--role=fairing", subject)
    own = (project / "pyproject.toml").read_text()
    (project / "pyproject.toml").write_text(own.partition("[tool.fairing.backends")[0])
    (project / "notebook.py").write_text(
        textwrap.dedent(
            """
            from fairing_core import TrainJob
            def train():
                return 6 * 7
            run = TrainJob(train).submit()
            print(run.uri.split("?")[0].rpartition("/")[0], run.result(timeout=60))
            """
        )
    )
    packages = sysconfig.get_paths()["purelib"]
    folders = {"project": str(project), "packages": packages, "root": str(ROOT)}
    volumes = [{"name": name, "hostPath": {"path": path}} for name, path in folders.items()]
    mounts = [{"name": name, "mountPath": f"/{name}"} for name in ("packages", "root")]
    env = {
        "PYTHONPATH": "/root:/packages",
        "FAIRING_CACHE": "/tmp/cache",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    container = {
        "volumeMounts": [*mounts, {"name": "project", "mountPath": "/work"}],
        "env": [{"name": name, "value": value} for name, value in env.items()],
        "workingDir": "/work",
    }
    pod = cluster.pod(
        "notebook",
        "python3",
        "notebook.py",
        image=lab.image,
        container=container,
        volumes=volumes,
    )
    last = cluster.run(pod).splitlines()[-1]
    assert last == f"fairing://kubernetes/{lab.namespace}/job 42"


def test_inside_a_run_nothing_is_submitted(project: Path) -> None:
    (project / "own.py").write_text(
        "from fairing_core import TrainJob\n"
        "def train():\n    return 1\n"
        "run = TrainJob(train, backend='kubernetes').submit()\n"
        "print('inert')\n"
    )
    done = program(project, FAIRING, "run", "own.py", "-b", "kubernetes")
    assert done.stdout == "inert\n"
    assert len(list_runs(backend="kubernetes")) == 1


# --- the examples ---------------------------------------------------------------------------------

EXAMPLES = ROOT / "examples" / "cluster"


def test_the_script_of_the_example_needs_two_settings(project: Path, lab: Lab) -> None:
    (project / "train.py").write_text((EXAMPLES / "train.py").read_text())
    done = program(project, sys.executable, "train.py")
    assert done.stdout.startswith("epoch  1  loss ")
    assert "{'slope': 2.99, " in done.stdout
    words: list[str | Path] = [FAIRING, "run", "train.py::train", "-b", "kubernetes"]
    words += ["--json", "--", "epochs=5"]
    assert json.loads(program(project, *words).stdout)["result"]["slope"] == pytest.approx(
        3, abs=0.1
    )


def test_the_cells_of_the_example_run_one_after_the_other(
    project: Path, lab: Lab, cluster_registry: Registry
) -> None:
    cells = json.loads((EXAMPLES / "train.ipynb").read_text())["cells"]
    sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    registry = f"{cluster_registry.name}/{cluster_registry.prefix}"
    settings = f"REGISTRY = {registry!r}\n"
    sources[0] = settings + f"NAMESPACE = {lab.namespace!r}"
    sources[-2] = f"print({sources[-2]})"
    (project / "cells.py").write_text("\n\n".join(sources))
    done = program(project, sys.executable, "cells.py")
    assert done.stdout.count(" points: 3.1") == 4
    assert done.stdout.splitlines()[-1].startswith("{'pi': 3.1")
    assert list_runs(backend="kubernetes") == []


# --- a client that is killed ----------------------------------------------------------------------


@pytest.mark.parametrize("stage", ["packaged", "pushed", "built", "started"])
def test_a_client_killed_at_a_stage_leaves_a_whole_run_or_none(project: Path, stage: str) -> None:
    (project / "train.py").write_text("print('whole')\n")
    words: list[str | Path] = [FAIRING, "run", "train.py", "-b", "kubernetes"]
    with subprocess.Popen(words, cwd=project, stderr=subprocess.PIPE, text=True) as client:
        assert client.stderr
        for line in client.stderr:
            if line.startswith(stage):
                client.kill()
                break
    runs = list_runs(backend="kubernetes")
    assert len(runs) <= 1
    if stage == "started":
        assert len(runs) == 1
    for run in runs:
        assert "".join(run.logs(follow=True)) == "whole\n"
        assert run.wait(60).value == "succeeded"
