"""What stays here of a folder, by ``.gitignore``, ``.dockerignore`` and ``.fairingignore``.

Those of the root are one list, in that order, read by Docker's rules: patterns start at the root,
``**`` stands for any folders, a pattern that matches a folder matches what is in it, ``!`` brings
back, and the last that matches wins. So a ``.fairingignore`` may bring back what git leaves out.
Patterns of ``.gitignore`` are put as Docker writes them first: to git, one without a slash is meant
at any depth.

Sources: Docker, "Build context", .dockerignore files; Go, path/filepath, Match; gitignore(5).
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterable, Sequence
from re import Pattern

from fairing_core import errors, log
from fairing_core.faults import fault
from fairing_core.values import frozen

logger = log.named(__name__)

FILES = (".gitignore", ".dockerignore", ".fairingignore")
"""In the order in which they are read."""


@frozen
class Rule:
    """One pattern: what it matches, whether it brings back, and the file that has it."""

    pattern: Pattern[str]
    brings_back: bool
    origin: str


@frozen
class Rules:
    """The patterns of a root; paths are relative to it, with slashes."""

    rules: Sequence[Rule] = ()

    def but_for(self, named: str) -> Rules:
        """Without the patterns that match `named` itself: what is named shall travel."""
        kept = [one for one in self.rules if one.brings_back or not one.pattern.fullmatch(named)]
        return self if len(kept) == len(self.rules) else Rules(kept)

    def leaving_out(self, path: str) -> str | None:
        """The file by which `path` stays here; None where it travels."""
        origin = None
        for rule in self.rules:
            if (origin is not None) is rule.brings_back and rule.pattern.fullmatch(path):
                origin = None if rule.brings_back else rule.origin
        return origin


def of_root(root: str) -> Rules:
    """The patterns that stand in `root`.

    Raises:
        UnreadableInput: a file can't be read, or has a pattern that means nothing.
    """
    return Rules([rule for name in FILES for rule in _of_file(os.path.join(root, name), name)])


def of_patterns(patterns: Iterable[str], origin: str) -> Rules:
    """`patterns` as those files have them.

    Raises:
        InvalidArgument: one of them means nothing.
    """
    try:
        return Rules([rule for text in patterns if (rule := _rule(text, origin))])
    except ValueError as exc:
        raise errors.InvalidArgument(f"{origin} has the pattern {exc}") from exc


def _of_file(path: str, name: str) -> Iterable[Rule]:
    try:
        with open(path, encoding="utf-8-sig", errors="surrogateescape") as file:
            lines = file.read().splitlines()
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        return
    except OSError as exc:
        raise fault(path, exc) from exc
    of_git = name == ".gitignore"
    for number, line in enumerate(lines, 1):
        try:
            rule = None if line.startswith("#") else _rule(_of_git(line) if of_git else line, name)
        except ValueError as exc:
            told = f"{path}, line {number}: the pattern {exc}"
            if not of_git:
                raise errors.UnreadableInput(f"{told}; correct it, or take it out") from exc
            logger.warning("%s. Went on without it", told)  # git has no such fault
            continue
        if rule is not None:
            yield rule


def _of_git(line: str) -> str:
    """A pattern of git's in Docker's words."""
    text = line.strip()
    back, text = ("!", text[1:]) if text.startswith("!") else ("", text)
    is_anchored = "/" in text.rstrip("/")
    return back + (text if is_anchored or not text else f"**/{text}")


def _rule(line: str, origin: str) -> Rule | None:
    """What a line says; None where it says nothing.

    Raises:
        ValueError: which pattern, and why it means nothing.
    """
    text = line.strip()
    brings_back = text.startswith("!")
    pattern = text[1:].strip() if brings_back else text
    if not pattern:
        if brings_back:
            raise ValueError(f"{text!r}, which brings back nothing")
        return None
    cleaned = posixpath.normpath(pattern).lstrip("/")
    if cleaned in ("", "."):
        return None
    return Rule(re.compile(_expression(cleaned), re.DOTALL), brings_back, origin)


def _expression(pattern: str) -> str:
    """A regular expression for paths that it matches, and for all that is below them."""
    found, at, end = [], 0, len(pattern)
    is_plain_after = not any(sign in pattern[2:] for sign in "*?[\\")
    while at < end:
        sign = pattern[at]
        if pattern.startswith("**", at):
            after = at + 2 + pattern.startswith("/", at + 2)
            if after >= end:
                found.append(".*")
            elif at == 0 and after == 2 and is_plain_after:
                found.append(".*")  # `**file` is an ending to Docker
            else:
                found.append("(?:.*/)?")
            at = after
            continue
        if sign == "*":
            found.append("[^/]*")
        elif sign == "?":
            found.append("[^/]")
        elif sign == "[":
            inner, at = _class(pattern, at + 1)
            found.append(inner)
            continue
        elif sign == "\\":
            at += 1
            if at == end:
                raise ValueError(f"{pattern!r}, which ends in a lone backslash")
            found.append(re.escape(pattern[at]))
        else:
            found.append(re.escape(sign))
        at += 1
    return f"{''.join(found)}(?:/.*)?"


def _class(pattern: str, at: int) -> tuple[str, int]:
    """The characters of ``[...]``, and where that ends."""
    fault = ValueError(f"{pattern!r}, whose [ ] is not complete")
    negated = pattern.startswith("^", at)
    at += negated
    parts: list[str] = []
    while True:
        if at >= len(pattern):
            raise fault
        if pattern[at] == "]" and parts:
            break
        low, at = _member(pattern, at, fault)
        high = low
        if pattern.startswith("-", at):
            high, at = _member(pattern, at + 1, fault)
        if low <= high:  # else it is a range of nothing, to Go too
            parts.append(f"{re.escape(low)}-{re.escape(high)}")
        else:
            parts.append("")
    inner = "".join(parts)
    if not inner:
        return ("." if negated else "(?!)"), at + 1
    return f"[{'^' if negated else ''}{inner}]", at + 1


def _member(pattern: str, at: int, fault: ValueError) -> tuple[str, int]:
    if at >= len(pattern) or pattern[at] in "-]":
        raise fault
    if pattern[at] == "\\":
        at += 1
        if at >= len(pattern):
            raise fault
    return pattern[at], at + 1
