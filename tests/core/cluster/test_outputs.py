"""What a pod sends is taken only as it was announced, and only to where it may go."""

from __future__ import annotations

import copy
import hashlib
import json
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from fairing_core import errors
from fairing_core.cluster.client import Cluster
from fairing_core.cluster.labels import KEEPER
from fairing_core.cluster.lines import END
from fairing_core.cluster.outputs import Outputs
from fairing_core.types import Artifact, unheard
from tests.core.cluster.api import pod_of

JOB = {"metadata": {"uid": "u-1"}}


class Pod:
    """A cluster of one pod, which keeps `files` and does as it is told to go wrong."""

    def __init__(self, files: dict[str | None, bytes]) -> None:
        self.files = list(files.items())
        self.index = [
            {"path": path, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            for path, content in files.items()
        ]
        self.asked: list[Sequence[str]] = []
        self.cuts: list[int] = []
        self.faults: list[Exception] = []
        """What the next commands end with."""
        self.log_fault: Exception | None = None
        self.is_released = False
        self.object: Any = pod_of(JOB, "train-abcde", {"running": {}})
        self.object["metadata"]["annotations"] = {KEEPER: '["keeper"]'}

    def get(self, path: str) -> Any:
        return self.object

    def stream(self, path: str, stop: object, **query: object) -> Iterator[bytes]:
        if self.log_fault:
            raise self.log_fault
        yield b"2026-11-24T04:00:00.000000000Z " + END + b" with exit code 0]\n"

    def execute(self, path: str, command: Sequence[str], *, container: str) -> Iterator[bytes]:
        assert command[0] == "keeper"
        word, *rest = command[1:]
        self.asked.append(command[1:])
        if self.faults:
            raise self.faults.pop(0)
        if word == "index":
            yield json.dumps(self.index).encode()
        elif word == "release":
            self.is_released = True
        else:
            content = self.files[int(rest[0])][1][int(rest[1]) :]
            if self.cuts:
                yield content[: self.cuts.pop(0)]
                raise ConnectionError("cut")
            yield content


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FAIRING_ARTIFACTS", str(tmp_path / "artifacts"))
    return tmp_path / "artifacts" / "u-1"


def taken(pod: Pod) -> list[Artifact]:
    """What is home, once it was brought there."""
    outputs = Outputs(cast(Cluster, pod), "u-1", uri="fairing://x", many=False)
    outputs.bring_home([copy.deepcopy(pod.object)], unheard)
    return outputs.here()


def test_a_file_is_taken_once_and_the_pod_let_go(place: Path) -> None:
    pod = Pod({"a/b.txt": b"hello"})
    (one,) = taken(pod)
    assert (one.path, one.size, one.content.read_bytes()) == ("a/b.txt", 5, b"hello")
    assert one.digest == f"sha256:{hashlib.sha256(b'hello').hexdigest()}"
    assert pod.is_released
    again = Pod({"a/b.txt": b"hello"})
    assert taken(again) == [one]
    assert again.asked == [["release"]]


def test_a_file_that_breaks_off_goes_on_where_it_was(place: Path) -> None:
    pod = Pod({"a": b"0123456789"})
    pod.cuts = [3, 4]
    assert taken(pod)[0].content.read_bytes() == b"0123456789"
    assert pod.asked[1:4] == [["send", "0", "0"], ["send", "0", "3"], ["send", "0", "7"]]


def test_who_never_gets_a_byte_gives_up_and_lets_the_pod_up(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pod = Pod({"a": b"0123456789"})
    monkeypatch.setattr("fairing_core.cluster.sources._PAUSES", (0.0, 0.0))
    monkeypatch.setattr("fairing_core.cluster.outputs._ENDING", 0.1)
    pod.cuts = [0] * 99
    with pytest.raises(errors.ClusterUnreachable, match="again and again"):
        taken(pod)
    assert not pod.is_released
    pod.cuts = []
    assert taken(pod)[0].size == 10


def test_a_send_that_ends_short_goes_on_where_it_was(place: Path) -> None:
    # Where the way between the API server and the node is cut, a command may seem to end well.
    pod = Pod({"a": b"0123456789"})
    whole, pod.files = pod.files, [("a", b"0123")]
    execute = pod.execute

    def mended(path: str, command: Sequence[str], *, container: str) -> Iterator[bytes]:
        yield from execute(path, command, container=container)
        if command[1] == "send":
            pod.files = whole

    pod.execute = mended  # type: ignore[method-assign]
    assert taken(pod)[0].content.read_bytes() == b"0123456789"
    assert pod.asked[1:3] == [["send", "0", "0"], ["send", "0", "4"]]


@pytest.mark.parametrize("status", [429, 500, 503])
def test_an_answer_that_may_pass_is_asked_for_again(place: Path, status: int) -> None:
    pod = Pod({"a": b"x"})
    pod.faults = [errors.ClusterError("busy", status=status, reason="InternalError")] * 2
    assert taken(pod)[0].size == 1


def test_a_log_that_can_not_be_had_ends_no_waiting(place: Path) -> None:
    pod = Pod({"a": b"x"})
    pod.log_fault = errors.ClusterError("dial tcp: connection refused", status=500)
    assert taken(pod) == []
    pod.log_fault = None
    assert taken(pod)[0].size == 1


def test_a_pod_that_ends_before_its_outputs_are_home_is_warned_of(
    place: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # Somebody else has them, or it was evicted: the run's end is what it is.
    pod = Pod({"a": b"x"})
    pod.faults = [errors.ClusterError("exit code 137", status=500, reason="NonZeroExitCode")]
    threading.Timer(0.3, pod.object["status"]["containerStatuses"].clear).start()
    assert taken(pod) == []
    assert "train-abcde ended before its outputs were home" in caplog.text


def test_a_command_that_fails_in_a_pod_that_goes_on_is_an_error(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fairing_core.cluster.outputs._ENDING", 0.1)
    pod = Pod({"a": b"x"})
    pod.faults = [errors.ClusterError("no such file", status=500, reason="NonZeroExitCode")]
    with pytest.raises(errors.ClusterError, match="no such file"):
        taken(pod)


def test_a_file_with_another_digest_is_not_taken(place: Path) -> None:
    pod = Pod({"a": b"0123456789"})
    pod.files = [("a", b"01234x6789")]
    with pytest.raises(errors.ResultUnavailable, match="its SHA-256 differs"):
        taken(pod)
    assert not pod.is_released
    assert not list(place.rglob("files/a*"))
    pod.files = [("a", b"0123456789")]
    assert taken(pod)[0].size == 10


@pytest.mark.parametrize("path", ["/etc/x", "../x", "a/../../x", "..", ".", "a//b", "a/./b", "\0"])
def test_a_pod_names_no_place_outside(place: Path, path: str) -> None:
    with pytest.raises(errors.ResultUnavailable, match="is no path here"):
        taken(Pod({path: b"x"}))
    assert not list(place.rglob("x"))


def test_a_file_that_has_become_shorter_is_not_taken(place: Path) -> None:
    pod = Pod({"a": b"0123456789"})
    pod.files = [("a", b"0123")]
    with pytest.raises(errors.ResultUnavailable, match="its SHA-256 differs"):
        taken(pod)


def test_files_that_are_called_like_parts_of_others_are_their_own(place: Path) -> None:
    pod = Pod({"a.part": b"one", "a": b"two", "0.part": b"three"})
    found = {one.path: one.content.read_bytes() for one in taken(pod)}
    assert found == {"a.part": b"one", "a": b"two", "0.part": b"three"}


def test_an_empty_file_is_a_file(place: Path) -> None:
    assert taken(Pod({"a": b""}))[0].size == 0


def test_a_file_that_the_pod_could_not_read_is_left_out(place: Path) -> None:
    pod = Pod({"a": b"x", "b": b"y"})
    pod.index[0]["error"] = "Permission denied"
    assert [one.path for one in taken(pod)] == ["b"]
    outputs = Outputs(cast(Cluster, pod), "u-1", uri="fairing://x", many=False)
    assert outputs.left_out() == {"a": "Permission denied"}


def test_a_large_result_is_known_by_its_digest(place: Path) -> None:
    pod = Pod({None: b'{"returned": 1}'})
    assert taken(pod) == []
    outputs = Outputs(cast(Cluster, pod), "u-1", uri="fairing://x", many=False)
    assert outputs.result(pod.index[0]) == b'{"returned": 1}'
    assert outputs.result({"sha256": "0"}) is None
    assert outputs.were_fetched()
    outputs.forget()
    assert not place.exists()


def test_a_place_that_can_not_be_written_to_is_said(place: Path) -> None:
    place.parent.parent.mkdir(exist_ok=True)
    place.parent.write_text("a file")
    with pytest.raises(errors.StateError, match="FAIRING_ARTIFACTS"):
        taken(Pod({"a": b"x"}))
