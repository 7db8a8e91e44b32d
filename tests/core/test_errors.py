import inspect
import pickle
from typing import Any

import pytest

from fairing_core import errors

CLASSES = [
    value
    for value in vars(errors).values()
    if inspect.isclass(value) and issubclass(value, errors.FairingError)
]
FIELDS: dict[type, dict[str, Any]] = {
    errors.PluginError: {"distribution": "fairing-x"},
    errors.NotPicklable: {"variable": "config['lock']"},
    errors.InvalidCell: {"cell": 3, "line": 2},
    errors.MissingRequirements: {"lacking": ("pandas>=2",)},
    errors.SecretFile: {"paths": ("conf/.env",)},
    errors.WaitTimeout: {"uri": "fairing://a/b/c/d", "status": "running"},
    errors.RunFailed: {"uri": "fairing://a/b/c/d", "returncode": 3, "type": "ValueError"},
    errors.RegistryError: {"host": "localhost:5000", "status": 403, "code": "DENIED"},
    errors.StorageError: {"url": "s3://lab/x", "status": 404, "code": "NoSuchKey"},
    errors.BuildError: {"kind": "run-failed", "tail": "exit status 7\n"},
    errors.RunError: {"uri": "fairing://a/b/c/d"},
}


def fields_of(cls: type) -> dict[str, Any]:
    return next((FIELDS[base] for base in cls.__mro__ if base in FIELDS), {})


@pytest.mark.parametrize("cls", CLASSES)
def test_every_error_pickles_with_its_fields(cls: type[errors.FairingError]) -> None:
    error = cls("what, which, next", **fields_of(cls))
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is cls
    assert str(copy) == "what, which, next"
    assert vars(copy) == vars(error)


def test_every_error_has_an_exit_code_of_its_own() -> None:
    codes = [cls.exit_code for cls in CLASSES]
    assert len(set(codes)) == len(codes)
    assert all(0 < code < 125 for code in codes)  # 126 and above are the shell's


@pytest.mark.parametrize("cls", CLASSES)
def test_the_tree_in_the_docstring_names_every_error_and_its_code(
    cls: type[errors.FairingError],
) -> None:
    assert errors.__doc__ is not None
    lines = [line for line in errors.__doc__.splitlines() if f" {cls.__name__} " in f"{line} "]
    assert lines, cls
    if cls is not errors.RunFailed:  # ends with the run's own
        assert f" {cls.exit_code}" in lines[0]


def test_the_near_name_is_suggested_and_all_are_listed() -> None:
    text = errors.near("dokcer", ["docker", "append"])
    assert text == "; did you mean 'docker'? Known: append, docker"
    assert errors.near("x", []) == ". Known: none"
