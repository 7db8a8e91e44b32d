"""Credentials from real files and real helper programs."""

from __future__ import annotations

import base64
import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairing_core.errors import SettingsError
from fairing_core.images.keychain import Keychain
from fairing_core.images.reference import ImageRef
from fairing_core.images.tokens import IDENTITY_TOKEN, REGISTRY_TOKEN
from fairing_core.types import Credentials

APP = ImageRef.parse("r.example.com/team/app")
ADA = Credentials("ada", "s3cret")
BOB = Credentials("bob", "hunter2")


def basic(credentials: Credentials) -> dict[str, str]:
    pair = f"{credentials.username}:{credentials.password}"
    return {"auth": base64.b64encode(pair.encode()).decode()}


class Home:
    """A user's home, with programs of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.programs = folder / "bin"
        self.programs.mkdir()
        self.environ = {
            "HOME": str(folder),
            "PATH": f"{self.programs}{os.pathsep}{os.defpath}",
            "XDG_RUNTIME_DIR": str(folder / "run"),
        }

    def write(self, name: str, content: Any) -> Path:
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        text = content if isinstance(content, str) else json.dumps(content)
        file.write_text(text, encoding="utf-8")
        return file

    def docker(self, **content: Any) -> Path:
        return self.write(".docker/config.json", content)

    def podman(self, **content: Any) -> Path:
        return self.write("run/containers/auth.json", content)

    def helper(self, name: str, body: str) -> None:
        """A helper that writes down what it was asked, and then does as `body` says."""
        program = self.programs / f"docker-credential-{name}"
        heard = f'echo "$1 $(cat)" >> {self.folder}/asked-{name}'
        program.write_text(f"#!/bin/sh\n{heard}\n{body}\n", encoding="utf-8")
        program.chmod(0o755)

    def answering(self, name: str, credentials: Credentials) -> None:
        answer = {"Username": credentials.username, "Secret": credentials.password}
        self.helper(name, f"echo '{json.dumps({'ServerURL': 'x', **answer})}'")

    def without(self, name: str) -> None:
        self.helper(name, "echo credentials not found in native keychain; exit 1")

    def asked(self, name: str) -> list[str]:
        file = self.folder / f"asked-{name}"
        return file.read_text(encoding="utf-8").splitlines() if file.exists() else []

    def keychain(self, **options: Any) -> Keychain:
        return Keychain(environ=self.environ, **options)

    def find(self, ref: ImageRef = APP) -> Credentials | None:
        return self.keychain().find(ref)

    def fault(self, **options: Any) -> str:
        """What is said when the credentials can't be told."""
        with pytest.raises(SettingsError) as caught:
            self.keychain(**options).find(APP)
        shown = "".join(_chain(caught.value))
        assert "s3cret" not in shown
        return str(caught.value)


def _chain(error: BaseException | None) -> list[str]:
    """All that an error and those behind it tell."""
    return [] if error is None else [repr(error), str(vars(error)), *_chain(error.__cause__)]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


# --- files ----------------------------------------------------------------------------------------


def test_nobody_who_never_logged_in_has_credentials(home: Home) -> None:
    assert home.find() is None


def test_dockers_file_is_read(home: Home) -> None:
    home.docker(auths={"r.example.com": basic(ADA)})
    assert home.find() == ADA


def test_a_folder_named_by_docker_config_stands_for_dockers_own(home: Home) -> None:
    home.docker(auths={"r.example.com": basic(ADA)})
    home.write("other/config.json", {"auths": {"r.example.com": basic(BOB)}})
    home.environ["DOCKER_CONFIG"] = str(home.folder / "other")
    assert home.find() == BOB


def test_dockers_file_comes_before_podmans(home: Home) -> None:
    home.docker(auths={"r.example.com": basic(ADA)})
    home.podman(auths={"r.example.com": basic(BOB)})
    assert home.find() == ADA


def test_a_file_without_an_entry_leaves_it_to_the_next(home: Home) -> None:
    home.docker(auths={"other.example.com": basic(ADA)})
    home.podman(auths={"r.example.com": basic(BOB)})
    assert home.find() == BOB


@pytest.mark.parametrize("variable", [None, "XDG_CONFIG_HOME"])
def test_podmans_lasting_file_is_read_last(home: Home, variable: str | None) -> None:
    folder = "elsewhere" if variable else ".config"
    if variable:
        home.environ[variable] = str(home.folder / folder)
    home.write(f"{folder}/containers/auth.json", {"auths": {"r.example.com": basic(ADA)}})
    assert home.find() == ADA


