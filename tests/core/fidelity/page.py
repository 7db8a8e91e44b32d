"""The tables of docs/fidelity.md, made of the scenarios and of the list of differences."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tests.core.fidelity.differences import COLUMNS, DIFFERENCES, Column, listed
from tests.core.fidelity.scenarios import SCENARIOS, Kind

PAGE = Path(__file__).parents[3] / "docs" / "fidelity.md"

_BEGIN = "<!-- Made by python -m tests.core.fidelity from what the tests compare. -->\n"
_END = "<!-- The end of what is made. -->\n"
_HEAD = "| | compared for | `local` | `docker run` | pod |\n| --- | --- | --- | --- | --- |\n"


def page(text: str) -> str:
    """The page `text` with its tables as they have to be."""
    before, rest = text.split(_BEGIN)
    _, after = rest.split(_END)
    return f"{before}{_BEGIN}\n{_HEAD}{''.join(_lines())}\n{''.join(_reasons())}\n{_END}{after}"


def kinds_of(row: str) -> tuple[Kind, ...]:
    """What the row is compared for."""
    found = {one.kind: None for one in SCENARIOS if row in one.reading.rows}
    return tuple(found)


def _lines() -> Iterator[str]:
    groups: dict[tuple[str, ...], list[str]] = {}
    for scenario in SCENARIOS:
        for row in scenario.reading.rows:
            head, _, case = row.partition(": ")
            kinds = kinds_of(row)
            found = (_cell(row, kinds, column) for column in COLUMNS)
            cases = groups.setdefault((head, ", ".join(kinds), *found), [])
            if case not in cases:
                cases.append(case)
    heads = list(dict.fromkeys(head for head, *_ in groups))
    for (head, *cells), cases in sorted(groups.items(), key=lambda one: heads.index(one[0][0])):
        first = f"**{head}**: {'; '.join(cases)}"
        yield f"| {' | '.join([first, *cells])} |\n"


def _cell(row: str, kinds: tuple[Kind, ...], column: Column) -> str:
    """``=`` where it is the same for all, else the number of the reason, and for which it is."""
    found = {kind: listed(column, kind, row) for kind in kinds}
    numbers = []
    for one in dict.fromkeys(found.values()):
        if one is not None:
            number = f"[{DIFFERENCES.index(one) + 1}]"
            those = [kind for kind in kinds if found[kind] is one]
            numbers.append(number if len(those) == len(kinds) else f"{number} ({', '.join(those)})")
    return ", ".join(numbers) or "="


def _reasons() -> Iterator[str]:
    for number, one in enumerate(DIFFERENCES, 1):
        yield f"{number}. {one.there}\n"
