"""The directory of runs: found again, listed, expired; damaged records."""

from __future__ import annotations

import json
import logging
import os
import pickle
import time
from pathlib import Path

import pytest

from fairing_core import errors
from fairing_core.local import LocalBackend, locks, supervisor
from fairing_core.local.handle import LocalRun
from fairing_core.local.runs import LocalRuns
from fairing_core.types import BuildRequest, RunStatus
from tests.core.local.harness import Local, context_of, text_of, until


def test_a_run_is_found_by_its_uri_and_its_name(local: Local) -> None:
    run = local.execute("true")
    assert local.runs.get(run.uri) == run
    assert local.runs.get(run.name) == run


def test_a_handle_is_of_one_run_even_when_its_name_is_used_again(local: Local) -> None:
    old = local.execute("true", name="nightly")
    old.wait(30)
    old.delete()
    new = local.execute("sleep", "60", name="nightly")
    assert old != new
    with pytest.raises(errors.RunNotFound, match=f"another one has its name.*{new.uid}"):
        local.runs.get(old.uri)
    with pytest.raises(errors.RunNotFound):
        list(old.logs())
    with pytest.raises(errors.RunNotFound):
        old.cancel()
    old.delete()
    assert new.status is RunStatus.RUNNING
    assert local.runs.get("nightly") == new
    new.delete()


def test_an_unknown_name_brings_the_near_one(local: Local) -> None:
    local.execute("true", name="train-mnist")
    with pytest.raises(errors.RunNotFound, match="did you mean 'train-mnist'"):
        local.runs.get("train-mnits")


@pytest.mark.parametrize(
    "uri",
    [
        "fairing://other/default/job/here?uid=here",
        "fairing://local/default/job/here?uid=there",
        "fairing://local/default/tfjob/here?uid=here",
        "fairing://local/default/job/../here",
        "../here",
        "",
    ],
)
def test_a_uri_of_something_else_is_not_found(local: Local, uri: str) -> None:
    local.execute("true", name="here")
    with pytest.raises(errors.RunNotFound) as caught:
        local.runs.get(uri)
    assert caught.value.uri == uri


def test_no_root_is_no_runs(local: Local) -> None:
    assert list(local.runs.list()) == []
    with pytest.raises(errors.RunNotFound):
        local.runs.get("x")


def test_runs_are_listed_newest_first(local: Local) -> None:
    names = [local.execute("true", name=name).name for name in ("b", "a", "c")]
    assert [run.name for run in local.runs.list()] == names[::-1]


def test_a_handle_pickles(local: Local) -> None:
    run = local.execute("true")
    again = pickle.loads(pickle.dumps(run))
    assert again == run
    assert hash(again) == hash(run)
    assert again != run.uri
    assert again.wait(30) is RunStatus.SUCCEEDED


@pytest.mark.parametrize("record", ["run.json", "state.json"])
@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"3", b'{"schema": 1}', b'{"schema": "x"}'])
def test_a_damaged_record_is_named(local: Local, record: str, content: bytes) -> None:
    run = _ended(local)
    path = local.folder(run) / record
    path.write_bytes(content)
    with pytest.raises(errors.StateError) as caught:
        local.runs.get(run.name)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("record", ["run.json", "state.json"])
def test_a_record_that_is_missing_is_named(local: Local, record: str) -> None:
    run = _ended(local)
    (local.folder(run) / record).unlink()
    with pytest.raises(errors.StateError, match=record):
        local.runs.get(run.name)


def test_a_record_of_a_newer_version_asks_for_an_upgrade(local: Local) -> None:
    run = _ended(local)
    path = local.folder(run) / "run.json"
    path.write_text(json.dumps(json.loads(path.read_bytes()) | {"schema": 2}))
    with pytest.raises(errors.StateError, match="upgrade fairing-core"):
        local.runs.get(run.name)


