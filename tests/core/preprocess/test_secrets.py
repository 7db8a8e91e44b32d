from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fairing_core import errors
from fairing_core.preprocess.folder import package_folder
from tests.core.preprocess.harness import Project, named

PEM = "-----BEGIN {}-----\nMIIhidden\n-----END {}-----\n"
PRIVATE, PUBLIC = (PEM.replace("{}", kind) for kind in ("RSA PRIVATE KEY", "CERTIFICATE"))
ACCOUNT = json.dumps({"type": "service_account", "private_key": PRIVATE})


@pytest.fixture(autouse=True)
def _script(project: Project) -> None:
    project.write("train.py")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("conf/id_rsa", "x"),
        ("conf/ID_ED25519", "x"),
        ("conf/store.p12", "x"),
        ("conf/.env", "x"),
        ("conf/.env.production", "x"),
        ("conf/secrets.toml", "x"),
        ("conf/.netrc", "x"),
        ("conf/.pypirc", "x"),
        ("conf/.git-credentials", "x"),
        ("conf/kaggle.json", "x"),
        (".aws/credentials", "x"),
        ("conf/credentials.json", "x"),
        ("conf/client_secret_12.apps.json", "x"),
        ("conf/application_default_credentials.json", "x"),
        (".kube/config", "x"),
        ("conf/lab.kubeconfig", "x"),
        (".docker/config.json", "x"),
        ("conf/server.pem", PRIVATE),
        ("conf/server.key", PRIVATE),
        ("conf/deploykey", PRIVATE),
        ("conf/robot.json", ACCOUNT),
        ("conf/.npmrc", "//r.example/:_authToken=hidden\n"),
        ("conf/pip.conf", "[global]\nindex-url = https://ada:hidden@r.example/simple\n"),
    ],
)
def test_what_looks_like_a_secret_is_stopped_by_name(
    name: str, content: str, project: Project
) -> None:
    project.write(name, content)
    folder = name.partition("/")[0]
    for how in ({"input_files": [folder]}, {"input_files": [name]}, {"output_map": {name: "/x"}}):
        with pytest.raises(errors.SecretFile) as caught:
            project.script(**how)
        assert caught.value.paths == (name,)
        assert f"allow_secrets=['{name}']" in str(caught.value)
        assert "hidden" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("conf/ca.pem", PUBLIC),
        ("conf/id_rsa.pub", "ssh-rsa AAAA"),
        ("conf/.env.example", "KEY="),
        ("conf/credentials.py", "x = 1"),
        ("conf/data.json", '{"private_key": null}'),
        ("conf/config.json", "{}"),
        ("conf/.npmrc", "registry=https://r.example\n"),
        ("conf/pip.conf", "[global]\nindex-url = https://r.example/simple\n"),
        ("conf/empty.pem", ""),
        ("conf/notes.md", PRIVATE),  # a text about keys
    ],
)
def test_others_pass(name: str, content: str, project: Project) -> None:
    project.write(name, content)
    assert name in named(project.script(input_files=["conf"]))


@pytest.mark.parametrize("allowed", ["conf/.env", "conf", "**/.env", ["other", "conf/*"]])
def test_what_is_allowed_travels(allowed: Any, project: Project) -> None:
    project.write("conf/.env", "x")
    files = named(project.script(input_files=["conf"], allow_secrets=allowed))
    assert "conf/.env" in files


def test_all_are_named_and_only_those_that_are_not_allowed(project: Project) -> None:
    for number in range(8):
        project.write(f"conf/.env.{number}", "x")
    with pytest.raises(errors.SecretFile, match="and 2 more") as caught:
        project.script(input_files=["conf"], allow_secrets=["conf/.env.0"])
    assert len(caught.value.paths) == 7


def test_an_ignore_file_leaves_it_out(project: Project) -> None:
    project.write("conf/.env", "x")
    project.write("conf/a", "x")
    project.write(".fairingignore", "**/.env\n")
    assert "conf/.env" not in named(project.script(input_files=["conf"]))


def test_a_pattern_that_means_nothing_is_refused(project: Project) -> None:
    with pytest.raises(errors.InvalidArgument, match="allow_secrets has the pattern"):
        project.script(allow_secrets="[")


def test_a_whole_folder_is_looked_at_too(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1\n")
    (tmp_path / ".env").write_text("KEY=hidden\n")
    with pytest.raises(errors.SecretFile, match=r"\.env"):
        package_folder(tmp_path)
    assert "/app/.env" in {
        file.destination for file in package_folder(tmp_path, allow_secrets=[".env"]).files
    }


def test_functions_are_too(project: Project) -> None:
    project.write("conf/.env", "x")
    with pytest.raises(errors.SecretFile):
        project.function(len, input_files=["conf"])
    allowed = project.function(len, input_files=["conf"], allow_secrets=["conf"])
    assert "conf/.env" in named(allowed)
