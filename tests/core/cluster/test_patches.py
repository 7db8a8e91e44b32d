import copy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fairing_core import PodPatch, k8s_utils
from fairing_core.cluster.patches import fold

POD: dict[str, Any] = {
    "containers": [
        {"name": "model", "env": [{"name": "A", "value": "1"}], "image": "x"},
        {"name": "sidecar"},
    ],
    "volumes": [{"name": "tmp", "emptyDir": {}}],
}

names = st.sampled_from(["A", "B", "C"])
patches = st.lists(
    st.one_of(
        st.dictionaries(names, st.text("xyz", max_size=3)).map(k8s_utils.add_env),
        st.builds(k8s_utils.mounting_pvc, names, st.sampled_from(["/mnt", "/data"])),
        st.builds(k8s_utils.get_resource_mutator, st.integers(1, 9), st.integers(1, 9)),
        st.dictionaries(names, names).map(k8s_utils.get_node_selector),
        st.just(PodPatch({"tolerations": [{"key": "gpu", "operator": "Exists"}]})),
    )
)


def test_lists_merge_by_their_key_and_later_ones_win() -> None:
    folded = fold(POD, [k8s_utils.add_env({"A": "2", "B": "3"}), k8s_utils.add_env({"B": "4"})])
    model, sidecar = folded["containers"]
    assert model["env"] == [{"name": "A", "value": "2"}, {"name": "B", "value": "4"}]
    assert model["image"] == "x"
    assert sidecar == {"name": "sidecar"}


def test_a_variable_has_one_source_the_later_one() -> None:
    secret = {"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}
    folded = fold(POD, [PodPatch(container={"env": [secret]})])
    assert folded["containers"][0]["env"] == [secret]


def test_existing_limits_and_requests_stay() -> None:
    requests = PodPatch(container={"resources": {"requests": {"cpu": "1"}, "limits": {"x": "1"}}})
    resources = fold(POD, [requests, k8s_utils.get_resource_mutator(cpu=2)])["containers"][0]
    assert resources["resources"] == {"requests": {"cpu": "1"}, "limits": {"x": "1", "cpu": "2"}}


@given(patches)
def test_folding_twice_is_folding_once_and_changes_no_argument(given_: list[PodPatch]) -> None:
    before = copy.deepcopy((POD, given_))
    once = fold(POD, given_)
    assert fold(once, given_) == once
    assert (POD, given_) == before
