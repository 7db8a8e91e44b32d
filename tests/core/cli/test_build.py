"""``fairing build``, as a user calls it."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from fairing_core import errors
from tests.core.cli.conftest import Fairing
from tests.core.images.registry import FakeRegistry


@pytest.fixture
def environ(environ: dict[str, str], tmp_path: Path) -> dict[str, str]:
    folders = {name: str(tmp_path / "home") for name in ("HOME", "DOCKER_CONFIG")}
    return {**environ, **folders, "FAIRING_CACHE": str(tmp_path / "cache")}


@pytest.fixture
def script(tmp_path: Path, registry: FakeRegistry) -> Path:
    env = ["PATH=/usr/local/bin", "PYTHON_VERSION=3.11.9"]
    registry.image("base", "1", b"one", config={"config": {"Env": env}})
    (tmp_path / "train.py").write_text("import helper")
    (tmp_path / "helper.py").write_text("")
    return tmp_path / "train.py"


def test_the_last_line_is_the_image_by_its_digest(
    fairing: Fairing, registry: FakeRegistry, script: Path
) -> None:
    base, target = f"{registry.host}/base:1", f"{registry.host}/team/train:v1"
    done = fairing("build", script, "-b", base, "-t", target)
    assert done.returncode == 0, done.stderr
    name, _, digest = done.stdout.splitlines()[-1].partition("@")
    assert name == f"{registry.host}/team/train"
    assert registry.manifests["team/train"]["v1"] == registry.manifests["team/train"][digest]
    assert "packaged" in done.stderr
    assert "pushed" in done.stderr


def test_a_second_time_says_that_nothing_is_new(
    fairing: Fairing, registry: FakeRegistry, script: Path
) -> None:
    words = ("build", script, "-b", f"{registry.host}/base:1", "-t", f"{registry.host}/train")
    first = fairing(*words)
    time.sleep(2.1)  # a file that was just written may still change
    fairing(*words)
    second = fairing(*words)
    assert second.stdout == first.stdout
    assert "nothing is new" in second.stderr


def test_json_tells_the_image_and_the_traffic(
    fairing: Fairing, registry: FakeRegistry, script: Path
) -> None:
    base, target = f"{registry.host}/base:1", f"{registry.host}/train"
    done = fairing("build", script, "-b", base, "-t", target, "--json")
    found = json.loads(done.stdout)
    assert found["image"].endswith(found["digest"])
    assert (found["platform"], found["uid"], found["mounted"]) == ("linux/amd64", 0, 1)
    assert found["sent"] > 0


def test_a_folder_is_built(fairing: Fairing, registry: FakeRegistry, script: Path) -> None:
    folder = script.parent / "src"
    folder.mkdir()
    (folder / "main.py").write_text("")
    base, target = f"{registry.host}/base:1", f"{registry.host}/train"
    done = fairing("build", folder, "-b", base, "-t", target)
    assert done.returncode == 0, done.stderr


def test_the_layout_of_the_last_build_is_not_in_the_next(
    fairing: Fairing, registry: FakeRegistry, script: Path
) -> None:
    folder = script.parent / "src"
    folder.mkdir()
    (folder / "main.py").write_text("")
    call = ("build", folder, "-b", f"{registry.host}/base:1", "--output", folder / "out.oci")
    first, second = fairing(*call), fairing(*call)
    assert second.returncode == 0, second.stderr
    assert first.stdout == second.stdout != ""


def test_a_layout_is_written_without_a_registry_to_push_to(
    fairing: Fairing, registry: FakeRegistry, script: Path, tmp_path: Path
) -> None:
    done = fairing("build", script, "-b", f"{registry.host}/base:1", "--output", "out.oci")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"oci:{tmp_path / 'out.oci'}@sha256:")
    assert (tmp_path / "out.oci" / "index.json").is_file()


def test_variables_labels_user_and_entrypoint_are_set(
    fairing: Fairing, registry: FakeRegistry, script: Path
) -> None:
    options = ("-e", "A=1", "-l", "team=vision", "-u", "7:8", "--entrypoint", "")
    base, target = f"{registry.host}/base:1", f"{registry.host}/train:v1"
    done = fairing("build", script, "-b", base, "-t", target, *options)
    assert done.returncode == 0, done.stderr
    config = registry.config("train", "v1")["config"]
    assert "A=1" in config["Env"]
    assert (config["Labels"], config["User"]) == ({"team": "vision"}, "7:8")
    assert config["Entrypoint"] == []


@pytest.mark.parametrize(
    ("words", "kind", "said"),
    [
        (("-t", "{host}/train@sha256:" + "0" * 64), errors.InvalidReference, "has a digest"),
        (("-t", "{host}/train", "-b", "{host}/gone"), errors.ImageNotFound, "gone"),
        (("-t", "{host}/train", "--platform", "amd64"), errors.InvalidArgument, "linux/amd64"),
        (("-t", "{host}/UPPER"), errors.InvalidReference, "lower case"),
        (("-t", "nobody.invalid/train"), errors.RegistryUnreachable, "nobody.invalid"),
        ((), errors.Unsupported, "registry"),
    ],
)
def test_a_fault_is_one_line_with_its_own_exit_code(
    fairing: Fairing,
    registry: FakeRegistry,
    script: Path,
    words: tuple[str, ...],
    kind: type[errors.FairingError],
    said: str,
) -> None:
    given = [word.replace("{host}", registry.host) for word in words]
    base = () if "-b" in given else ("-b", f"{registry.host}/base:1")
    done = fairing("build", script, *base, *given)
    assert done.returncode == kind.exit_code, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_output_and_push_exclude_each_other(fairing: Fairing, script: Path) -> None:
    done = fairing("build", script, "--output", "x", "--push")
    assert done.returncode == 2
    assert "exclude each other" in done.stderr
