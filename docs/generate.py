"""Writes docs/hooks.md from fairing_core/hookspecs.py: ``python docs/generate.py``."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

from fairing_core import hookspecs

PAGE = Path(__file__).parent / "hooks.md"

_HEAD = """\
# Hooks

<!-- Made by docs/generate.py from fairing_core/hookspecs.py; edit that file. -->

"""


def hook_names() -> list[str]:
    """The hooks, in the order in which they are specified."""
    return [name for name in vars(hookspecs) if name.startswith("fairing_")]


def signature(name: str) -> str:
    """A hook's signature as its source has it, without core's module names."""
    shown = str(inspect.signature(getattr(hookspecs, name))).replace("'", "")
    return f"{name}{shown}"


def page() -> str:
    """The whole reference page."""
    assert hookspecs.__doc__ is not None
    parts = [_HEAD, _prose(hookspecs.__doc__), f"\n`PLUGIN_API` is {hookspecs.PLUGIN_API}.\n"]
    for name in hook_names():
        text = inspect.getdoc(getattr(hookspecs, name)) or ""
        told, _, example = text.partition("Example:\n")
        parts.append(f"\n## `{signature(name)}`\n\n{_prose(told)}")
        if example:
            code = re.sub(r"^ *(>>>|\.\.\.) ?", "", example, flags=re.MULTILINE)
            parts.append(f"\n```python\n{inspect.cleandoc(code)}\n```\n")
    return "".join(parts)


def _prose(text: str) -> str:
    return inspect.cleandoc(text).replace("``", "`") + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
