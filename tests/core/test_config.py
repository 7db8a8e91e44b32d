from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import fairing_core as fairing
from fairing_core import FilterIncludeCell, RunStatus, errors
from fairing_core.config import Config
from tests.core.preprocess.notebooks.made import write


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    monkeypatch.setenv("FAIRING_BACKEND", "local")
    monkeypatch.setenv("FAIRING_LOCAL__ROOT", str(tmp_path / "runs"))
    monkeypatch.chdir(tmp_path)
    return Config()


def add(left: int, right: int = 0) -> int:
    print("adding")  # noqa: T201 - it is the run's output
    return left + right


def test_fn_runs_a_function_shows_its_output_and_gives_its_run(
    config: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    run = config.fn(add)(1, right=2)
    assert run.result() == 3
    shown = capsys.readouterr()
    assert shown.out == "adding\n"
    assert f"started {run.uri}" in shown.err
    assert f"{run.name} succeeded" in shown.err


def test_fn_keeps_name_and_docstring_and_changes_no_setting(config: Config) -> None:
    Path("only.py").write_text("print('script')")
    config.set_preprocessor("python", input_files=["only.py"])
    remote = config.fn(add)
    assert remote.__name__ == "add"
    assert remote(1).result() == 1
    ran = config.run()
    assert type(ran.preprocessor).__name__ == "PythonPreprocessor"


def test_run_gives_preprocessor_builder_and_deployer_as_the_original_did(
    config: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("train.py").write_text("print('trained')")
    config.set_preprocessor("python", executable="train.py")
    preprocessor, builder, deployer = ran = config.run()
    assert hasattr(preprocessor, "preprocess")
    assert hasattr(builder, "build")
    assert hasattr(deployer, "submit")
    assert ran.handle.status is RunStatus.SUCCEEDED
    assert capsys.readouterr().out == "trained\n"


@pytest.mark.parametrize("name", ["notebook", None])
def test_run_takes_a_notebook_as_the_original_did(
    config: Config, capsys: pytest.CaptureFixture[str], name: str | None
) -> None:
    write(Path("train.ipynb"), "print('left out')", "# fairing:include-cell\nprint('trained')")
    config.set_preprocessor(
        name, notebook_file="train.ipynb", notebook_preprocessor=FilterIncludeCell
    )
    ran = config.run()
    assert type(ran.preprocessor).__name__ == "NotebookPreprocessor"
    assert ran.handle.name.startswith("train-")
    assert capsys.readouterr().out == "trained\n"


def test_a_notebook_that_nobody_names_is_asked_for(config: Config) -> None:
    config.set_preprocessor("notebook")
    with pytest.raises(errors.InputError, match="notebook_file="):
        config.run()


def test_run_takes_a_function_as_the_original_did(config: Config) -> None:
    config.set_preprocessor("function", function_obj=lambda: "called")
    assert config.run().handle.result() == "called"
    assert config.run().handle.result() == "called"  # the first run took nothing away


def test_options_of_the_deployer_reach_it(config: Config) -> None:
    config.set_deployer("job", job_name="mine", stream_log=False)
    assert config.fn(add)(1).name == "mine"


@pytest.mark.parametrize(
    ("setter", "name", "options", "text"),
    [
        ("set_preprocessor", "pyhton", {}, "mean 'python'"),
        ("set_preprocessor", "python", {"executible": "a.py"}, "mean 'executable'"),
        ("set_deployer", "jbo", {}, "mean 'job'"),
        ("set_deployer", "job", {"namespce": "x"}, "mean 'namespace'"),
        ("set_builder", "apend", {}, "no builder is called 'apend'"),
    ],
)
def test_an_unknown_name_or_option_is_an_error_with_the_near_one(
    config: Config, setter: str, name: str, options: dict[str, Any], text: str
) -> None:
    Path("train.py").write_text("pass")
    config.set_preprocessor("python", executable="train.py")
    getattr(config, setter)(name, **options)
    with pytest.raises((errors.UnknownName, errors.UnknownOption), match=text):
        config.run()


def test_a_deployer_named_without_a_backend_means_a_cluster(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FAIRING_BACKEND")
    config.set_builder("append", registry="r.example/x")
    with pytest.raises(errors.NoCluster, match="backend='local'"):
        config.fn(add)(1)
    config.reset()
    assert config.fn(add)(1).result() == 1


def test_inside_a_run_everything_is_a_no_op(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAIRING_RUNTIME", "1")
    config.set_preprocessor("nonsense")
    config.set_builder("nonsense")
    config.set_deployer("nonsense")
    here: Any = config.fn(add)
    assert here is add
    _, _, deployer = config.run()
    assert not deployer
    monkeypatch.delenv("FAIRING_RUNTIME")
    assert config.fn(add)(2).result() == 2


def test_the_shared_one_is_fairing_config() -> None:
    assert fairing.config.fn.__self__ is fairing.config.run.__self__  # type: ignore[attr-defined]