def test_a_damaged_run_is_left_out_of_the_list_and_logged(
    local: Local, caplog: pytest.LogCaptureFixture
) -> None:
    good, bad = _ended(local), _ended(local)
    (local.folder(bad) / "state.json").write_bytes(b"")
    with caplog.at_level(logging.WARNING):
        assert list(local.runs.list()) == [good]
    assert bad.name in caplog.text


def test_a_damaged_run_can_be_deleted(local: Local) -> None:
    run = _ended(local)
    (local.folder(run) / "state.json").write_bytes(b"")
    run.delete()
    assert local.leftovers() == []


def test_a_damaged_run_that_goes_on_is_not_deleted(local: Local) -> None:
    run = local.execute("sleep", "60")
    state = local.folder(run) / "state.json"
    content = state.read_bytes()
    state.write_bytes(b"")
    with pytest.raises(errors.StateError):
        run.delete()
    state.write_bytes(content)
    assert run.status is RunStatus.RUNNING


def test_a_run_whose_submitter_was_killed_before_it_started_has_failed(local: Local) -> None:
    run = _ended(local)
    supervisor.reserve_state(str(local.folder(run)))
    supervisor.write_state(str(local.folder(run)), supervisor.blank_state(run.uid))
    assert run.status is RunStatus.FAILED
    assert "before it started" in str(run.outcome().reason)


def test_an_ended_run_expires_at_the_next_build(local: Local) -> None:
    old, new = _ended(local), _ended(local)
    _age(local.folder(old), 100)
    _sweep(local, ttl=50)
    assert [run.name for run in local.runs.list()] == [new.name]


def test_a_run_that_goes_on_does_not_expire(local: Local) -> None:
    run = local.execute("sleep", "60")
    _sweep(local, ttl=0)
    assert run.status is RunStatus.RUNNING


def test_a_lost_run_expires_by_its_log(local: Local) -> None:
    run = _ended(local)
    supervisor.reserve_state(str(local.folder(run)))
    supervisor.write_state(str(local.folder(run)), supervisor.blank_state(run.uid))
    _sweep(local, ttl=50)
    assert run.status is RunStatus.FAILED
    long_ago = time.time() - 100
    os.utime(local.folder(run) / "log", (long_ago, long_ago))
    _sweep(local, ttl=50)
    assert list(local.runs.list()) == []


def test_what_a_delete_could_not_remove_goes_at_the_next_build(local: Local) -> None:
    hidden = local.root / ".deleted-0"
    (hidden / "app").mkdir(parents=True)
    _sweep(local, ttl=50)
    assert not hidden.exists()


def test_strange_folders_are_left_alone(local: Local) -> None:
    (local.root / "mine").mkdir(parents=True)
    (local.root / "notes.txt").touch()
    _sweep(local, ttl=0)
    assert local.leftovers() == ["mine", "notes.txt"]


def test_a_subclass_names_its_runs(local: Local) -> None:
    class Scratch(LocalBackend):
        name = "scratch"

    backend = Scratch(root=local.root)
    request = BuildRequest(context_of())
    built = backend.builder(request).build(request)
    run = local.deploy(built, ("true",), name="x")
    uri = f"fairing://scratch/default/job/x?uid={run.uid}"
    again = backend.runs().get(uri)
    assert again.uri == uri
    assert text_of(again) == ""
    with pytest.raises(errors.RunNotFound):
        local.runs.get(uri)
    run.delete()


def _ended(local: Local) -> LocalRun:
    """A run that has ended, and its supervisor with it."""
    run = local.execute("true")
    run.wait(30)
    until(lambda: not locks.is_held(local.folder(run) / "lock"), "the supervisor's end")
    return run


def _age(folder: Path, seconds: float) -> None:
    path = folder / "state.json"
    state = json.loads(path.read_bytes())
    state["ended"] -= seconds
    path.write_text(json.dumps(state))


def _sweep(local: Local, ttl: float) -> None:
    LocalRuns(local.root, ttl=ttl).sweep()
