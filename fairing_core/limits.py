"""What no process can be given.

Source: Linux, execve(2) (MAX_ARG_STRLEN).
"""

from __future__ import annotations

import os

from fairing_core import errors

ARGUMENT = 131_071
"""Bytes of one argument, or one ``NAME=value``, on Linux (MAX_ARG_STRLEN less its NUL)."""


def check_argument(text: str, what: str) -> None:
    """Refuses what can't be an argument; `what` names it in the error.

    Raises:
        InvalidArgument: a NUL, a character that no bytes stand for, or more than `ARGUMENT` bytes.
            The text itself is not shown: it may be a secret.
    """
    if "\0" in text:
        raise errors.InvalidArgument(f"{what} has a NUL at {text.index(chr(0))}; take it out")
    try:
        size = len(os.fsencode(text))
    except UnicodeEncodeError as exc:
        raise errors.InvalidArgument(
            f"{what} has at {exc.start} a character that this locale's {exc.encoding} lacks"
        ) from None
    if size > ARGUMENT:
        raise errors.InvalidArgument(
            f"{what} has {size:,} bytes; Linux takes {ARGUMENT:,} at most. "
            "Pass it in a file (input_files=...), or as a function's argument"
        )


def check_utf8(text: str, what: str) -> None:
    """Refuses what an API that speaks JSON would garble; `what` names it in the error.

    Raises:
        InvalidArgument: it stands for bytes that are no UTF-8.
    """
    try:
        text.encode()
    except UnicodeEncodeError as exc:
        raise errors.InvalidArgument(
            f"{what} has at {exc.start} a byte that is no UTF-8, which can't be sent to a cluster; "
            "pass it in a file (input_files=...), or as a function's argument"
        ) from None


def check_variable(name: str, value: str) -> None:
    """Refuses what can't be an environment variable.

    Raises:
        InvalidArgument: the name is empty or has a ``=``, or both together can't be an argument.
    """
    if not name or "=" in name:
        raise errors.InvalidArgument(f"{name!r} can't be the name of a variable")
    check_argument(f"{name}={value}", f"the variable {name!r}")
