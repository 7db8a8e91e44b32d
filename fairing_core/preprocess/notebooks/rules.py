"""What becomes of each magic, shell escape and help line of a notebook: one table.

The documentation and the errors follow from it.
"""

from __future__ import annotations

from typing import Literal

from fairing_core.values import frozen

Fate = Literal["dropped", "kept", "required", "refused"]


@frozen
class Rule:
    """What becomes of the magics called `names` (as the user writes them), and why or how."""

    names: str
    fate: Fate
    why: str


RULES = (
    Rule(
        "%matplotlib %gui %config %colors %precision %pprint %xmode %page %tensorboard",
        "dropped",
        "how a notebook shows things; figures are drawn without a screen (`MPLBACKEND=agg`)",
    ),
    Rule(
        "%%html %%HTML %%javascript %%js %%svg %%SVG %%latex %%markdown",
        "dropped",
        "shown by a notebook only: the whole cell",
    ),
    Rule(
        "%load_ext %reload_ext %unload_ext %autoreload %autoawait %automagic %autocall "
        "%doctest_mode %logstart %logon %logoff %logstate %logstop %rehashx %killbgscripts",
        "dropped",
        "the kernel's own affairs",
    ),
    Rule(
        "%who %who_ls %whos %history %hist %lsmagic %magic %quickref %dhist %pinfo %pinfo2 "
        "%pdef %pdoc %pfile %psource %psearch %pycat ?x x? ??x x??",
        "dropped",
        "help, and looking around",
    ),
    Rule("%pdb %debug %tb", "dropped", "a job has nobody to ask"),
    Rule(
        "%timeit %%timeit %memit %mprun %lprun",
        "dropped",
        "measures, and leaves nothing behind: `%%timeit` with its cell",
    ),
    Rule("%time %%time", "kept", "prints the times, as in a notebook"),
    Rule("%prun %%prun", "kept", "runs what it measures, without a profile"),
    Rule("%env %set_env", "kept", "sets or gives a variable of the environment"),
    Rule("%cd %pwd", "kept", "the working directory; a folder that is missing is an error"),
    Rule(
        "!command",
        "kept",
        "run by the shell (`$SHELL`, else bash, else sh), `{expression}` and `$name` filled in; "
        "its exit code is `_exit_code`",
    ),
    Rule(
        "!!command a=!command %system %sx %%system %%sx %%!",
        "kept",
        "likewise; gives the lines of its output, with `.n`, `.s`, `.grep()` and `.fields()`",
    ),
    Rule("%ls %ll %cat %cp %mv %rm %mkdir %rmdir", "kept", "the command of that name"),
    Rule(
        "%%bash %%sh %%script %%python %%python3",
        "kept",
        "the cell is that program's input; `--out`, `--err` and `--no-raise-error` too",
    ),
    Rule("%%writefile %%file", "kept", "writes the cell to a file, `-a` adds to it"),
    Rule("%%capture", "kept", "holds the cell's output back, in a variable if one is named"),
    Rule(
        "%pip",
        "required",
        "`%pip install`, `!pip install`, `!python -m pip install`, `!{sys.executable} -m pip "
        "install` and `uv pip install` become lines of requirements.txt; other commands of pip "
        "are run",
    ),
    Rule("%run %load %loadpy", "refused", "move that code into a module, and import it"),
    Rule("%pylab", "refused", "import what you need: import numpy as np, matplotlib.pyplot as plt"),
    Rule(
        "%conda %mamba %micromamba %uv",
        "refused",
        "name the packages with %pip install, or in a requirements.txt (input_files)",
    ),
    Rule(
        "%%perl %%ruby %%pypy %%python2",
        "refused",
        "use %%script, with a program that the image has",
    ),
    Rule(
        "%alias %alias_magic %bookmark %code_wrap %%code_wrap %dirs %edit %ed %macro %notebook "
        "%pastebin %popd %pushd %recall %rep %rerun %reset %reset_selective %save %sc %store "
        "%unalias %xdel %%debug",
        "refused",
        "there is no IPython inside a run",
    ),
)

_BY_NAME = {name: rule for rule in RULES for name in rule.names.split()}

UNKNOWN = Rule("", "refused", "Fairing doesn't know it")
"""The rule for every magic that the table lacks."""


def rule(name: str) -> Rule:
    """What becomes of the magic `name`, which begins with ``%`` or ``%%``."""
    return _BY_NAME.get(name, UNKNOWN)


def is_known(name: str) -> bool:
    """Whether IPython has a magic `name`."""
    return name in _BY_NAME
