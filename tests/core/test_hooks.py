"""One test a hook, and one that holds that there is one; plugins here are given to one run."""

from __future__ import annotations

import inspect
import logging
import re
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest

from fairing_core import (
    BackendInterface,
    BuildContext,
    BuildRequest,
    Built,
    DeployRequest,
    Event,
    LocalBackend,
    PodPatch,
    Source,
    TrainJob,
    errors,
    hookimpl,
    hookspecs,
)
from fairing_core.plugins import Kind, Plugins

DOCS = Path(__file__).parents[2] / "docs"


class Lab(BackendInterface):
    name = "lab"


class Packer:
    def preprocess(self, source: Source) -> BuildContext:
        return BuildContext((), ("true",), digest="sha256:0")


class Maker:
    def supports(self, request: BuildRequest) -> str | None:
        return None

    def build(self, request: BuildRequest) -> Built:
        return Built("image")


class Runner:
    def render(self, request: DeployRequest) -> list[dict[str, Any]]:
        return []

    def submit(self, manifests: Any, mutators: Any = ()) -> Any:
        return None


class Store:
    url = put = open = stat = list = delete = pod_access = signed_url = print


class Hub:
    @classmethod
    def serves(cls, host: str) -> bool:
        return host == "hub.example"

    repository = ensure = credentials = pod_access = print


class Offering:
    @hookimpl
    def fairing_register_backends(self) -> Any:
        return {"lab": Lab}

    @hookimpl
    def fairing_register_preprocessors(self) -> Any:
        return {"packer": Packer}

    @hookimpl
    def fairing_register_builders(self) -> Any:
        return {"maker": Maker}

    @hookimpl
    def fairing_register_deployers(self) -> Any:
        return {"runner": Runner}

    @hookimpl
    def fairing_register_storages(self) -> Any:
        return {"store": Store}

    @hookimpl
    def fairing_register_registries(self) -> Any:
        return {"hub": Hub}


def found(kind: Kind, name: str) -> type:
    return Plugins(ambient=False, extra=[Offering()]).lookup(kind, name)


def test_hook_fairing_register_backends() -> None:
    assert found("backend", "lab") is Lab


def test_hook_fairing_register_preprocessors() -> None:
    assert found("preprocessor", "packer") is Packer


def test_hook_fairing_register_builders() -> None:
    assert found("builder", "maker") is Maker


def test_hook_fairing_register_deployers() -> None:
    assert found("deployer", "runner") is Runner


def test_hook_fairing_register_storages() -> None:
    assert found("storage", "store") is Store


def test_hook_fairing_register_registries() -> None:
    assert found("registry", "hub") is Hub


def test_hook_fairing_pod_patches(tmp_path: Path) -> None:
    asked = []

    class Patching:
        @hookimpl
        def fairing_pod_patches(self, backend: str, stage: str, image: str) -> list[PodPatch]:
            asked.append((backend, stage, image))
            return [PodPatch(container={"env": [{"name": "FROM_A_PLUGIN", "value": "yes"}]})]

    def look() -> str:
        import os

        return os.environ["FROM_A_PLUGIN"]

    run = TrainJob(look, backend=LocalBackend(root=tmp_path)).submit(plugins=[Patching()])
    assert run.result(timeout=60) == "yes"
    assert asked == [("local", "train", "")]


def test_a_pod_patch_that_raises_stops_the_run_by_name(tmp_path: Path) -> None:
    class Broken:
        @hookimpl
        def fairing_pod_patches(self) -> list[PodPatch]:
            raise RuntimeError("no quota service")

    with pytest.raises(errors.PluginFailed, match=r"Broken-1.*no quota service.*nothing was run"):
        TrainJob(len, backend=LocalBackend(root=tmp_path)).submit(plugins=[Broken()])
    assert not [path for path in tmp_path.iterdir() if not path.name.startswith(".")]


def test_a_pod_patch_of_another_type_stops_the_run() -> None:
    class Odd:
        @hookimpl
        def fairing_pod_patches(self) -> Any:
            return [{"env": []}]

    with pytest.raises(errors.PluginFailed, match="gave a dict"):
        Plugins(ambient=False, extra=[Odd()]).pod_patches("local", "train", "image")


def test_hook_fairing_event(tmp_path: Path) -> None:
    events: list[Event] = []

    class Listening:
        @hookimpl
        def fairing_event(self, event: Event) -> None:
            events.append(event)

    job = TrainJob(len, args=("four",), backend=LocalBackend(root=tmp_path))
    run = job.submit(plugins=[Listening()])
    run.wait(60)
    names = [event.name for event in events]
    assert names == ["packaging", "packaged", "building", "built", "submitted"]
    assert events[-1].fields["uri"] == run.uri
    assert [event.time for event in events] == sorted(event.time for event in events)


def test_an_event_sink_that_raises_is_logged_once_and_harms_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        @hookimpl
        def fairing_event(self, event: Event) -> None:
            sys.exit("sink is full")

    job = TrainJob(len, args=("four",), backend=LocalBackend(root=tmp_path))
    with caplog.at_level(logging.WARNING):
        run = job.submit(plugins=[Broken()])
    assert run.result(timeout=60) == 4
    assert caplog.text.count("sink is full") == 1
    assert "Broken-1" in caplog.text


def test_every_hook_has_a_docstring_a_heading_and_a_test() -> None:
    generate = runpy.run_path(str(DOCS / "generate.py"))
    names = generate["hook_names"]()
    assert len(names) == 8
    page = (DOCS / "hooks.md").read_text(encoding="utf-8")
    assert page == generate["page"](), "docs/hooks.md is stale: run python docs/generate.py"
    for name in names:
        assert inspect.getdoc(getattr(hookspecs, name))
        assert f"test_hook_{name}" in globals()
        assert re.search(rf"^## `{re.escape(generate['signature'](name))}`$", page, re.MULTILINE)
