from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fairing_core import errors
from fairing_core.build.cluster.builder import ClusterBuilder
from fairing_core.cluster.client import Cluster
from fairing_core.types import BuildRequest, PodPatch
from tests.core.build.conftest import context_of
from tests.core.build.harness import inline
from tests.core.cluster.api import Api


@pytest.fixture
def there(tmp_path: Path) -> Any:
    api = Api(tmp_path)
    yield Cluster(config_file=api.config)
    api.close()


def request(*files: Any, **more: Any) -> BuildRequest:
    more = {"base_image": "r.example/base", "registry": "r.example", **more}
    return BuildRequest(context_of(*files), **more)


OWN = inline("/Dockerfile", b"FROM r.example/base\n")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"push": False}, "push=False: what a cluster builds"),
        ({"engine": "kanico"}, "engine='kanico' is no engine; did you mean 'kaniko'"),
        ({"timeout": 0}, "timeout=0"),
        ({"start_timeout": float("nan")}, "start_timeout=nan"),
        ({"extra_args": "--x"}, "extra_args='--x' is a text"),
        ({"pod_spec_mutators": [print]}, "PodPatch values"),
        ({"resources": {"cpus": 1}}, "resources has no 'cpus'"),
    ],
)
def test_options_that_can_t_be_are_refused_when_it_is_made(
    options: dict[str, Any], told: str
) -> None:
    with pytest.raises(errors.FairingError, match=told):
        ClusterBuilder(**options)


def test_a_patch_is_a_mutator() -> None:
    ClusterBuilder(pod_spec_mutators=[PodPatch({"hostNetwork": True})])


def test_it_says_what_it_lacks(there: Cluster, tmp_path: Path) -> None:
    assert ClusterBuilder(there).supports(request()) is None
    assert "no registry" in str(ClusterBuilder(there).supports(request(registry=None)))
    away = Cluster(config_file=tmp_path / "nowhere")
    assert "there is no kubeconfig" in str(ClusterBuilder(away).supports(request()))


def test_what_is_said_beside_an_own_dockerfile_is_refused(there: Cluster, tmp_path: Path) -> None:
    assert ClusterBuilder(there).supports(request(OWN)) is None
    told = ClusterBuilder(there, env={"A": "1"}, user="7").supports(request(OWN))
    assert told is not None
    assert "user, env can't be added" in told
    with pytest.raises(errors.MissingInput):
        ClusterBuilder(there, dockerfile_path=tmp_path / "no").supports(request())


def test_no_repr_shows_more_than_where_and_by_what(there: Cluster) -> None:
    told = repr(ClusterBuilder(there, env={"TOKEN": "hidden"}))
    assert "engine='kaniko'" in told
    assert "hidden" not in told
