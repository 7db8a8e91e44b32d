from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fairing_core import (
    BackendInterface,
    BuildContext,
    BuildRequest,
    DeployRequest,
    TrainJob,
    errors,
    hookimpl,
)
from fairing_core.build.append import AppendBuilder
from fairing_core.build.cluster.builder import ClusterBuilder
from fairing_core.choices import Choices, checks_of
from fairing_core.plugins import Plugins
from fairing_core.preprocess.context import pack
from fairing_core.types import ContextFile


class Runner:
    def __init__(self, *, namespace: str = "default", runs: int = 1) -> None:
        self.namespace, self.runs = namespace, runs

    def render(self, request: DeployRequest) -> list[dict[str, Any]]:
        return []

    def submit(self, manifests: Any, mutators: Any = ()) -> Any:
        return None


class Maker(Runner):
    def supports(self, request: BuildRequest) -> str | None:
        return None

    build = print


class Lab(BackendInterface):
    name = "lab"

    def base_image(self) -> str:
        return "image-of-the-backend"

    def deployer(self, kind: str) -> Any:
        return Runner if kind == "job" else None


class Offering:
    @hookimpl
    def fairing_register_backends(self) -> Any:
        return {"lab": Lab}

    @hookimpl
    def fairing_register_builders(self) -> Any:
        return {"maker": Maker}


def choices(**said: Any) -> Choices:
    hub = Plugins(ambient=False, extra=[Offering()])
    return Choices(TrainJob(len, **said).order(), hub)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An entry's folder; a builtin has none, so it is the working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def set_file(folder: Path, text: str) -> None:
    (folder / "pyproject.toml").write_text(f"[tool.fairing]\n{text}\n", encoding="utf-8")


def test_without_a_word_it_runs_here(here: Path) -> None:
    assert choices().backend.name == "local"


@pytest.mark.parametrize(
    "said", [{"docker_registry": "r.example/x"}, {"builder": "maker"}, {"deployer": "job"}]
)
def test_naming_a_part_of_a_cluster_selects_kubernetes(here: Path, said: dict[str, str]) -> None:
    assert choices(**said).backend.name == "kubernetes"


def test_naming_a_part_of_a_cluster_in_the_file_does_too(here: Path) -> None:
    set_file(here, "registry = 'r.example/x'")
    assert choices().backend.name == "kubernetes"


def test_kubernetes_without_a_kubeconfig_says_so_before_anything_is_built(here: Path) -> None:
    with pytest.raises(errors.NoCluster, match="backend='local'"):
        TrainJob(len, docker_registry="r.example/x").submit()


