"""The backend's settings, its answers and what importing it costs."""

from __future__ import annotations

import inspect
import json
import os
from pathlib import Path

import pytest

from fairing_core import errors
from fairing_core.deploy.job import JobDeployer
from fairing_core.local import LocalBackend
from tests.core.local.harness import output_of, python


def test_importing_it_loads_nothing_slow() -> None:
    code = """
import json, sys
from fairing_core.local import LocalBackend
LocalBackend()
print(json.dumps(sorted(sys.modules)))
"""
    env = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    loaded = set(json.loads(output_of(python(code, env=env))))
    names = {"pluggy", "importlib.metadata", "kubernetes", "asyncio", "packaging", "tempfile"}
    assert not names & loaded


def test_it_needs_no_image() -> None:
    assert not LocalBackend.needs_image
    assert LocalBackend.name == "local"


def test_its_settings_are_shown(tmp_path: Path) -> None:
    backend = LocalBackend(root=tmp_path, ttl=60, grace=1.5)
    assert repr(backend) == f"LocalBackend(root={str(tmp_path)!r}, ttl=60, grace=1.5)"


@pytest.mark.parametrize(
    ("setting", "value"), [("ttl", -1), ("grace", -0.1), ("grace", float("nan"))]
)
def test_a_setting_that_does_not_fit_is_refused(setting: str, value: float) -> None:
    with pytest.raises(errors.SettingsError, match=setting):
        LocalBackend(**{setting: value})  # type: ignore[arg-type]


def test_runs_are_kept_in_the_state_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert LocalBackend().runs().root == tmp_path / "fairing" / "runs"


@pytest.mark.parametrize("value", ["", "relative"])
def test_a_state_directory_that_is_not_absolute_is_ignored(
    value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", value)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert LocalBackend().runs().root == tmp_path / ".local" / "state" / "fairing" / "runs"


def test_a_root_may_begin_with_a_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert LocalBackend(root=Path("~/runs")).runs().root == tmp_path / "runs"


def test_a_relative_root_does_not_follow_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert LocalBackend(root=Path("runs")).runs().root == tmp_path / "runs"


def test_another_kind_than_a_job_is_unknown() -> None:
    with pytest.raises(errors.UnknownName, match="'tfjob'; did you mean 'job'"):
        LocalBackend().deployer("tfjob")


def test_the_deployer_takes_the_originals_options() -> None:
    parameters = inspect.signature(LocalBackend().deployer("job"), eval_str=True).parameters
    original = (
        "namespace runs output cleanup labels job_name stream_log annotations config_file context "
        "client_configuration persist_config"
    )
    assert set(original.split()) <= set(parameters)


def test_the_deployer_takes_what_the_job_of_a_cluster_takes() -> None:
    here = inspect.signature(LocalBackend().deployer("job")).parameters
    there = inspect.signature(JobDeployer).parameters
    keywords = {name for name, one in there.items() if one.kind is one.KEYWORD_ONLY}
    assert set(here) == keywords


def test_a_check_names_interpreter_and_directory_and_makes_nothing(tmp_path: Path) -> None:
    root = tmp_path / "a" / "b"
    checks = LocalBackend(root=root).check()
    assert [check.name for check in checks] == ["python", "runs"]
    assert all(check.ok for check in checks)
    assert str(root) in checks[1].detail
    assert not root.parent.exists()


def test_a_check_tells_of_a_root_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    check = LocalBackend(root=tmp_path / "file" / "runs").check()[1]
    assert not check.ok
    assert "FAIRING_LOCAL__ROOT" in check.detail


def test_it_works_from_a_folder_with_any_name(tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
from tests.core.local.harness import Local, text_of
local = Local(Path(sys.argv[1]))
run = local.submit("print('ran')")
run.wait(30)
print(text_of(run), end="")
run.delete()
"""
    name = os.fsdecode(b"a b \xff $(x) \xc3\xa4 %41?#")
    assert output_of(python(code, str(tmp_path / name))) == "ran\n"