def test_a_named_file_is_the_only_one(home: Home) -> None:
    home.docker(auths={"r.example.com": basic(ADA)})
    home.environ["REGISTRY_AUTH_FILE"] = str(home.write("mine.json", {"auths": {}}))
    assert home.find() is None


def test_a_named_file_that_is_missing_is_a_fault(home: Home) -> None:
    home.environ["REGISTRY_AUTH_FILE"] = str(home.folder / "mine.json")
    assert "REGISTRY_AUTH_FILE" in home.fault()


def test_an_empty_file_holds_nothing(home: Home) -> None:
    home.write(".docker/config.json", "\n")
    assert home.find() is None


def test_the_processs_own_environment_is_meant_unless_another_is_given(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = home.write("mine.json", {"auths": {"r.example.com": basic(ADA)}})
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(file))
    assert Keychain().find(APP) == ADA


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{'s3cret'", "is no JSON, line 1"),
        ('"s3cret"', "its content is no JSON object"),
        ('{"auths": ["s3cret"]}', "auths is no JSON object"),
        ('{"auths": {"r.example.com": "s3cret"}}', "auths['r.example.com'] is no JSON object"),
        ('{"auths": {"r.example.com": {"auth": 1}}}', "auth of auths['r.example.com'] is no text"),
        ('{"auths": {"r.example.com": {"auth": "s3cret!"}}}', "is not user:password in base64"),
        ('{"auths": {"r.example.com": {"auth": "czNjcmV0"}}}', "is not user:password in base64"),
        ('{"auths": {"r.example.com": {"auth": "/////w=="}}}', "auth of auths['r.example.com']"),
        ('{"auths": {"r.example.com": {"identitytoken": 1}}}', "identitytoken of auths"),
        ('{"credHelpers": {"r.example.com": {}}}', "credHelpers['r.example.com'] is no text"),
        ('{"credHelpers": "s3cret"}', "credHelpers is no JSON object"),
        ('{"credsStore": ["s3cret"]}', "credsStore is no text"),
        ("[" * 100_000, "is no JSON"),
    ],
    ids=range(13),
)
def test_a_damaged_file_is_named_and_not_quoted(home: Home, content: str, said: str) -> None:
    file = home.write(".docker/config.json", content)
    message = home.fault()
    assert str(file) in message
    assert said in message


def test_a_file_that_is_no_text_is_a_fault(home: Home) -> None:
    home.docker().write_bytes(b"\xff\xfes3cret\xff")
    assert "is no JSON" in home.fault()


def test_a_file_that_cant_be_read_is_a_fault(home: Home) -> None:
    (home.folder / ".docker/config.json").mkdir(parents=True)
    assert "can't be read (Is a directory)" in home.fault()


def test_a_damaged_file_keeps_no_other_from_answering(
    home: Home, caplog: pytest.LogCaptureFixture
) -> None:
    file = home.write(".docker/config.json", "{'s3cret'")
    home.podman(auths={"r.example.com": basic(BOB)})
    with caplog.at_level(logging.WARNING):
        assert home.find() == BOB
    assert str(file) in caplog.text
    assert "s3cret" not in caplog.text


def test_a_damaged_entry_harms_its_own_host_only(home: Home) -> None:
    home.docker(auths={"other.example.com": {"auth": "!"}, "r.example.com": basic(ADA)})
    assert home.find() == ADA


# --- entries --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "key",
    [
        "r.example.com",
        "R.Example.com",
        "https://r.example.com",
        "http://r.example.com",
        "https://r.example.com/",
        "https://r.example.com/v1/",
        "https://r.example.com/v2/",
        "r.example.com/v1/",
        "r.example.com/team",
        "r.example.com/team/app",
    ],
)
def test_a_key_may_be_a_host_or_a_url_or_a_namespace(home: Home, key: str) -> None:
    home.docker(auths={key: basic(ADA)})
    assert home.find() == ADA


@pytest.mark.parametrize(
    "key",
    ["r.example.com:443", "example.com", "r.example.com/te", "r.example.com/team/app/x", "", "/"],
)
def test_a_key_of_another_place_does_not_fit(home: Home, key: str) -> None:
    home.docker(auths={key: basic(ADA)})
    assert home.find() is None


