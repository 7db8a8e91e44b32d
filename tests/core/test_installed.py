import importlib
import sys
from pathlib import Path

import pytest

from fairing_core import installed
from fairing_core.installed import AMBIENT, BACKENDS, Plugin


def distribution(folder: Path, name: str, entry_points: str, *, metadata: str = "") -> None:
    info = folder / f"{name.replace('-', '_')}-1.5.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(metadata or f"Name: {name}\nVersion: 1.5\n\nAbout it.\n")
    (info / "entry_points.txt").write_text(entry_points)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    return tmp_path


def test_what_is_read_from_the_folders_is_what_importlib_knows() -> None:
    assert set(installed.installed()) == installed._asked_of_importlib()


def test_both_groups_are_read_and_others_left(folder: Path) -> None:
    text = """
        [console_scripts]
        lab = lab.cli:main
        [fairing.backends]
        lab = lab.plugin
        [fairing.plugins]
        # another = nothing
        audit=lab.audit
    """
    distribution(folder, "lab-tools", text)
    assert installed.installed() == (
        Plugin("lab-tools", "audit", AMBIENT, "lab.audit", "1.5"),
        Plugin("lab-tools", "lab", BACKENDS, "lab.plugin", "1.5"),
    )
    assert set(installed.installed()) == installed._asked_of_importlib()


def test_of_two_distributions_of_one_name_the_first_on_the_path_counts(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    distribution(folder / "a", "lab", "[fairing.backends]\nlab = first\n")
    distribution(folder / "b", "lab", "[fairing.backends]\nlab = second\n")
    monkeypatch.setattr(sys, "path", [str(folder / "a"), str(folder / "b")])
    assert [plugin.module for plugin in installed.installed()] == ["first"]


def test_a_folder_that_is_gone_and_a_damaged_distribution_harm_nobody(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    distribution(folder, "lab", "[fairing.backends]\nlab = lab.plugin\n", metadata="damaged")
    (folder / "binary-1.dist-info").mkdir()
    (folder / "binary-1.dist-info" / "entry_points.txt").write_bytes(b"\xff\xfe[fairing.plugins]")
    monkeypatch.setattr(sys, "path", [str(folder / "gone"), str(folder)])
    assert [(each.distribution, each.version) for each in installed.installed()] == [("lab", "")]


def test_a_finder_of_its_own_is_asked_through_importlib(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    metadata = importlib.import_module("importlib.metadata")
    distribution(folder / "hidden", "lab", "[fairing.backends]\nlab = lab.plugin\n")
    hidden = metadata.Distribution.at(folder / "hidden" / "lab-1.5.dist-info")

    class Finder:
        def find_spec(self, *arguments: object) -> None:
            return None

        def find_distributions(self, context: object = None) -> list[object]:
            return [hidden]

    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, Finder()])
    assert [plugin.name for plugin in installed.installed()] == ["lab"]
