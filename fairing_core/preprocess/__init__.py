"""Packages what the user wants to run: `PythonPreprocessor` and `FunctionPreprocessor`.

Both give a `BuildContext`: the files that travel, the command, and a digest that is the same on any
machine for the same files.
"""

from __future__ import annotations

from fairing_core.preprocess.context import pack as pack
from fairing_core.preprocess.function import FunctionPreprocessor as FunctionPreprocessor
from fairing_core.preprocess.python import PythonPreprocessor as PythonPreprocessor

__all__ = ["FunctionPreprocessor", "PythonPreprocessor", "pack"]
