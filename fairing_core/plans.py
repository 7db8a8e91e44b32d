"""What a run would be: the objects, the files that travel, and what stands in the way."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from fairing_core.progress import shown_size
from fairing_core.types import BuildContext, Check
from fairing_core.values import field, frozen

_SHOWN = 20  # files that a report names
_WORD = re.compile(r"(?i)(?!(?:y|n|yes|no|on|off|true|false|null)$)[a-z][a-z0-9_./-]*")
_MARKS = {True: "ok", False: "FAIL", None: "?"}


@frozen
class Plan:
    """A run that was not submitted.

    `manifests` are the objects that would be sent, byte for byte, as plain dicts; `image` is what
    they run: with its digest once it is built, else by the name that it will get. `context` holds
    the files that travel, each with its size and the reason. `checks` are what was looked at;
    in a plan that `is_clear`, none of them has failed.
    """

    name: str
    image: str
    context: BuildContext = field(repr=False)
    manifests: tuple[Mapping[str, Any], ...] = field(kw_only=True, repr=False)
    checks: tuple[Check, ...] = field(kw_only=True, repr=False)

    @property
    def is_built(self) -> bool:
        """Whether the image is there already."""
        return "@sha256:" in self.image

    @property
    def is_clear(self) -> bool:
        """Whether nothing is known that stands in the way."""
        return all(check.ok is not False for check in self.checks)

    def yaml(self) -> str:
        """The objects as ``kubectl apply -f`` takes them."""
        return "".join(f"---\n{_yaml(manifest)}" for manifest in self.manifests)

    def report(self) -> str:
        """For people: what travels, what is run, and what was looked at."""
        files = sorted(self.context.files, key=lambda file: -file.size)
        count = f"{len(files)} file{'' if len(files) == 1 else 's'}"
        lines = [f"{self.name} would ship {count}, {shown_size(self.context.size)}:"]
        shown = [(f.destination, shown_size(f.size), f.reason) for f in files[:_SHOWN]]
        lines += _aligned(shown)
        if more := files[_SHOWN:]:
            size = shown_size(sum(file.size for file in more))
            lines.append(f"  and {len(more)} smaller ones, {size}")
        state = "there already" if self.is_built else "not built yet"
        lines.append(f"and run {self.image} ({state})")
        lines += _aligned([(_MARKS[c.ok], c.name, c.detail) for c in self.checks])
        return "\n".join(lines)

    def __str__(self) -> str:
        return f"{self.report()}\n{self.yaml()}"

    def _repr_html_(self) -> str:
        import html

        return f"<pre>{html.escape(self.report())}</pre><pre>{html.escape(self.yaml())}</pre>"


def _aligned(rows: list[tuple[str, str, str]]) -> list[str]:
    first, second = (max((len(row[at]) for row in rows), default=0) for at in (0, 1))
    indent = "\n" + " " * (first + second + 6)
    return [
        f"  {a:<{first}}  {b:<{second}}  {c.replace(chr(10), indent)}".rstrip() for a, b, c in rows
    ]


def _yaml(content: Mapping[str, Any]) -> str:
    """YAML in which every text is quoted, but for words that mean themselves everywhere.

    Kubernetes reads YAML 1.1 by a parser of its own, and what is a text to one parser is a number
    or a truth value to another: ``1e3``, ``0o7``, ``y``.
    """
    import yaml

    dumper: Any = type("Dumper", (yaml.SafeDumper,), {"ignore_aliases": lambda *_: True})
    dumper.add_representer(str, _quoted)
    dumped: str = yaml.dump(
        _plain(content), Dumper=dumper, sort_keys=False, allow_unicode=True, width=1 << 30
    )
    return dumped


def _quoted(dumper: Any, value: str) -> Any:
    style = None if _WORD.fullmatch(value) else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
