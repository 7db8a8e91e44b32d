"""Cells that ran and are not in the notebook's file."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from fairing_core.preprocess.notebooks.unsaved import unsaved
from tests.core.preprocess.notebooks.kernels import kernel
from tests.core.preprocess.notebooks.made import code, markdown, packaged, write

Told = Callable[..., str | None]


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Told:
    """What is told of a file with these cells, (text, number), in a kernel that ran those."""

    def tell(*saved: tuple[str, int | None], ran: Sequence[str]) -> str | None:
        cells = [code(text, execution_count=number) for text, number in saved]
        path = write(tmp_path / "train.ipynb", markdown(), *cells)
        kernel(monkeypatch, tmp_path / "kernel-1.json", ran=ran)
        return unsaved(path, json.loads(path.read_text()))

    return tell


def test_all_that_ran_is_saved(told: Told) -> None:
    assert told(("a = 1", 1), ("b = 2\n", None), ran=["a = 1", "b = 2", "a = 1"]) is None


def test_a_cell_that_was_edited_and_run_is_told(told: Told) -> None:
    warning = told(("a = 1", 1), ("train(a)", 2), ran=["a = 1", "train(a)", "a = 2", "train(a)"])
    assert warning
    assert "In [3] ran here since, which is not in it: it stays here" in warning


def test_the_time_of_the_save_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "train.ipynb", "a = 1", "b = 1")
    os.utime(path, (0, 1_800_000_000))
    kernel(monkeypatch, tmp_path / "kernel-1.json", ran=["a = 2", "b = 1"])
    warning = unsaved(path, json.loads(path.read_text()))
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(1_800_000_000))
    assert warning
    assert warning.startswith(f"train.ipynb was saved last at {when}, and In [1] ran")


def test_what_was_deleted_before_the_save_is_not_told(told: Told) -> None:
    assert told(("b = 2", 2), ran=["print(dir())", "b = 2"]) is None


def test_what_was_edited_saved_and_run_again_is_not_told(told: Told) -> None:
    # The page keeps a cell's number when the cell is edited.
    assert (
        told(("a = 1", None), ("train(a, 2)", 2), ran=["a = 1", "train(a)", "train(a, 2)"]) is None
    )


def test_numbers_of_an_earlier_kernel_hide_nothing(told: Told) -> None:
    warning = told(("a = 1", 40), ("b = 2", 41), ran=["a = 1", "x = 'new'"])
    assert warning
    assert "In [2]" in warning


def test_the_last_of_what_ran_twice_is_named_and_many_are_counted(told: Told) -> None:
    ran = ["a = 1", "zz = 9", "zz = 9", *[f"{letter * 9}()" for letter in "bcdefg"]]
    warning = told(("a = 1", 1), ran=ran)
    assert warning
    assert "In [3], In [4], In [5], In [6], In [7] and 2 more ran here since, which are" in warning


def test_another_notebook_than_this_kernels_is_none_of_its_business(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert told(("a = 1", None), ran=["b = 2"]) is None


def test_a_notebook_of_this_kernels_name_of_which_nothing_ran(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "train.ipynb", "a = 1")
    kernel(monkeypatch, tmp_path / "kernel-1.json", ran=["b = 2"])
    monkeypatch.setenv("JPY_SESSION_NAME", str(path))
    assert "In [1]" in str(unsaved(path, json.loads(path.read_text())))


def test_packaging_warns_in_a_kernel_and_packages_what_is_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(tmp_path / "train.ipynb", "rate = 1", "print(rate)")
    kernel(monkeypatch, tmp_path / "kernel-1.json", ran=["rate = 2", "print(rate)"])
    context = packaged(path)
    assert "train.ipynb was saved last at" in caplog.text
    assert "rate = 2" not in caplog.text  # it might be a secret
    assert any(b"rate = 1" in f.content for f in context.files if isinstance(f.content, bytes))
