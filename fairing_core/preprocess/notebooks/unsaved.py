"""Notices what a notebook's kernel ran and the notebook's file has not."""

from __future__ import annotations

import difflib
import os
import time
from collections.abc import Mapping, Sequence
from typing import Any

from fairing_core.preprocess.notebooks import current

_SHOWN = 5


def unsaved(path: str | os.PathLike[str], document: Mapping[str, Any]) -> str | None:
    """What to warn of: cells that ran in this kernel after the file was saved; None if none did.

    It goes by IPython's history, and by the numbers that the file's cells have had when it was
    saved. Nothing is run. What was edited and never run can't be known here.

    Args:
        path: the notebook's file.
        document: what is in it.
    """
    ran = _history()
    saved = _saved(document)
    if not _is_ours(path, ran, saved):
        return None
    numbers = _later(ran, saved)
    if not numbers:
        return None
    told = ", ".join(f"In [{number}]" for number in numbers[:_SHOWN])
    more = f" and {len(numbers) - _SHOWN} more" if len(numbers) > _SHOWN else ""
    one = len(numbers) == 1
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(os.stat(path).st_mtime))
    return (
        f"{os.path.basename(path)} was saved last at {when}, and {told}{more} ran here since, "
        f"which {'is' if one else 'are'} not in it: {'it stays' if one else 'they stay'} here; "
        "save the notebook and run this cell again"
    )


def _history() -> Sequence[str]:
    """What ran in this kernel, by its number; the first ("") is nobody's."""
    manager = getattr(current.shell(), "history_manager", None)
    return [_plain(text) for text in getattr(manager, "input_hist_raw", ())]


def _saved(document: Mapping[str, Any]) -> Sequence[tuple[str, int]]:
    """Each code cell's text, and the number it ran as before it was saved (0: it did not)."""
    found = []
    for cell in document["cells"]:
        if isinstance(cell, dict) and cell.get("cell_type") == "code":
            source, number = cell.get("source"), cell.get("execution_count")
            lines = source if isinstance(source, list) else [source]
            text = "".join(line for line in lines if isinstance(line, str))
            found.append((_plain(text), number if isinstance(number, int) else 0))
    return found


def _plain(text: str) -> str:
    return text.replace("\r\n", "\n").strip()


def _is_ours(path: str | os.PathLike[str], ran: Sequence[str], saved: Any) -> bool:
    """Whether the file is this kernel's: by name, or because something of it ran here."""
    if os.path.basename(current.session_name()) == os.path.basename(path):
        return True
    return any(text and text in ran for text, _ in saved)


def _later(ran: Sequence[str], saved: Sequence[tuple[str, int]]) -> list[int]:
    """The numbers of what ran after the save and is not in the file."""
    texts = {text for text, _ in saved}
    # A number says when the file was saved, if it is of this kernel, and not of one before it.
    before = max((n for text, n in saved if 0 < n < len(ran) and ran[n] == text), default=0)
    last = {text: number for number, text in enumerate(ran)}
    found = []
    for number, text in enumerate(ran):
        if number > before and text and text not in texts and last[text] == number:
            close = difflib.get_close_matches(text, texts, n=1, cutoff=0.5)
            if not (close and last.get(close[0], 0) > number):  # else it was edited, run and saved
                found.append(number)
    return found
