"""Notebooks for tests: cells, files, and what became of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from fairing_core.preprocess.notebook import NotebookPreprocessor
from fairing_core.types import BuildContext, Source

PYTHON = {"kernelspec": {"name": "python3", "language": "python", "display_name": "Python 3"}}


def code(source: Any = "print(1)", *tags: str, **more: Any) -> dict[str, Any]:
    """A code cell."""
    return {
        "cell_type": "code",
        "source": source,
        "metadata": {"tags": list(tags)} if tags else {},
        "outputs": [],
        "execution_count": None,
        **more,
    }


def markdown(source: str = "# Title") -> dict[str, Any]:
    """A cell of text."""
    return {"cell_type": "markdown", "source": source, "metadata": {}}


def write(path: Path, *cells: Any, **more: Any) -> Path:
    """A notebook of `cells`; a text is a code cell."""
    made = [code(cell) if isinstance(cell, str) else cell for cell in cells]
    document = {"nbformat": 4, "nbformat_minor": 5, "metadata": PYTHON, "cells": made, **more}
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def packaged(
    path: Path | str = "train.ipynb", args: Iterable[str] = (), **options: Any
) -> BuildContext:
    """The context of a notebook."""
    source = Source("notebook", Path(path), args=tuple(args))
    return NotebookPreprocessor(**options).preprocess(source)


def texts(context: BuildContext) -> Mapping[str, bytes]:
    """The bytes that travel, by their place in the image."""
    return {
        file.destination: file.content
        if isinstance(file.content, bytes)
        else file.content.read_bytes()
        for file in context.files
    }
