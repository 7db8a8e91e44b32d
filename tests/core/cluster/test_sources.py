"""What a run has written to a store is taken as its pod announced it, and from that run alone."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from fairing_core import errors
from fairing_core.cluster.client import Cluster
from fairing_core.cluster.outputs import Outputs, signed, stored_at, storing
from fairing_core.cluster.sources import BUNDLE
from fairing_core.testing import FolderStorage
from fairing_core.types import unheard

FILES: dict[str | None, bytes] = {"model.pkl": b"0123456789" * 300_000, "runs/loss.txt": b"0.5"}


class Faulty(FolderStorage):
    """A store whose answers break off, each after so many bytes."""

    def __init__(self, *, folder: Path) -> None:
        super().__init__(folder=folder)
        self.cuts: list[int] = []
        self.starts: list[int] = []

    def open(self, url: str, *, start: int = 0) -> BinaryIO:
        self.starts.append(start)
        whole = super().open(url, start=start)
        return _Cut(whole, self.cuts.pop(0)) if self.cuts else whole

    def signed_url(self, url: str, **_: Any) -> str:
        return f"{url}?signature=s3cr3t"


class _Cut(io.BytesIO):
    def __init__(self, whole: BinaryIO, after: int) -> None:
        with whole:
            super().__init__(whole.read()[:after])
        self._url = ""

    def read(self, size: int | None = -1, /) -> bytes:
        found = super().read(size)
        if not found:
            raise errors.StorageUnreachable("cut", url="file:")
        return found


def bundle(files: dict[str | None, bytes], run: str = "u-1", **lie: Any) -> bytes:
    entries = [
        {"path": path, "size": len(content), "sha256": hashlib.sha256(content).hexdigest(), **lie}
        for path, content in files.items()
    ]
    told = json.dumps({"run": run, "files": entries}).encode()
    return BUNDLE + b"%d\n" % len(told) + told + b"".join(files.values())


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Faulty:
    monkeypatch.setenv("FAIRING_ARTIFACTS", str(tmp_path / "artifacts"))
    monkeypatch.setattr("fairing_core.cluster.sources._PAUSES", (0.0, 0.0))
    return Faulty(folder=tmp_path / "store")


def put(store: Faulty, content: bytes) -> str:
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    return store.put("outputs/x", io.BytesIO(content), size=len(content), digest=digest).url


def outputs() -> Outputs:
    return Outputs(Cluster(), "u-1", uri="fairing://lab/test/job/x", many=False)


def test_each_file_comes_home(store: Faulty) -> None:
    found = outputs()
    found.fetch(store, put(store, bundle(FILES)), unheard)
    here = {one.path: one.content.read_bytes() for one in found.here()}
    assert here == FILES
    assert found.were_fetched()


def test_a_large_result_is_known_by_its_digest(store: Faulty) -> None:
    record = json.dumps({"schema": 1, "returned": "x" * 9000}).encode()
    found = outputs()
    found.fetch(store, put(store, bundle({None: record})), unheard)
    assert found.result({"sha256": hashlib.sha256(record).hexdigest()}) == record
    assert found.here() == []


def test_what_breaks_off_is_gone_on_with(store: Faulty) -> None:
    url = put(store, bundle(FILES))
    store.cuts = [500, 1_000_000, 1_500_000]  # of the index, then twice of the model
    outputs().fetch(store, url, unheard)
    first = store.starts[1]
    assert store.starts[1:4] == [first, first + 1_000_000, first + 2_500_000]


def test_a_store_that_breaks_off_again_and_again_is_an_error(store: Faulty) -> None:
    url = put(store, bundle(FILES))
    store.cuts = [500, *([0] * 20)]
    with pytest.raises(errors.ClusterUnreachable, match="breaks off again and again"):
        outputs().fetch(store, url, unheard)


def test_another_digest_is_not_taken(store: Faulty) -> None:
    with pytest.raises(errors.ResultUnavailable, match="its SHA-256 differs"):
        outputs().fetch(store, put(store, bundle({"a": b"1"}, sha256="00")), unheard)
    assert outputs().here() == []


def test_another_runs_outputs_are_not_taken(store: Faulty) -> None:
    with pytest.raises(errors.ResultUnavailable, match=r"the outputs of another run.*u-2"):
        outputs().fetch(store, put(store, bundle({"a": b"1"}, run="u-2")), unheard)


def test_something_else_is_not_taken(store: Faulty) -> None:
    with pytest.raises(errors.ResultUnavailable, match="is no outputs of a run"):
        outputs().fetch(store, put(store, b"a model\n"), unheard)


def test_nothing_is_taken_where_nothing_is(store: Faulty) -> None:
    outputs().fetch(store, store.url("outputs/none"), unheard)
    assert not outputs().were_fetched()


def test_a_pod_gets_the_signed_url_from_a_secret_only(store: Faulty) -> None:
    patch = storing(store, "train-1", ("image", "command"))
    assert patch == storing(store, "train-1", ("image", "command"))
    assert patch != storing(store, "train-1", ("image", "another"))
    (variable, _) = patch.container["env"]
    reference = variable["valueFrom"]["secretKeyRef"]
    assert reference == {"name": "train-1-outputs", "key": "url", "optional": True}
    job = {"metadata": {"name": "train-1"},
           "spec": {"template": {"metadata": {"annotations": patch.annotations}}}}  # fmt: skip
    (secret,) = signed(store, job)
    assert secret.data == {"url": f"{stored_at(job)}?signature=s3cr3t".encode()}
    assert "s3cr3t" not in repr((patch, secret))


def test_a_pod_gets_the_certificates_of_the_store_s_own(
    store: Faulty, caplog: pytest.LogCaptureFixture
) -> None:
    class Certified(Faulty):
        def certificates(self) -> bytes | None:
            return trusted

    certified = Certified(folder=store._objects.parent)
    patch = storing(certified, "x", 1)
    variable = patch.container["env"][-1]
    reference = {"name": "x-outputs", "key": "ca", "optional": True}
    assert variable == {"name": "FAIRING_STORE_CA", "valueFrom": {"secretKeyRef": reference}}
    template = {"metadata": {"annotations": patch.annotations}}
    job = {"metadata": {"name": "x"}, "spec": {"template": template}}
    trusted: bytes | None = None
    (secret,) = signed(certified, job)
    assert secret.data.keys() == {"url"}
    trusted = "# Zürich\nPEM".encode()
    (secret,) = signed(certified, job)
    assert secret.data["ca"] == b"# Zrich\nPEM"
    trusted = b"PEM" * 100_000
    assert signed(certified, job) == ()
    assert "300000 bytes, too many for pods" in caplog.text


def test_a_store_that_can_not_sign_leaves_outputs_in_the_pod(
    store: Faulty, caplog: pytest.LogCaptureFixture
) -> None:
    class Denied(Faulty):
        def signed_url(self, url: str, **_: Any) -> str:
            raise errors.StorageDenied("no keys", url=url)

    denied = Denied(folder=store._objects.parent)
    annotations = storing(denied, "x", 1).annotations
    job = {
        "metadata": {"name": "x"},
        "spec": {"template": {"metadata": {"annotations": annotations}}},
    }
    assert signed(denied, job) == ()
    assert "no keys; so outputs stay in the pod" in caplog.text
    assert signed(denied, {"metadata": {"name": "x"}, "spec": {}}) == ()
