"""Which notebook this program runs in."""

from __future__ import annotations

from pathlib import Path

from fairing_core import errors


def current_notebook() -> Path:
    """The notebook that runs now.

    Raises:
        EmptyEntry: it is not known.
    """
    raise errors.EmptyEntry(
        "which notebook is to run is not known here; name it: "
        "fairing.config.set_preprocessor('notebook', notebook_file='train.ipynb')"
    )