@pytest.mark.parametrize("longest_first", [True, False])
def test_the_longest_namespace_wins(home: Home, longest_first: bool) -> None:
    auths = {"r.example.com/team": basic(ADA), "r.example.com": basic(BOB)}
    order = sorted(auths, reverse=longest_first)
    home.docker(auths={key: auths[key] for key in order})
    assert home.find() == ADA
    assert home.find(ImageRef.parse("r.example.com/others/app")) == BOB


def test_a_host_beats_a_url_of_that_host(home: Home) -> None:
    home.docker(auths={"https://r.example.com": basic(BOB), "r.example.com": basic(ADA)})
    assert home.find() == ADA


@pytest.mark.parametrize(
    "key",
    [
        "https://index.docker.io/v1/",
        "docker.io",
        "index.docker.io",
        "https://registry-1.docker.io",
        "docker.io/library",
    ],
)
def test_docker_hub_has_several_names(home: Home, key: str) -> None:
    home.docker(auths={key: basic(ADA)})
    assert home.find(ImageRef.parse("python:3.12")) == ADA
    assert home.find() is None


def test_ports_and_ipv6_hosts_are_told_apart(home: Home) -> None:
    home.docker(auths={"[::1]:5000": basic(ADA), "[::1]:5001": basic(BOB)})
    assert home.find(ImageRef.parse("[::1]:5001/x")) == BOB


def test_a_user_and_password_may_stand_plainly(home: Home) -> None:
    home.docker(auths={"r.example.com": {"username": "ada", "password": "s3cret"}})
    assert home.find() == ADA


def test_an_identity_token_is_marked_and_wins_over_the_user_beside_it(home: Home) -> None:
    home.docker(auths={"r.example.com": {**basic(BOB), "identitytoken": "s3cret"}})
    assert home.find() == Credentials(IDENTITY_TOKEN, "s3cret")


def test_a_registry_token_is_marked(home: Home) -> None:
    home.docker(auths={"r.example.com": {"registrytoken": "s3cret"}})
    assert home.find() == Credentials(REGISTRY_TOKEN, "s3cret")


def test_an_auth_without_padding_or_on_two_lines_is_read(home: Home) -> None:
    auth = basic(ADA)["auth"].rstrip("=")
    home.docker(auths={"r.example.com": {"auth": f"{auth[:6]}\r\n{auth[6:]}"}})
    assert home.find() == ADA


printable = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)


@given(user=printable.filter(lambda text: ":" not in text), password=printable)
def test_any_user_and_password_are_read_as_they_were_written(
    tmp_path_factory: pytest.TempPathFactory, user: str, password: str
) -> None:
    file = tmp_path_factory.mktemp("auth") / "auth.json"
    file.write_text(json.dumps({"auths": {"r.example.com": basic(Credentials(user, password))}}))
    keychain = Keychain(environ={"REGISTRY_AUTH_FILE": str(file)})
    assert keychain.find(APP) == Credentials(user, password)


def test_an_empty_entry_is_none(home: Home) -> None:
    home.docker(auths={"r.example.com/team": {}, "r.example.com": basic(ADA)})
    assert home.find() == ADA
    home.docker(auths={"r.example.com": {}})
    assert home.find() is None


# --- helpers --------------------------------------------------------------------------------------


def test_the_helper_of_a_host_is_asked_for_that_host_first(home: Home) -> None:
    home.answering("mine", ADA)
    home.docker(credHelpers={"r.example.com": "mine"}, auths={"r.example.com": basic(BOB)})
    assert home.find() == ADA
    assert home.asked("mine") == ["get r.example.com"]


def test_a_helper_of_another_host_is_not_asked(home: Home) -> None:
    home.answering("mine", ADA)
    home.docker(credHelpers={"other.example.com": "mine"})
    assert home.find() is None
    assert home.asked("mine") == []


def test_the_store_is_asked_where_the_entry_is_empty(home: Home) -> None:
    home.answering("store", ADA)
    home.docker(credsStore="store", auths={"https://r.example.com": {}})
    assert home.find() == ADA
    assert home.asked("store") == ["get https://r.example.com"]


def test_the_store_is_asked_where_there_is_no_entry(home: Home) -> None:
    home.answering("store", ADA)
    home.docker(credsStore="store")
    assert home.find() == ADA
    assert home.asked("store") == ["get r.example.com"]


