"""What the code imports, and images that have it, lack it, or do not tell."""

from __future__ import annotations

import logging

import pytest

from fairing_core import errors
from fairing_core.build import lacking
from fairing_core.types import Import
from tests.core.build.conftest import Builds
from tests.core.images import layers
from tests.core.images.registry import FakeRegistry

LIB = "usr/local/lib/python3.11/site-packages"
NUMPY, PANDAS = Import("numpy", "train.py"), Import("pandas", "helper.py")
HYPOTHESIS = Import("hypothesis", "train.py")


def based(registry: FakeRegistry, *stacked: list[str], **config: object) -> None:
    """An image with layers that have files of those names."""
    stored = [layers.layer(dict.fromkeys(names, b"x")).stored for names in stacked]
    registry.image("base", "1", *stored, config={"config": {"User": "7:8", **config}})


@pytest.mark.parametrize(
    "name",
    [
        f"{LIB}/numpy/__init__.py",
        f"{LIB}/numpy.py",
        f"{LIB}/numpy.cpython-311-x86_64-linux-gnu.so",
        f"{LIB}/numpy.abi3.so",
        "opt/conda/lib/python3.11/site-packages/numpy/core/x.py",
        "usr/lib/python3/dist-packages/numpy/__init__.py",
        "app/numpy.py",
    ],
)
def test_what_the_image_has_is_no_fault(build: Builds, registry: FakeRegistry, name: str) -> None:
    based(registry, ["etc/passwd"], [name], ["opt/other"])
    build(registry, imports=(NUMPY,))
    _, checks = build.foresee(registry, imports=(NUMPY,))
    assert [(one.ok, one.detail) for one in checks if one.name == "imports"] == [
        (True, f"{registry.host}/base:1 has numpy")
    ]


@pytest.mark.parametrize("name", [f"{LIB}/numpy_x/a.py", "srv/numpy.py", "srv/app/numpy.py"])
def test_what_it_lacks_is_told_before_anything_is_pushed(
    build: Builds, registry: FakeRegistry, name: str
) -> None:
    based(registry, [name, f"{LIB}/pandas/__init__.py"])
    with pytest.raises(errors.ImageError) as caught:
        build(registry, imports=(NUMPY, PANDAS, HYPOTHESIS))
    told = str(caught.value)
    assert "train.py imports hypothesis; train.py imports numpy, which " in told
    assert f"put hypothesis=={__import__('hypothesis').__version__} numpy" in told
    assert "pandas" not in told
    assert "app" not in registry.manifests
    _, checks = build.foresee(registry, imports=(NUMPY,))
    (refused,) = [one for one in checks if one.ok is False]
    assert "which" in refused.detail
    assert "lacks" in refused.detail


def test_each_layer_is_read_once_and_no_further_than_needed(
    build: Builds, registry: FakeRegistry
) -> None:
    based(registry, ["below"], [f"{LIB}/numpy/__init__.py"], [f"{LIB}/pandas/__init__.py"])
    digests = [each["digest"] for each in registry.table("base", "1")["layers"]]

    def reads() -> list[int]:
        return [registry.count("GET", f"/v2/base/blobs/{digest}") for digest in digests]

    build(registry, imports=(PANDAS,))
    assert reads() == [0, 0, 1]
    build(registry, imports=(PANDAS, NUMPY))
    assert reads() == [0, 1, 1]
    with pytest.raises(errors.ImageError):
        build(registry, imports=(HYPOTHESIS,))
    assert reads() == [1, 1, 1]
    build(registry)
    assert reads() == [1, 1, 1]


@pytest.mark.parametrize(
    "name", [f"{LIB}/__editable__.lab.pth", f"{LIB}/lab.egg-link", f"{LIB}/lab-1.egg/x"]
)
def test_where_modules_come_from_elsewhere_it_warns(
    build: Builds, registry: FakeRegistry, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    based(registry, [name, f"{LIB}/numpy/__init__.py"])
    build(registry, imports=(PANDAS, NUMPY))
    assert "pandas will not travel, and whether" in caplog.text
    _, checks = build.foresee(registry, imports=(PANDAS, NUMPY))
    assert [one.ok for one in checks if one.name == "imports"] == [None]
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        build(registry, imports=(NUMPY,))
    assert not caplog.text


def test_pythonpath_is_elsewhere_too(
    build: Builds, registry: FakeRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    based(registry, ["srv/numpy.py"], Env=["PYTHONPATH=/srv"])
    build(registry, imports=(NUMPY,))
    assert "comes from elsewhere" in caplog.text.replace("come", "comes")


def test_the_known_pth_files_bring_no_modules(build: Builds, registry: FakeRegistry) -> None:
    based(registry, [f"{LIB}/distutils-precedence.pth", f"{LIB}/matplotlib-3-nspkg.pth"])
    with pytest.raises(errors.ImageError, match="lacks"):
        build(registry, imports=(NUMPY,))


def test_a_large_image_is_not_read(
    build: Builds,
    registry: FakeRegistry,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(lacking, "LIMIT", 10)
    based(registry, [f"{LIB}/numpy/__init__.py"])
    digest = registry.table("base", "1")["layers"][0]["digest"]
    build(registry, imports=(NUMPY,))
    assert registry.count("GET", f"/v2/base/blobs/{digest}") == 0
    assert "numpy will not travel, and whether" in caplog.text
