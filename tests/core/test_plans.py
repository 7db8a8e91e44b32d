"""What a plan says, and the YAML of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairing_core import Plan, TrainJob, config
from fairing_core.errors import InputError
from fairing_core.interfaces import RunHandle
from fairing_core.local import LocalBackend
from fairing_core.types import (
    BuildContext,
    BuildRequest,
    Built,
    Check,
    ContextFile,
    DeployRequest,
    PodSpecMutator,
)

FILES = tuple(
    ContextFile(f"/app/{number:02}.txt", b"x" * number, size=number, reason="input")
    for number in range(1, 31)
)


def planned(*checks: Check, image: str = "host/app:1", manifest: Any = None) -> Plan:
    context = BuildContext(FILES, ("true",), digest="sha256:0")
    return Plan("x", image, context, manifests=(manifest or {"kind": "Job"},), checks=checks)


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\r\x85\u2028\u2029"))


@given(st.dictionaries(TEXTS, st.recursive(TEXTS | st.integers() | st.booleans() | st.none(),
                                           lambda one: st.lists(one) | st.dictionaries(TEXTS, one),
                                           max_leaves=8)))  # fmt: skip
def test_the_yaml_reads_back_as_what_is_sent(manifest: Mapping[str, Any]) -> None:
    import yaml

    assert yaml.safe_load(planned(manifest={"kind": manifest}).yaml()) == {"kind": manifest}


@pytest.mark.parametrize("word", ["y", "No", "on", "1e3", "0o7", "1_000", "null", "~", "a: b", ""])
def test_a_text_that_kubernetes_parser_would_take_for_something_else_is_quoted(word: str) -> None:
    assert planned(manifest={"value": word}).yaml() == f'---\nvalue: "{word}"\n'


def test_the_same_object_twice_is_written_twice() -> None:
    shared = {"a": "b"}
    assert planned(manifest={"x": shared, "y": shared}).yaml().count("a: b") == 2


def test_the_report_names_the_largest_files_and_counts_the_others() -> None:
    lines = planned(Check("push", True, "it may"), Check("job", False, "no:\nthis")).report()
    first, *rest = lines.splitlines()
    assert first == "x would ship 30 files, 465 B:"
    assert rest[0].split() == ["/app/30.txt", "30", "B", "input"]
    assert rest[20] == "  and 10 smaller ones, 55 B"
    assert rest[21] == "and run host/app:1 (not built yet)"
    assert rest[22].split() == ["ok", "push", "it", "may"]
    assert rest[23].split() == ["FAIL", "job", "no:"]
    assert rest[24] == " " * 14 + "this"


def test_what_could_not_be_looked_at_does_not_fail_a_plan() -> None:
    assert planned(Check("nodes", None), Check("job", True)).is_clear
    assert not planned(Check("nodes", None), Check("job", False)).is_clear


def test_an_image_with_its_digest_is_built() -> None:
    assert planned(image="host/app@sha256:1").is_built
    assert not planned().is_built


def test_in_a_notebook_a_plan_is_its_report_and_its_objects() -> None:
    html = planned(manifest={"kind": "<Job>"})._repr_html_()
    assert "x would ship" in html
    assert "&lt;Job&gt;" in html


# --- dry runs -------------------------------------------------------------------------------------


def train(epochs: int = 1) -> int:
    return epochs


def test_a_dry_run_gives_a_plan_and_writes_nothing(tmp_path: Path) -> None:
    backend = LocalBackend(root=tmp_path / "runs")
    plan = TrainJob(train, backend=backend, name="x").submit(dry_run=True)
    assert isinstance(plan, Plan)
    assert plan.name == "x"
    assert not plan.is_built
    assert plan.is_clear
    assert {"/app/function_shim.py", "/app/pickled_fn.p"} <= {
        file.destination for file in plan.context.files
    }
    assert all(file.reason for file in plan.context.files)
    assert not (tmp_path / "runs").exists()


def test_a_plan_on_this_machine_says_what_its_interpreter_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "requirements.txt").write_text("no-such-distribution\n")
    (tmp_path / "train.py").write_text("pass\n")
    backend = LocalBackend(root=tmp_path / "runs")
    job = TrainJob(tmp_path / "train.py", backend=backend, input_files=["requirements.txt"])
    plan = job.submit(dry_run=True)
    (found,) = [check for check in plan.checks if check.ok is False]
    assert found.name == "requirements"
    assert "no-such-distribution" in found.detail


class Blind:
    """A builder and deployer that foresee nothing."""

    def supports(self, request: BuildRequest) -> str | None:
        return None

    def build(self, request: BuildRequest) -> Built:
        raise AssertionError("nothing is built")

    def render(self, request: DeployRequest) -> Sequence[Mapping[str, Any]]:
        return ({"kind": "Thing", "image": request.image},)

    def submit(
        self, manifests: Sequence[Mapping[str, Any]], mutators: Sequence[PodSpecMutator] = ()
    ) -> RunHandle:
        raise AssertionError("nothing is submitted")


def test_parts_that_foresee_nothing_are_said_so_and_do_nothing() -> None:
    job = TrainJob(train, "base:1", "host.example", backend="kubernetes",
                   backend_options={"config_file": "/nowhere", "namespace": "x"},
                   builder=Blind(), deployer=Blind())  # fmt: skip
    backend = job.order().backend
    assert backend.named == "kubernetes"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fairing_core.cluster.backend.KubernetesBackend.warm", lambda _: None)
        plan = job.submit(dry_run=True)
    assert plan.manifests == ({"kind": "Thing", "image": "not-built-yet"},)
    assert [(check.name, check.ok) for check in plan.checks] == [("image", None), ("cluster", None)]
    assert "Blind has no foresee()" in plan.checks[0].detail


def test_config_has_dry_runs_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAIRING_LOCAL__ROOT", str(tmp_path / "runs"))
    monkeypatch.setenv("FAIRING_BACKEND", "local")
    config.reset()
    config.set_preprocessor("function", function_obj=train)
    plan = config.run(dry_run=True)
    assert isinstance(plan, Plan)
    assert plan.manifests[0]["kind"] == "LocalRun"
    assert not (tmp_path / "runs").exists()


# --- what a run took ------------------------------------------------------------------------------


def test_a_run_on_this_machine_tells_what_each_step_took(tmp_path: Path) -> None:
    backend = LocalBackend(root=tmp_path / "runs")
    run = TrainJob(train, backend=backend).submit()
    run.wait(60)
    steps = run.timeline()
    assert [step.name for step in steps] == ["package", "build", "submit", "run"]
    assert all((step.seconds or -1) >= 0 for step in steps)
    run.delete()
    assert repr(run).startswith(f"<LocalRun {run.name} deleted fairing://")


# --- what a run leaves behind ---------------------------------------------------------------------


def leave() -> None:
    Path("runs").mkdir()
    Path("runs/a.txt").write_text("a")
    Path("runs/b[1].txt").write_text("b")
    raise ValueError("too late")


def test_outputs_on_this_machine_are_where_they_are(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    backend = LocalBackend(root=tmp_path / "[runs]")
    run = TrainJob(leave, backend=backend, outputs=["runs/", "gone.txt"]).submit()
    assert [one.path for one in run.artifacts(60)] == ["runs/a.txt", "runs/b[1].txt"]
    found = run.artifacts()[0]
    assert (found.path, found.size, found.content.read_text()) == ("runs/a.txt", 1, "a")
    assert "the output 'gone.txt' is left out: there is no such file" in caplog.text
    named = TrainJob(leave, backend=backend, outputs=["runs/b[1].txt", "runs/*"]).submit()
    assert [one.path for one in named.artifacts(60)] == ["runs/a.txt", "runs/b[1].txt"]
    assert not TrainJob(train, backend=backend).submit().artifacts(60)


@pytest.mark.parametrize("outputs", ["model.pkl", [""], ["a\0b"], [3]])
def test_outputs_that_name_nothing_are_refused_at_once(outputs: Any) -> None:
    with pytest.raises(InputError, match="outputs"):
        TrainJob(train, outputs=outputs)