def test_the_store_is_not_asked_where_there_is_an_entry(home: Home) -> None:
    home.answering("store", BOB)
    home.docker(credsStore="store", auths={"r.example.com": basic(ADA)})
    assert home.find() == ADA
    assert home.asked("store") == []


def test_an_empty_helper_excepts_its_host_from_the_store(home: Home) -> None:
    home.answering("store", ADA)
    home.docker(credsStore="store", credHelpers={"r.example.com": ""})
    assert home.find() is None


def test_docker_hub_is_asked_for_as_docker_stores_it(home: Home) -> None:
    home.answering("store", ADA)
    home.docker(credsStore="store")
    assert home.find(ImageRef.parse("python")) == ADA
    assert home.asked("store") == ["get https://index.docker.io/v1/"]


def test_a_helpers_token_is_an_identity_token(home: Home) -> None:
    home.answering("mine", Credentials("<token>", "s3cret"))
    home.docker(credHelpers={"r.example.com": "mine"})
    assert home.find() == Credentials(IDENTITY_TOKEN, "s3cret")


def test_a_helper_without_credentials_leaves_it_to_the_next_file(home: Home) -> None:
    home.without("mine")
    home.docker(credHelpers={"r.example.com": "mine"}, auths={"r.example.com": basic(ADA)})
    home.podman(auths={"r.example.com": basic(BOB)})
    assert home.find() == BOB


def test_a_helper_that_answers_nobody_has_none(home: Home) -> None:
    home.answering("mine", Credentials("", ""))
    home.docker(credHelpers={"r.example.com": "mine"})
    assert home.find() is None


def test_a_helper_has_the_environment_that_the_keychain_has(home: Home) -> None:
    home.environ["WHO"] = "ada"
    home.helper("mine", """echo "{\\"Username\\": \\"$WHO\\", \\"Secret\\": \\"s3cret\\"}" """)
    home.docker(credHelpers={"r.example.com": "mine"})
    assert home.find() == ADA


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("echo s3cret; echo s3cret >&2; exit 3", "ended with exit code 3"),
        ("echo s3cret", "isn't JSON with Username and Secret"),
        ("""echo '{"Secret": "s3cret"}'""", "isn't JSON with Username and Secret"),
        ("""echo '{"Username": 1, "Secret": "s3cret"}'""", "isn't JSON with Username and Secret"),
        ("""echo '["s3cret"]'""", "isn't JSON with Username and Secret"),
        ("true", "isn't JSON with Username and Secret"),
    ],
)
def test_a_helper_that_fails_is_named_and_not_quoted(home: Home, body: str, said: str) -> None:
    home.helper("mine", body)
    file = home.docker(credHelpers={"r.example.com": "mine"})
    message = home.fault()
    assert said in message
    assert "docker-credential-mine" in message
    assert f"{file} names for r.example.com" in message


def test_a_helper_that_hangs_is_given_up(home: Home) -> None:
    home.helper("mine", "echo s3cret; exec sleep 60")
    home.docker(credHelpers={"r.example.com": "mine"})
    assert "gave no answer in 0.2 s" in home.fault(timeout=0.2)


def test_a_missing_helper_is_a_fault(home: Home) -> None:
    home.docker(credsStore="desktop")
    message = home.fault()
    assert "docker-credential-desktop" in message
    assert "install it" in message


def test_a_missing_helper_keeps_no_other_from_answering(
    home: Home, caplog: pytest.LogCaptureFixture
) -> None:
    home.docker(credsStore="desktop")
    with caplog.at_level(logging.WARNING):
        assert home.keychain(fallback={"r.example.com": BOB}.get).find(APP) == BOB
    assert "docker-credential-desktop" in caplog.text


@pytest.mark.parametrize("name", ["../mine", "mi\0ne", "\ud800"], ids=ascii)
def test_a_helper_has_the_name_of_a_program(home: Home, name: str) -> None:
    home.docker(credsStore=name)
    assert "no program has" in home.fault()


# --- given by the caller --------------------------------------------------------------------------


def test_explicit_credentials_come_before_all_files(home: Home) -> None:
    home.docker(auths={"r.example.com/team/app": basic(BOB)})
    assert home.keychain(explicit={"r.example.com": ADA}).find(APP) == ADA


def test_explicit_credentials_of_another_host_are_not_used(home: Home) -> None:
    assert home.keychain(explicit={"other.example.com": ADA}).find(APP) is None


