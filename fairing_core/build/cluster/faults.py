"""What an engine's log says of a build that failed: pure functions.

Source: the messages of kaniko v1.24 and buildah v1.28, as seen.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple


class Fault(NamedTuple):
    """What a log says went wrong; `kind` is for programs."""

    kind: str
    cause: str
    next: str


class _Rule(NamedTuple):
    kind: str
    pattern: re.Pattern[str]
    cause: str
    next: str


def _any(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns))


_CONTEXT = r"(?:error resolving source context|getting build context|urllib\.error\.|tarfile\.).*"
_REFUSED = (
    r"(?i:unauthorized|denied|authentication required|forbidden|insufficient_scope|\b40[13]\b)"
)
_AWAY = r"(?:no such host|connection refused|Connection refused|timeout|no route|not known)"

_RULES = (
    _Rule(
        "disk-full",
        _any(r"no space left on device"),
        "its node has no room left",
        "build on another (node_selector=), or with a smaller base image and context",
    ),
    _Rule(
        "context-missing",
        _any(_CONTEXT + r"(?:NoSuchKey|NoSuchBucket|object doesn't exist|404)"),
        "its context is not in the store",
        "build again: it is uploaded anew; something may have deleted it meanwhile",
    ),
    _Rule(
        "context-denied",
        _any(
            _CONTEXT + r"(?:SignatureDoesNotMatch|InvalidAccessKeyId|AccessDenied|ExpiredToken)",
            _CONTEXT + r"(?:no EC2 IMDS role|could not find default credentials|\b403\b)",
        ),
        "the store refuses it the context",
        "give build pods credentials that may read there; 'fairing doctor' looks at them",
    ),
    _Rule(
        "context-unreachable",
        _any(_CONTEXT + _AWAY, _CONTEXT + r"exceeded maximum"),
        "it does not reach the store",
        "say what pods call the store: it may be another name than yours",
    ),
    _Rule(
        "context-cut",
        _any(_CONTEXT + r"(?:unexpected EOF|ReadError)", r"unexpected EOF$"),
        "its context broke off on the way",
        "build again",
    ),
    _Rule(
        "push-denied",
        _any(
            r"error checking push permissions.*" + _REFUSED,
            r"(?:pushing image|error pushing|writing blob|trying to reuse blob|copying image).*"
            + _REFUSED,
        ),
        "the registry refuses the push",
        "log in with an account that may push there ('docker login'), or name another registry",
    ),
    _Rule(
        "registry-untrusted",
        _any(r"x509: ", r"certificate signed by unknown", r"HTTP response to HTTPS client"),
        "it and a registry do not agree on TLS",
        'say how that is reached: plain_http or ca in [tool.fairing.registries."HOST"]',
    ),
    _Rule(
        "registry-unreachable",
        _any(r"dial tcp.*" + _AWAY, r"connect: connection refused", r"lookup .*no such host"),
        "it does not reach a registry",
        'say what pods call it: pod_name in [tool.fairing.registries."HOST"]',
    ),
    _Rule(
        "base-not-found",
        _any(
            r"(?:MANIFEST|NAME)_UNKNOWN", r"(?:manifest|name) unknown", r"manifest for .*not found"
        ),
        "the image that it is built on is not there",
        "name one that is: base_image=, or FROM in your Dockerfile",
    ),
    _Rule(
        "base-denied",
        _any(r"UNAUTHORIZED", r"unauthorized: ", r"no basic auth credentials"),
        "the registry refuses it the image that it is built on",
        "log in with an account that may pull it ('docker login')",
    ),
    _Rule(
        "run-failed",
        _any(
            r"waiting for process to exit: exit status \d+",
            r"while running runtime: exit status \d+",
            r"at STEP .RUN.*exit status \d+",
        ),
        "a RUN step failed",
        "its own output has the reason; mend the step, or what it installs",
    ),
    _Rule(
        "copy-failed",
        _any(r"failed to get fileinfo for", r"copier: stat: ", r"at STEP .(?:COPY|ADD)"),
        "a COPY step names what is not in the context",
        "add it to input_files, or mend the Dockerfile",
    ),
    _Rule(
        "dockerfile",
        _any(r"(?i:parsing dockerfile)", r"(?i:unknown instruction)", r"dockerfile parse error"),
        "the Dockerfile can't be read",
        "mend it at the line that is named",
    ),
)


_NO_PIP = "name a base image whose Python has pip, or that has the packages: base_image="


def fault(lines: Sequence[str]) -> Fault | None:
    """What a log says went wrong; None where it names no error.

    Errors of flags and contexts come first, with all of the usage after them, so every line counts;
    of those that are known, the last.
    """
    telling = [one for one in reversed(_joined(lines)) if re.search(r"(?i)error|fatal|panic", one)]
    for line in telling:
        for rule in _RULES:
            if rule.pattern.search(line):
                cure = _NO_PIP if rule.kind == "run-failed" and _lacks_pip(lines) else rule.next
                return Fault(rule.kind, f"{rule.cause}: {_brief(line)}", cure)
    if telling:
        return Fault("failed", _brief(telling[-1]), "its log has the rest")
    return None


def _joined(lines: Sequence[str]) -> list[str]:
    """The lines, each that announces errors with those."""
    found: list[str] = []
    for line in lines:
        if found and line and found[-1].endswith(("errors:", "errors: ")):
            found[-1] = f"{found[-1].rstrip()} {line}"
        elif found and "errors: " in found[-1] and re.match(r"(?:denied|unauthorized): ", line):
            found[-1] = f"{found[-1]}; {line}"
        else:
            found.append(line)
    return found


def _lacks_pip(lines: Sequence[str]) -> bool:
    return any("No module named pip" in line for line in lines)


def _brief(line: str, most: int = 500) -> str:
    line = re.sub(r"^(?:[Ee]rror|FATA\[\d+\]|time=\S+ level=\w+ msg=)[:\s]*", "", line.strip())
    return line if len(line) <= most else f"{line[:most]}..."
