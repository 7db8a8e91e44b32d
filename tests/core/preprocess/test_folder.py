from pathlib import Path

import pytest

from fairing_core import errors
from fairing_core.preprocess.folder import package_folder


def write(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("print('here')\n")
    return folder


def test_every_file_travels_to_its_place_below_app(tmp_path: Path) -> None:
    context = package_folder(write(tmp_path, "train.py", "data/a.csv"))
    assert [file.destination for file in context.files] == ["/app/data/a.csv", "/app/train.py"]
    assert context.workdir == "/app"
    assert context.command == ()


def test_a_folder_with_a_main_module_is_started(tmp_path: Path) -> None:
    assert package_folder(write(tmp_path, "__main__.py")).command == ("python", "/app")


def test_caches_and_version_control_stay_here(tmp_path: Path) -> None:
    context = package_folder(write(tmp_path, "a.py", ".git/config", "__pycache__/a.pyc"))
    assert [file.destination for file in context.files] == ["/app/a.py"]


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(errors.EmptyEntry, match="no files"):
        package_folder(tmp_path)