def test_the_fallback_is_asked_with_the_host_after_the_files(home: Home) -> None:
    asked: list[str] = []

    def fallback(host: str) -> Credentials | None:
        asked.append(host)
        return BOB

    home.docker(auths={"r.example.com": basic(ADA)})
    keychain = home.keychain(fallback=fallback)
    assert keychain.find(APP) == ADA
    assert asked == []
    assert keychain.find(ImageRef.parse("localhost:5000/x")) == BOB
    assert keychain.find(ImageRef.parse("localhost:5000/y")) == BOB
    assert keychain.find(ImageRef.parse("python")) == BOB
    assert asked == ["localhost:5000", "docker.io"]


def test_a_fallback_is_asked_again_once_its_answer_is_stale(home: Home) -> None:
    answers = [
        Credentials("AWS", "first", expires=time.time() - 1),
        Credentials("AWS", "second", expires=time.time() + 60),
    ]
    asked = iter(answers)
    keychain = home.keychain(fallback=lambda _: next(asked))
    assert [keychain.find(APP), keychain.find(APP), keychain.find(APP)] == [
        answers[0],
        answers[1],
        answers[1],
    ]


def test_a_fallback_that_fails_tells_its_own_fault(home: Home) -> None:
    def fallback(host: str) -> Credentials | None:
        raise PermissionError(host)

    with pytest.raises(PermissionError):
        home.keychain(fallback=fallback).find(APP)


# --- once -----------------------------------------------------------------------------------------


def test_a_helper_is_asked_once_by_many_threads(home: Home) -> None:
    home.helper("mine", """sleep 0.2; echo '{"Username": "ada", "Secret": "s3cret"}'""")
    home.docker(credHelpers={"r.example.com": "mine"})
    keychain = home.keychain()
    refs = [ImageRef.parse(f"r.example.com/app{number}") for number in range(8)]
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(keychain.find, refs)) == [ADA] * 8
    assert len(home.asked("mine")) == 1


def test_a_helper_and_a_fallback_are_asked_again_as_what_they_gave_may_end(home: Home) -> None:
    home.helper("mine", """echo '{"Username": "ada", "Secret": "s3cret"}'""")
    home.docker(credHelpers={"r.example.com": "mine"})
    answers = [ADA, BOB]
    keychain = home.keychain(fallback=lambda _: answers.pop(0), lasting=0)
    assert [keychain.find(APP), keychain.find(APP)] == [ADA, ADA]
    assert len(home.asked("mine")) == 2
    other = ImageRef.parse("other.example.com/x")
    assert [keychain.find(other), keychain.find(other)] == [ADA, BOB]


def test_a_helper_that_failed_is_not_asked_again(home: Home) -> None:
    home.helper("mine", "exit 1")
    home.docker(credHelpers={"r.example.com": "mine"})
    keychain = home.keychain()
    for _ in range(2):
        with pytest.raises(SettingsError, match="exit code 1"):
            keychain.find(APP)
    assert len(home.asked("mine")) == 1


def test_two_keychains_ask_each_for_themselves(home: Home) -> None:
    home.docker(auths={"r.example.com": basic(ADA)})
    assert home.find() == ADA
    home.docker(auths={"r.example.com": basic(BOB)})
    assert home.find() == BOB


# --- secrets and weight ---------------------------------------------------------------------------


def test_no_secret_is_shown_or_logged(home: Home, caplog: pytest.LogCaptureFixture) -> None:
    home.docker(auths={"r.example.com": basic(ADA)})
    keychain = home.keychain(explicit={"other.example.com": BOB})
    with caplog.at_level(logging.DEBUG):
        found = keychain.find(APP)
    assert "r.example.com" in caplog.text
    shown = f"{keychain!r} {found!r} {caplog.text} {_shown(vars(keychain))}"
    assert not any(secret in shown for secret in ("s3cret", "hunter2", basic(ADA)["auth"]))


def _shown(fields: Mapping[str, Any]) -> str:
    deep = [vars(value) for value in fields.values() if hasattr(value, "__dict__")]
    return f"{fields!r} {deep!r}"


def test_importing_it_starts_no_machinery_for_helpers() -> None:
    code = "import sys, fairing_core.images.keychain; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert not {"subprocess", "asyncio", "kubernetes"} & set(done.stdout.split())
