"""Packages what the user wants to run: `PythonPreprocessor` and `FunctionPreprocessor`.

Both give a `BuildContext`: the files that travel, the command, and a digest that is the same on any
machine for the same files.
"""
