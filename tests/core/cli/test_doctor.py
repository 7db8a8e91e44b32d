from __future__ import annotations

import json
from pathlib import Path

import pytest

from fairing_core import errors
from tests.core.cli.conftest import Fairing
from tests.core.cluster.api import Api


@pytest.fixture
def api(tmp_path: Path) -> Api:
    return Api(tmp_path)


def test_what_is_well_is_ok_and_ends_with_0(fairing: Fairing) -> None:
    done = fairing("doctor", "--backend", "local")
    assert done.returncode == 0, done.stderr
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert [row[:2] for row in rows] == [["ok", "python"], ["ok", "runs"]]


def test_what_fails_says_what_to_do_and_ends_with_1(
    fairing: Fairing, environ: dict[str, str]
) -> None:
    done = fairing("doctor", "--backend", "kubernetes")
    assert done.returncode == 1
    state, check, detail = done.stdout.strip().split("\t")
    assert (state, check) == ("FAIL", "cluster")
    assert "there is no kubeconfig at" in detail
    assert "set KUBECONFIG" in detail


def test_json_has_every_field(fairing: Fairing) -> None:
    done = fairing("doctor", "-b", "kubernetes", "--json")
    assert done.returncode == 1
    (row,) = json.loads(done.stdout)
    assert (row["ok"], row["state"], row["check"]) == (False, "FAIL", "cluster")


def test_the_configured_backend_is_meant_where_none_is_named(
    fairing: Fairing, environ: dict[str, str], tmp_path: Path
) -> None:
    assert "python" in fairing("doctor").stdout
    (tmp_path / "pyproject.toml").write_text('[tool.fairing]\nbackend = "kubernetes"\n')
    assert "cluster" in fairing("doctor").stdout
    environ["FAIRING_BACKEND"] = "local"
    assert "python" in fairing("doctor").stdout


def test_settings_are_given_by_option(
    fairing: Fairing, environ: dict[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.write_text("")
    done = fairing("doctor", "-b", "local", "-o", f"root={file}")
    assert done.returncode == 1
    assert "not a folder" in done.stdout
    refused = fairing("doctor", "-b", "local", "-o", "rot=x")
    assert refused.returncode == errors.UnknownOption.exit_code
    assert "did you mean 'root'?" in refused.stderr


def test_each_missing_right_is_a_row(
    fairing: Fairing, environ: dict[str, str], tmp_path: Path, api: Api
) -> None:
    api.denied = {("create", "jobs"), ("list", "events")}
    environ["KUBECONFIG"] = str(api.config)
    done = fairing("doctor", "-b", "kubernetes")
    api.close()
    assert done.returncode == 1
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert [row[:2] for row in rows] == [["ok", "cluster"], ["FAIL", "rights"], ["FAIL", "rights"]]
    assert "examples/cluster/role.yaml" in rows[1][2]


def test_a_namespace_that_is_not_there_is_a_row(
    fairing: Fairing, environ: dict[str, str], api: Api
) -> None:
    environ["KUBECONFIG"] = str(api.config)
    well = fairing("doctor", "-b", "kubernetes")
    done = fairing("doctor", "-b", "kubernetes", "-o", "namespace=tset")
    api.denied = {("get", "namespaces")}
    unseen = fairing("doctor", "-b", "kubernetes", "-o", "namespace=tset")
    api.close()
    assert [line.split("\t")[1] for line in well.stdout.splitlines()] == ["cluster", "rights"]
    assert done.returncode == 1
    state, check, detail = done.stdout.splitlines()[1].split("\t")
    assert (state, check) == ("FAIL", "namespace")
    assert "kubectl create namespace tset" in detail
    assert unseen.returncode == 0


def test_an_unknown_backend_is_refused_by_name(fairing: Fairing) -> None:
    done = fairing("doctor", "-b", "locl")
    assert done.returncode == errors.UnknownBackend.exit_code
    assert "did you mean 'local'?" in done.stderr


def test_its_help_teaches(fairing: Fairing) -> None:
    done = fairing("doctor", "--help")
    assert "fairing doctor -b onprem" in done.stdout
    assert "Exit code: 0, or 1" in done.stdout
    assert "doctor" in fairing("--help").stdout
