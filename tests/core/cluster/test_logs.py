"""Each line once, in order: cuts, rotations, restarts and replicas, by a fake API server."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from fairing_core import errors
from fairing_core.cluster import podlog
from fairing_core.cluster.client import Cluster
from fairing_core.cluster.handle import JobRun
from fairing_core.cluster.lines import Line, Place, gap, split
from tests.core.cluster.api import NOW, Api, condition, stamp

RUNNING: dict[str, Any] = {"running": {"startedAt": NOW}}
ENDED: dict[str, Any] = {"terminated": {"exitCode": 0, "startedAt": NOW, "finishedAt": NOW}}


@pytest.fixture
def job(api: Api) -> dict[str, Any]:
    return api.job("train")


@pytest.fixture
def run(there: Cluster, job: dict[str, Any]) -> JobRun:
    return JobRun(there, job)


def end(api: Api, job: dict[str, Any], *pods: dict[str, Any]) -> None:
    for pod in pods:
        pod["status"]["containerStatuses"][0]["state"] = ENDED
        pod["status"]["phase"] = "Succeeded"
    job["status"] = {"conditions": [condition("Complete")]}


def lines(*texts: str, start: float = 0.0, step: float = 0.1) -> list[tuple[str, bytes]]:
    return [(stamp(start + step * n), text.encode()) for n, text in enumerate(texts)]


def numbers(count: int, step: float = 0.1) -> list[tuple[str, bytes]]:
    return lines(*(f"{n}\n" for n in range(count)), step=step)


def text_of(log: list[tuple[str, bytes]]) -> str:
    return b"".join(text for _, text in log).decode()


# --- cuts -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [0.0, 0.001, 0.1, 0.7])
@pytest.mark.parametrize("cut", [1, 20, 33, 34, 35, 200, 511, 512, 513, 1000])
def test_a_cut_anywhere_loses_and_doubles_nothing(
    api: Api, job: dict[str, Any], run: JobRun, cut: int, step: float
) -> None:
    pod = api.pod(job, "train-abcde", RUNNING)
    api.logs["train-abcde"] = numbers(40, step)
    api.cuts = [cut, cut + 77, 3]
    threading.Timer(0.3, end, (api, job, pod)).start()
    assert "".join(run.logs(follow=True)) == text_of(api.logs["train-abcde"])


@pytest.mark.parametrize("cut", [1, 33, 34, 200, 1000])
def test_a_log_that_is_not_followed_is_whole_too(
    api: Api, job: dict[str, Any], run: JobRun, cut: int
) -> None:
    pod = api.pod(job, "train-abcde", ENDED, restarts=1)
    api.logs["train-abcde/previous"] = lines("before\n")
    api.logs["train-abcde"] = numbers(40)
    api.cuts = [5, 40, cut, 3]
    end(api, job, pod)
    assert "".join(run.logs()) == "before\n" + text_of(api.logs["train-abcde"])


def test_a_cut_within_a_code_point_splits_none(api: Api, job: dict[str, Any], run: JobRun) -> None:
    pod = api.pod(job, "train-abcde", RUNNING)
    api.logs["train-abcde"] = lines("grüße 🌍\n", "🌍" * 50)
    api.cuts = [34 + 9, 34 + 14 + 31 + 6]
    threading.Timer(0.2, end, (api, job, pod)).start()
    assert "".join(run.logs(follow=True)) == "grüße 🌍\n" + "🌍" * 50


def test_bytes_that_are_no_text_come_as_replacement_characters(
    api: Api, job: dict[str, Any], run: JobRun
) -> None:
    pod = api.pod(job, "train-abcde", ENDED)
    api.logs["train-abcde"] = [(stamp(0), b"\xff\r\n")]
    end(api, job, pod)
    assert list(run.logs()) == ["\ufffd\r\n"]


def test_lines_of_two_streams_out_of_order_come_once(
    api: Api, job: dict[str, Any], run: JobRun
) -> None:
    pod = api.pod(job, "train-abcde", RUNNING)
    moments = [0.9, 1.0, 0.95, 1.01, 0.99, 2.0, 1.9]
    api.logs["train-abcde"] = [(stamp(at), f"{at}\n".encode()) for at in moments]
    api.cuts = [34 * 3 + 3, 34 * 2 + 5]
    threading.Timer(0.3, end, (api, job, pod)).start()
    assert "".join(run.logs(follow=True)) == "".join(f"{at}\n" for at in moments)


def test_a_log_that_was_rotated_meanwhile_has_one_gap_line(
    api: Api, job: dict[str, Any], run: JobRun
) -> None:
    pod = api.pod(job, "train-abcde", RUNNING)
    api.logs["train-abcde"] = numbers(3)
    api.cuts = [34 * 3]
    followed = run.logs(follow=True)
    assert [next(followed) for _ in range(3)] == ["0\n", "1\n", "2\n"]
    api.logs["train-abcde"] = lines("7\n", "8\n", start=9)
    end(api, job, pod)
    gap, *rest = followed
    assert gap.startswith("[fairing: lines may be missing here: the log was rotated")
    assert rest == ["7\n", "8\n"]


START = b"\x1e[fairing: the program starts]\n"
END = b"\x1e[fairing: the program has ended with exit code 0]\n"


def kept(api: Api, *lines: bytes) -> JobRun:
    """A run under its keeper, whose log has `lines`, a second apart."""
    job = api.job("x")
    pod = api.pod(job, "x-1", {"running": {"startedAt": NOW}})
    pod["metadata"]["annotations"] = {"fairing-keeper": "[]"}
    pod["spec"]["restartPolicy"] = "Never"
    api.logs["x-1"] = [
        (f"2026-11-24T04:00:{second:02}.000000000Z", text) for second, text in enumerate(lines)
    ]
    return JobRun(Cluster(config_file=api.config), job)


def test_what_the_keeper_says_is_not_the_programs(api: Api) -> None:
    run = kept(api, START, START, b"one\n", b"half" + END, b"late\n", END)
    assert "".join(run.logs()) == "one\nhalflate\n"
    assert "".join(run.logs(follow=True)) == "one\nhalflate\n"


def test_what_the_keeper_says_between_two_parts_of_a_long_line_is_not_the_programs(
    api: Api,
) -> None:
    run = kept(api, START, b"long" + START, b"er\n", b"the la" + END, b"st\n", END)
    assert "".join(run.logs()) == "longer\nthe last\n"


def test_a_log_without_its_beginning_has_a_gap_line_first(api: Api) -> None:
    run = kept(api, b"two\n", b"three\n", END, END)
    gap, *rest = run.logs()
    assert "rotated before anybody had read it" in gap
    assert rest == ["two\n", "three\n"]
    assert list(run.logs(tail=2)) == ["two\n", "three\n"]


def test_a_program_that_says_nothing_has_lost_nothing(api: Api) -> None:
    assert list(kept(api, START).logs()) == []
    assert list(kept(api, START, START, END, END).logs(follow=True)) == []


def test_a_rotation_that_kept_the_last_line_is_no_gap() -> None:
    place = Place()
    for moment, text in numbers(5):
        place.note(Line(moment, text))
    again = [Line(moment, text) for moment, text in numbers(7)[3:]]
    assert list(place.fresh(iter(again))) == again[2:]


def test_the_kubelets_own_words_about_a_log_that_it_deleted_are_a_gap() -> None:
    words = b"unable to retrieve container logs for containerd://abc"
    assert list(split(iter([words]))) == [gap(words.decode())]


def test_a_log_out_of_reach_is_asked_for_again(api: Api, job: dict[str, Any], run: JobRun) -> None:
    pod = api.pod(job, "train-abcde", RUNNING)
    api.logs["train-abcde"] = numbers(2)
    api.cuts = [34]
    followed = run.logs(follow=True)
    assert next(followed) == "0\n"
    del api.logs["train-abcde"]
    time.sleep(0.2)
    api.logs["train-abcde"] = numbers(2)
    end(api, job, pod)
    assert list(followed) == ["1\n"]


@pytest.mark.parametrize("before", [0, 1, 3])
@pytest.mark.parametrize("tail", [0, 1, 2])
def test_what_comes_after_the_tail_is_not_lost_between_two_connections(
    api: Api, job: dict[str, Any], run: JobRun, tail: int, before: int
) -> None:
    pod = api.pod(job, "train-abcde", RUNNING)
    api.logs["train-abcde"] = numbers(before)
    new = lines("a\n", "b\n", "c\n", start=5)

    def come() -> None:
        api.logs["train-abcde"] += new
        end(api, job, pod)

    assert run.status == "running"  # it is connected
    threading.Timer(0.4, come).start()
    expected = [f"{n}\n" for n in range(before)][max(0, before - tail) :]
    assert list(run.logs(follow=True, tail=tail)) == [*expected, "a\n", "b\n", "c\n"]


def test_a_right_that_is_missing_ends_it(api: Api, job: dict[str, Any], run: JobRun) -> None:
    api.pod(job, "train-abcde", RUNNING)
    text = 'pods "train-abcde" is forbidden: User "me" cannot get resource "pods/log"'
    api.refused_logs = text
    with pytest.raises(errors.ClusterDenied, match="you may not get pods/log"):
        list(run.logs(follow=True))


# --- pods that come and go ------------------------------------------------------------------------


def test_following_waits_for_the_pod_and_says_why_once(
    api: Api, job: dict[str, Any], run: JobRun, caplog: pytest.LogCaptureFixture
) -> None:
    stuck = {"waiting": {"reason": "ErrImagePull", "message": "no such image"}}
    pod = api.pod(job, "train-abcde", stuck)
    api.logs["train-abcde"] = numbers(1)

    def start() -> None:
        pod["status"]["containerStatuses"][0]["state"] = RUNNING
        end(api, job, pod)

    threading.Timer(0.3, start).start()
    assert list(run.logs(follow=True)) == ["0\n"]
    assert [one.getMessage() for one in caplog.records] == [
        "train waits: ErrImagePull: no such image"
    ]


def test_an_earlier_start_that_nothing_is_kept_of_is_a_gap(
    api: Api, job: dict[str, Any], run: JobRun
) -> None:
    pod = api.pod(job, "train-abcde", ENDED, restarts=3)
    api.logs["train-abcde/previous"] = lines("third\n")
    api.logs["train-abcde"] = lines("fourth\n", start=5)
    end(api, job, pod)
    for follow in (False, True):
        gap, *rest = run.logs(follow)
        assert "2 earlier starts" in gap
        assert rest == ["third\n", "fourth\n"]
    assert list(run.logs(tail=1)) == ["fourth\n"]


def test_a_restart_while_following_goes_on_with_the_next_start(
    api: Api, job: dict[str, Any], run: JobRun
) -> None:
    pod = api.pod(job, "train-abcde", RUNNING)
    api.logs["train-abcde"] = lines("a\n")
    followed = run.logs(follow=True)
    assert next(followed) == "a\n"
    api.logs["train-abcde/previous"] = lines("a\n", "b\n")
    api.logs["train-abcde"] = lines("c\n", start=5)
    pod["status"]["containerStatuses"][0]["restartCount"] = 1
    end(api, job, pod)
    assert list(followed) == ["b\n", "c\n"]


def test_two_restarts_unseen_are_a_gap(api: Api, job: dict[str, Any], run: JobRun) -> None:
    pod = api.pod(job, "train-abcde", RUNNING)
    api.logs["train-abcde"] = lines("a\n")
    followed = run.logs(follow=True)
    assert next(followed) == "a\n"
    api.logs["train-abcde/previous"] = lines("y\n", start=5)
    api.logs["train-abcde"] = lines("z\n", start=6)
    pod["status"]["containerStatuses"][0]["restartCount"] = 2
    end(api, job, pod)
    gap, *rest = followed
    assert "started anew, twice" in gap
    assert rest == ["y\n", "z\n"]


def test_a_pod_that_is_deleted_leaves_a_gap(api: Api, job: dict[str, Any], run: JobRun) -> None:
    api.pod(job, "train-abcde", RUNNING)
    api.logs["train-abcde"] = lines("a\n")
    api.cuts = [32]
    followed = run.logs(follow=True)
    assert next(followed) == "a\n"
    del api.objects["/api/v1/namespaces/test/pods/train-abcde"]
    del api.logs["train-abcde"]
    end(api, job)
    (gap,) = followed
    assert "the pod train-abcde was deleted" in gap


def test_replicas_are_merged_by_time_and_each_line_says_whose_it_is(
    api: Api, there: Cluster
) -> None:
    job = api.job("train", completions=2)
    pods = [api.pod(job, f"train-{name}", ENDED) for name in ("aaaaa", "bbbbb")]
    api.logs["train-aaaaa"] = lines("1\n", "3", step=2)
    api.logs["train-bbbbb"] = lines("2\n", "4\n", start=1, step=2)
    end(api, job, *pods)
    run = JobRun(there, job)
    whole = ["[aaaaa] 1\n", "[bbbbb] 2\n", "[aaaaa] 3\n", "[bbbbb] 4\n"]
    assert list(run.logs()) == whole
    assert list(run.logs(tail=3)) == whole[1:]
    assert sorted(run.logs(follow=True)) == sorted(whole)


def test_nobody_goes_on_reading_for_one_who_has_left(
    api: Api, job: dict[str, Any], run: JobRun
) -> None:
    pod = api.pod(job, "train-abcde", RUNNING)
    api.logs["train-abcde"] = numbers(3)
    followed: Iterator[str] = run.logs(follow=True)
    next(followed)
    followed.close()  # type: ignore[attr-defined]
    end(api, job, pod)
    deadline = time.monotonic() + 10
    while any(thread.name == "log of train-abcde" for thread in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_tail_below_zero_is_refused(run: JobRun) -> None:
    with pytest.raises(ValueError, match="tail must be 0 or more"):
        run.logs(tail=-1)


def test_what_will_not_pass_is_raised() -> None:
    assert not podlog._will_pass(errors.ClusterUnreachable("x"), 0)
    assert not podlog._will_pass(errors.ClusterError("x", status=500), 61)
    assert podlog._will_pass(errors.ClusterError("x", status=500), 1)
    assert podlog._will_pass(ConnectionError("x"), 1000)
