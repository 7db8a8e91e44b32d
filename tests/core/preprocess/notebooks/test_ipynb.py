from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from fairing_core import errors
from fairing_core.preprocess.notebooks import ipynb
from tests.core.preprocess.notebooks.made import code, write


def test_cells_are_numbered_from_one_over_all_kinds(tmp_path: Path) -> None:
    markdown = {"cell_type": "markdown", "source": ["# Title\n", "text"], "metadata": {}}
    tagged = code(["a = 1\n", "b = 2"], metadata={"tags": ["parameters", "slow"]})
    path = write(tmp_path / "a.ipynb", markdown, tagged)
    notebook = ipynb.read(path)
    assert notebook.path == path
    assert (notebook.language, notebook.kernel) == ("python", "python3")
    assert notebook.cells == (
        ipynb.Cell(1, "markdown", "# Title\ntext"),
        ipynb.Cell(2, "code", "a = 1\nb = 2", tags=frozenset({"parameters", "slow"})),
    )


def test_a_relative_path_starts_at_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "a.ipynb", code())
    monkeypatch.chdir(tmp_path)
    assert ipynb.read("a.ipynb").path == tmp_path / "a.ipynb"


@pytest.mark.parametrize("ending", ["\r\n", "\r", "\n"])
def test_lines_end_alike(tmp_path: Path, ending: str) -> None:
    path = write(tmp_path / "a.ipynb", code(f"a = 1{ending}b = 2"))
    assert ipynb.read(path).cells[0].source == "a = 1\nb = 2"


def test_a_byte_order_mark_and_any_script_are_read(tmp_path: Path) -> None:
    path = write(tmp_path / "a.ipynb", code("s = 'žluťoučký 🐎'"))
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert ipynb.read(path).cells[0].source == "s = 'žluťoučký 🐎'"


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"language_info": {"name": "python"}},
        {"kernelspec": {"name": "x", "language": "Python"}},
    ],
)
def test_a_notebook_that_names_no_other_language_is_python(
    tmp_path: Path, metadata: dict[str, Any]
) -> None:
    assert ipynb.read(write(tmp_path / "a.ipynb", code(), metadata=metadata)).cells


def test_outputs_and_attachments_are_dropped(tmp_path: Path) -> None:
    output = {"output_type": "stream", "name": "stdout", "text": "secret output"}
    picture = {"a.png": {"image/png": "c2VjcmV0"}}
    path = write(tmp_path / "a.ipynb", code(outputs=[output], attachments=picture))
    document = ipynb.load(path)
    assert set(document["cells"][0]) == {"cell_type", "source", "metadata", "execution_count"}


def test_outputs_of_many_cells_are_never_in_memory_together(tmp_path: Path) -> None:
    numbers = [{"output_type": "display_data", "data": {"n": list(range(20_000))}}]
    path = write(tmp_path / "a.ipynb", *(code(outputs=numbers) for _ in range(50)))
    size = path.stat().st_size
    tracemalloc.start()
    try:
        ipynb.load(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 3 * size  # bytes, text, and a cell; the numbers of all would take six times it


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"import os\n", "not JSON"),
        (b"\xff\xfe\xff", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "without an 'nbformat'"),
        (b'{"nbformat": "4", "cells": []}', "without an 'nbformat'"),
        (b'{"cells": []}', "without an 'nbformat'"),
        (b'{"nbformat": 3, "worksheets": [{"cells": []}]}', "--nbformat 4 --inplace"),
        (b'{"nbformat": 5, "cells": []}', "open it in Jupyter and save it"),
        (b'{"nbformat": 4}', "without cells"),
        (b'{"nbformat": 4, "cells": [1]}', "cell 1 has no cell_type"),
        (b'{"nbformat": 4, "cells": [{"cell_type": "code"}]}', "cell 1 has no cell_type"),
        (b'{"nbformat": 4, "cells": [{"cell_type": "code", "source": [1]}]}', "no source"),
    ],
)
def test_what_is_no_notebook_says_what_to_do(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "a.ipynb"
    path.write_bytes(content)
    with pytest.raises(errors.InvalidNotebook, match=said) as caught:
        ipynb.read(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    "metadata",
    [
        {"kernelspec": {"name": "ir", "language": "R"}},
        {"language_info": {"name": "julia"}},
        {"kernelspec": {"name": "sage", "language": "sage"}, "language_info": {"name": "python"}},
    ],
)
def test_another_language_is_refused_by_name(tmp_path: Path, metadata: dict[str, Any]) -> None:
    path = write(tmp_path / "a.ipynb", code("x <- 1"), metadata=metadata)
    assert ipynb.load(path)["cells"]
    with pytest.raises(errors.InvalidNotebook, match=r"a notebook in (R|julia|sage)"):
        ipynb.read(path)


@pytest.mark.parametrize(
    "cells",
    [
        [],
        [code(""), code(" \n\n")],
        [code("# nothing yet\n")],
        [{"cell_type": "markdown", "source": "text", "metadata": {}}],
        [{"cell_type": "raw", "source": "text", "metadata": {}}],
    ],
)
def test_a_notebook_without_code_is_empty(tmp_path: Path, cells: list[Any]) -> None:
    with pytest.raises(errors.EmptyEntry, match="no cell with code"):
        ipynb.read(write(tmp_path / "a.ipynb", *cells))


def test_a_file_of_no_bytes_is_empty(tmp_path: Path) -> None:
    (tmp_path / "a.ipynb").touch()
    with pytest.raises(errors.EmptyEntry, match="save the notebook first"):
        ipynb.read(tmp_path / "a.ipynb")


def test_a_missing_notebook_is_named_with_the_near_one(tmp_path: Path) -> None:
    write(tmp_path / "train.ipynb", code())
    with pytest.raises(errors.MissingInput, match=r"did you mean '.*train\.ipynb'"):
        ipynb.read(tmp_path / "trian.ipynb")


def test_a_folder_is_no_notebook(tmp_path: Path) -> None:
    with pytest.raises(errors.UnreadableInput, match="is a folder"):
        ipynb.read(tmp_path)


def test_a_notebook_that_can_t_be_read_says_so(tmp_path: Path) -> None:
    path = tmp_path / "a.ipynb"
    path.symlink_to(path)
    with pytest.raises(errors.UnreadableInput, match="leads back to itself"):
        ipynb.read(path)
