"""``python -m fairing_core.cli``: the command, where it is not on the PATH."""

from fairing_core.cli import main

main()
