from __future__ import annotations

import base64
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from fairing_core import errors
from fairing_core.build.cluster import renewal
from fairing_core.build.cluster.job import Login, logins_secret
from fairing_core.build.cluster.renewal import Renewal
from fairing_core.cluster import owned
from fairing_core.cluster.client import Cluster
from tests.core.cluster.api import Api

JOB: dict[str, Any] = {"metadata": {"name": "b-1", "namespace": "test", "uid": "u-1"}}
SECRET = "/api/v1/namespaces/test/secrets/b-1-logins"


def login(password: str | None, host: str = "r.example") -> Login:
    return Login(host, host, None if password is None else {"auth": password}, None, False)


class Asked:
    """Gives one answer after the other, the last for ever; `done` once it is asked for."""

    def __init__(self, *answers: Sequence[Login] | Exception) -> None:
        self.answers = list(answers)
        self.done = threading.Event()

    def __call__(self) -> Sequence[Login]:
        answer = self.answers[0]
        if len(self.answers) > 1:
            self.answers.pop(0)
        else:
            self.done.set()
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    monkeypatch.setattr(renewal, "_EVERY", 0.01)
    api = Api(tmp_path)
    yield api
    api.close()


@pytest.fixture
def auths(api: Api) -> Callable[..., Any]:
    """What the Secret has after a build whose logins become those."""

    def after(known: Sequence[Login], asked: Asked, *faults: str) -> Any:
        cluster = Cluster(config_file=api.config)
        secret = logins_secret(known)
        if secret is not None:
            owned.create(cluster, JOB, [secret])
            api.objects[SECRET] = next(
                each for path, each in api.objects.items() if "secrets" in path
            )
        api.faults = [(403, {"message": text}) for text in faults]
        with Renewal(cluster, JOB, known, asked):
            assert asked.done.wait(5)
            while api.faults:
                time.sleep(0.01)
        if secret is None:
            return None
        data = api.objects[SECRET]["data"][".dockerconfigjson"]
        return json.loads(base64.b64decode(data))["auths"]

    return after


def test_a_new_login_is_written_where_the_pod_reads_it(auths: Callable[..., Any]) -> None:
    told = auths([login("old")], Asked([login("old")], [login("n3w")], [login("n3w")]))
    assert told == {"r.example": {"auth": "n3w"}}


def test_a_registry_that_nobody_has_a_login_for_keeps_its_own(auths: Callable[..., Any]) -> None:
    known = [login("a", "a.example"), login("b", "b.example")]
    told = auths(known, Asked([login(None, "a.example"), login("c", "b.example")], []))
    assert told == {"a.example": {"auth": "a"}, "b.example": {"auth": "c"}}


def test_a_failure_is_told_and_the_next_look_is_made(
    auths: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    told = auths([login("old")], Asked(errors.SettingsError("no helper"), [login("n3w")], []))
    assert told == {"r.example": {"auth": "n3w"}}
    assert "could not be renewed: no helper" in caplog.text


def test_who_may_not_patch_is_told_once(
    auths: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    asked = Asked([login("n3w")])
    with caplog.at_level(logging.WARNING):
        told = auths([login("old")], asked, "user cannot patch secrets")
    threads = [one for one in threading.enumerate() if one.name == "logins"]
    for each in threads:
        each.join(5)
    assert told == {"r.example": {"auth": "old"}}
    assert caplog.text.count("needs 'patch' on secrets") == 1
    assert "n3w" not in caplog.text


def test_a_build_without_logins_asks_nobody(auths: Callable[..., Any]) -> None:
    asked = Asked([login("n3w")])
    asked.done.set()
    assert auths([login(None)], asked) is None
    assert len(asked.answers) == 1