def test_argument_environment_file_backend_and_core_decide_in_this_order(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert choices(backend="kubernetes").base_image().startswith("docker.io/library/python:3.")  # type: ignore[union-attr]
    assert choices(backend="lab").base_image() == "image-of-the-backend"
    set_file(here, "base_image = 'image-of-the-file'")
    assert choices(backend="lab").base_image() == "image-of-the-file"
    monkeypatch.setenv("FAIRING_BASE_IMAGE", "image-of-the-environment")
    assert choices(backend="lab").base_image() == "image-of-the-environment"
    assert choices(backend="lab", base_docker_image="mine").base_image() == "mine"


def test_the_backend_is_an_argument_the_environment_or_the_file(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_file(here, "backend = 'lab'")
    assert choices().backend.name == "lab"
    monkeypatch.setenv("FAIRING_BACKEND", "kubernetes")
    assert choices().backend.name == "kubernetes"
    assert choices(backend="local").backend.name == "local"


def test_a_backend_is_a_name_a_class_or_an_object(here: Path) -> None:
    lab = Lab()
    assert choices(backend=lab).backend is lab
    assert isinstance(choices(backend=Lab).backend, Lab)
    assert isinstance(choices(backend="lab").backend, Lab)
    with pytest.raises(errors.UnknownBackend, match="backend=3 is no name"):
        choices(backend=3)


def test_an_object_takes_no_options(here: Path) -> None:
    with pytest.raises(errors.UnknownOption, match="an object already"):
        choices(backend=Lab(), backend_options={"x": 1})
    with pytest.raises(errors.UnknownOption, match="input_files can't be given"):
        choices(preprocessor=Runner(), input_files=["x"]).preprocessor()


def test_a_part_is_a_name_a_class_or_an_object(here: Path) -> None:
    request: Any = None
    maker: Any = Maker()
    assert choices(backend="lab", builder=maker).builder(request) is maker
    assert isinstance(choices(backend="lab", builder=Maker).builder(request), Maker)
    assert isinstance(choices(backend="lab", builder="maker").builder(request), Maker)
    assert isinstance(choices(backend="lab").deployer(), Runner)


@pytest.mark.parametrize("role", ["preprocessor", "builder", "deployer"])
def test_an_unknown_part_is_an_error_that_lists_the_known_ones(here: Path, role: str) -> None:
    chosen = choices(backend="lab", **{role: "makre"})
    ask = getattr(chosen, role)
    with pytest.raises(errors.UnknownName, match=f"no {role} is called 'makre'.*Known: "):
        ask(None) if role == "builder" else ask()


def test_where_nobody_names_a_builder_it_is_append(here: Path) -> None:
    context = BuildContext((), ("python3", "x.py"), digest="sha256:00")
    request = BuildRequest(context, base_image="lab/base", registry="lab.example")
    assert isinstance(choices(backend="lab").builder(request), AppendBuilder)


def request(*destinations: str) -> BuildRequest:
    files = [ContextFile(place, b"x", size=1) for place in ("/app/main.py", *destinations)]
    context = pack(files, ["python3", "/app/main.py"], workdir="/app")
    return BuildRequest(context, base_image="r.example/base", registry="r.example")


@pytest.fixture
def nowhere(here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without an engine and without a cluster."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{here}/docker.sock")
    monkeypatch.setenv("KUBECONFIG", str(here / "kubeconfig"))
    monkeypatch.setenv("HOME", str(here))
    return here


def test_what_needs_no_step_is_appended(nowhere: Path) -> None:
    assert isinstance(choices(backend="lab").builder(request()), AppendBuilder)


def test_where_nothing_fits_each_candidate_says_why(nowhere: Path) -> None:
    with pytest.raises(errors.Unsupported) as caught:
        choices(backend="lab").builder(request("/app/requirements.txt"))
    told = str(caught.value)
    assert "append: requirements.txt is among the inputs" in told
    assert "docker: " in told
    assert f"cluster: there is no kubeconfig at {nowhere / 'kubeconfig'}" in told


@pytest.mark.parametrize("file", ["/app/requirements.txt", "/Dockerfile"])
def test_where_a_cluster_is_there_it_builds_what_needs_a_step(
    file: str, nowhere: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    (nowhere / "kubeconfig").write_text("{}")
    made = choices(backend="lab").builder(request(file))
    assert isinstance(made, ClusterBuilder)
    assert "builder 'cluster' builds it, since not append: " in caplog.text
    assert "; docker: " in caplog.text


def test_a_builder_that_lacks_an_option_is_no_candidate(nowhere: Path) -> None:
    (nowhere / "kubeconfig").write_text("{}")
    said = {"backend": "lab", "builder_options": {"engine": "buildah"}}
    made = choices(**said).builder(request())
    assert "engine='buildah'" in repr(made)


def test_a_backend_without_images_leaves_out_what_belongs_to_them(here: Path) -> None:
    chosen = choices(backend="local", base_docker_image="x", docker_registry="y", builder="maker")
    assert chosen.base_image() is None
    assert chosen.registry() is None
    assert chosen.ignored() == ["base_image", "registry", "builder"]


def test_a_backend_without_images_names_the_options_that_it_leaves_out(here: Path) -> None:
    made = choices(backend="local", builder_options={"engine": "buildah"})
    assert made.ignored() == ["the builder's options"]


def test_a_setting_that_nobody_gave_is_named(here: Path) -> None:
    class Strict(BackendInterface):
        name = "strict"

        def __init__(self, *, region: str) -> None:
            self.region = region

    with pytest.raises(errors.SettingsError, match=r"'strict' can't be made.*'region'"):
        choices(backend=Strict)
    assert choices(backend=Strict, backend_options={"region": "eu"}).backend


def test_a_backend_that_raises_when_it_is_made_or_looks_around_is_blamed(here: Path) -> None:
    class Broken(BackendInterface):
        name = "broken"

        def __init__(self, *, early: bool = False) -> None:
            if early:
                raise OSError("no disk")

        def check(self) -> Any:
            return 1 // 0

    with pytest.raises(errors.PluginFailed, match="'broken' can't be made: OSError: no disk"):
        choices(backend=Broken, backend_options={"early": True})
    with pytest.raises(errors.PluginFailed, match="what it needs: ZeroDivisionError") as caught:
        checks_of(Broken())
    assert caught.value.distribution == "tests"
