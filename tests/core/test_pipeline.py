from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from fairing_core import BackendInterface, BuildRequest, Built, DeployRequest, TrainJob, errors
from fairing_core.types import OwnedSecret, PodPatch


class Sent(Exception):
    """What a deployer was given."""


class Plain:
    def render(self, request: DeployRequest) -> list[dict[str, Any]]:
        return [{"image": request.image}]

    def submit(self, manifests: Any, mutators: Any = ()) -> Any:
        raise Sent(())


class Careful(Plain):
    def submit(self, manifests: Any, mutators: Any = (), *, secrets: Any = ()) -> Any:
        raise Sent(secrets)


class Broken(Plain):
    def submit(self, manifests: Any, mutators: Any = (), *, secrets: Any = ()) -> Any:
        raise TypeError("an int is no str")


class Made:
    def supports(self, request: BuildRequest) -> str | None:
        return None

    def build(self, request: BuildRequest) -> Built:
        return Built("made")


class Lab(BackendInterface):
    name = "lab"
    needs_image = False

    def __init__(self, *, patches: Sequence[PodPatch] = ()) -> None:
        self.patches = patches

    def pod_patches(self, stage: str, image: str) -> Sequence[PodPatch]:
        return self.patches

    def builder(self, request: BuildRequest) -> Any:
        return Made


KEYS = PodPatch(secrets=(OwnedSecret("keys", {"KEY": b"hidden"}),))


def submit(deployer: Any, *patches: PodPatch, here: Path) -> None:
    (here / "train.py").write_text("print(1)\n")
    backend = Lab(patches=patches)
    TrainJob(here / "train.py", backend=backend, deployer=deployer()).submit()


def test_secrets_of_patches_go_to_the_deployer(tmp_path: Path) -> None:
    with pytest.raises(Sent) as sent:
        submit(Careful, KEYS, PodPatch(), here=tmp_path)
    assert sent.value.args == ([*KEYS.secrets],)


def test_a_deployer_that_knows_no_secrets_is_called_as_ever_without_any(tmp_path: Path) -> None:
    with pytest.raises(Sent):
        submit(Plain, PodPatch(), here=tmp_path)


def test_a_deployer_that_knows_no_secrets_is_told_apart(tmp_path: Path) -> None:
    with pytest.raises(errors.Unsupported, match=r"Plain can't make the Secrets.*'secrets'") as e:
        submit(Plain, KEYS, here=tmp_path)
    assert "hidden" not in str(e.value)


def test_a_fault_of_the_deployer_s_own_is_not_mistaken(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="an int is no str"):
        submit(Broken, KEYS, here=tmp_path)
