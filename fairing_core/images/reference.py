"""Names of images, as docker reads and writes them.

The grammar is distribution/reference's::

    reference  := [registry "/"] repository [":" tag] ["@" digest]
    registry   := host [":" port]              host: a name, an IPv4 address, "[" IPv6 address "]"
    repository := component {"/" component}    component: [a-z0-9]+ joined by . _ __ or dashes
    tag        := [A-Za-z0-9_][A-Za-z0-9_.-]{0,127}
    digest     := algorithm ":" hex            sha256, sha384, sha512

What comes before the first slash is a registry if it has a dot or a colon or an upper-case letter
in it, or is ``localhost``; else the image is Docker Hub's. Stricter than docker in what nobody
could reach or would mean: ports above 65535, ``[:::]``, hosts with an underscore (docker takes
them for a path on no registry), and ``sha256:<64 hex>``, which is a digest without a name.

Source: https://github.com/distribution/reference, reference.go, regexp.go and normalize.go;
opencontainers/go-digest v1.0 for the algorithms.
"""

from __future__ import annotations

import re

from fairing_core import errors
from fairing_core.values import field, frozen, replace

HUB = "docker.io"
"""Docker Hub's name in references; its API is at ``registry-1.docker.io``."""

_HUB_API = "registry-1.docker.io"
_LEGACY_HUB = "index.docker.io"
_OFFICIAL = "library/"
_LONGEST = 255  # characters of a repository; without the registry's since reference v0.6

_HOST = re.compile(
    r"(?:(?P<name>[A-Za-z0-9]+(?:-+[A-Za-z0-9]+)*(?:\.[A-Za-z0-9]+(?:-+[A-Za-z0-9]+)*)*)"
    r"|\[(?P<ipv6>[A-Fa-f0-9:]+)\])(?::(?P<port>[0-9]+))?"
)
_COMPONENT = re.compile(r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_HEX = re.compile(r"[0-9a-f]+")
_DIGEST_LENGTHS = {"sha256": 64, "sha384": 96, "sha512": 128}  # hex digits
_IDENTIFIER = re.compile(r"[0-9a-f]{64}")
_LONE_DIGEST = re.compile(r"sha(?:256:[0-9a-f]{64}|384:[0-9a-f]{96}|512:[0-9a-f]{128})")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_USER = re.compile(r"\A([A-Za-z][A-Za-z0-9+.-]*://)?[^/]*@(?=[^@]*/)")  # user:password@host/...


@frozen
class ImageRef:
    """An image, or a repository, by its full name; no value of this class is outside the grammar.

    `registry` is ``host[:port]``, `repository` the path on it. Without `tag` and `digest` it
    names a repository, or, where an image is asked for, its tag ``latest``.

    Example:
        >>> ref = ImageRef.parse("python:3.12")
        >>> str(ref)
        'docker.io/library/python:3.12'
        >>> str(ref.tagged("3.13"))
        'docker.io/library/python:3.13'
        >>> ImageRef.parse("localhost:5000/team/app").repository
        'team/app'

    Raises:
        InvalidReference: a part that the grammar doesn't have, or a short name (`parse` takes it).
    """

    registry: str
    repository: str
    tag: str | None = field(default=None, kw_only=True)
    digest: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        fault = _fault_of_parts(self.registry, self.repository, self.tag, self.digest)
        if not fault and _split(self.name) != (self.registry, self.repository):
            full = "/".join(_split(self.name))
            fault = f"it is a short name, and is read as {full!r}; use ImageRef.parse"
        if fault:
            raise _invalid(str(self), fault)

    @classmethod
    def parse(cls, text: str) -> ImageRef:
        """The image that `text` names; the short names of Docker Hub are made full.

        Raises:
            InvalidReference: `text` names no image.
        """
        name, at, after = text.partition("@")
        registry, rest = _split(name)
        repository, colon, behind = rest.partition(":")
        tag = behind if colon else None
        digest = after if at else None
        fault = _fault_of_text(text) or _fault_of_parts(registry, repository, tag, digest)
        if fault:
            raise _invalid(text, fault)
        return cls(registry, repository, tag=tag, digest=digest)

    @property
    def host(self) -> str:
        """Where the registry's API is, ``host[:port]``."""
        return _HUB_API if self.registry == HUB else self.registry

    @property
    def name(self) -> str:
        """Registry and repository, without tag and digest."""
        return f"{self.registry}/{self.repository}"

    @property
    def reference(self) -> str:
        """What the registry's API is asked for: the digest, else the tag, else ``latest``."""
        return self.digest or self.tag or "latest"

    @property
    def familiar(self) -> str:
        """The shortest text that `parse` reads as this image, for people.

        >>> ImageRef.parse("docker.io/library/python:3.12").familiar
        'python:3.12'
        """
        full = str(self)
        for prefix in (f"{HUB}/{_OFFICIAL}", f"{HUB}/"):
            short = full.removeprefix(prefix)
            try:
                if short != full and ImageRef.parse(short) == self:
                    return short
            except errors.InvalidReference:  # as docker.io/library/<64 hex>
                continue
        return full

    def at(self, digest: str) -> ImageRef:
        """The image of that digest in the same repository, without a tag.

        Raises:
            InvalidReference: `digest` is none.
        """
        return replace(self, tag=None, digest=digest)

    def tagged(self, tag: str) -> ImageRef:
        """The image of that tag in the same repository, without a digest.

        Raises:
            InvalidReference: no tag can be called so.
        """
        return replace(self, tag=tag, digest=None)

    def __str__(self) -> str:
        tag = "" if self.tag is None else f":{self.tag}"
        digest = "" if self.digest is None else f"@{self.digest}"
        return f"{self.name}{tag}{digest}"


def parse_repository(text: str) -> ImageRef:
    """The repository that `text` names, for what is pushed under tags of our own.

    Raises:
        InvalidReference: `text` names none, or has a tag or a digest, or is a mere host, which
            docker would take for an image of Docker Hub.
    """
    ref = ImageRef.parse(text)
    if ref.digest is not None:
        fault = f"it has a digest, and a repository has none; write {text.partition('@')[0]!r}"
    elif ref.tag is not None:
        fault = f"it has the tag {ref.tag!r}, and a repository has none; leave that out"
    elif "/" not in text and ("." in text or text == "localhost"):
        fault = "it is read as an image of Docker Hub"
    else:
        return ref
    if "/" not in text and ref.digest is None:
        fault = f"{fault}; if it is a registry's host, write '{text}/NAME'"
    raise _invalid(text, fault, what="repository")


def _split(name: str) -> tuple[str, str]:
    """Registry, and what follows it, of a name that may be short (splitDockerDomain)."""
    first, slash, rest = name.partition("/")
    if slash and first == _LEGACY_HUB:
        first = HUB
    if not slash or not (first == "localhost" or re.search(r"[.:]", first) or _upper(first)):
        first, rest = HUB, name
    if first == HUB and "/" not in rest:
        rest = _OFFICIAL + rest
    return first, rest


def _invalid(text: str, fault: str, *, what: str = "image") -> errors.InvalidReference:
    """The error; a password that was written into the name is not in it."""
    shown = _shown(_USER.sub(r"\1***@", text), 400)
    return errors.InvalidReference(f"{shown} names no {what}: {fault}")


def _shown(text: str, length: int = 100) -> str:
    return repr(text) if len(text) <= length else f"{text[:length]!r}..."


# --- what is wrong, as the end of a sentence; empty where nothing is ------------------------------


def _fault_of_text(text: str) -> str:
    """What the parts can't tell: written by people, copied from elsewhere."""
    if not text:
        return "it is empty; write a name like 'python:3.12' or 'registry.example.com/team/app'"
    if text != "".join(text.split()):
        return "it has white space in it; leave that out"
    if scheme := _SCHEME.match(text):
        rest = _USER.sub("", text[scheme.end() :]).strip("/") or "HOST/NAME"
        return f"leave out the scheme {scheme.group()!r}; write {_shown(rest)}"
    if _USER.match(text):
        return "it has a user in it; leave that out, and log in (docker login, podman login)"
    if _IDENTIFIER.fullmatch(text):
        return "it is an image's identifier, known to one engine only; write the image's name"
    if _LONE_DIGEST.fullmatch(text):
        return f"it is a digest without a name; write 'NAME@{text[:15]}...'"
    if text.startswith("[") and "/" not in text:
        return f"it is a host without a repository; write '{text}/NAME'"
    name = text.partition("@")[0]
    if name.startswith((":", "/")) or not name:
        return f"it has no name; write one before {text[0]!r}"
    if name.endswith("/") or "//" in name:
        return "a part between slashes is empty; leave out the slash too many, or name that part"
    return ""


def _fault_of_parts(registry: str, repository: str, tag: str | None, digest: str | None) -> str:
    return (
        _fault_of_registry(registry)
        or _fault_of_repository(repository)
        or _fault_of_tag(tag)
        or _fault_of_digest(digest)
    )


def _fault_of_registry(registry: str) -> str:
    match = _HOST.fullmatch(registry)
    if match is None:
        advice = "write letters, digits, '-' and '.', then a port of digits if there is one"
        if registry.count(":") > 1:
            advice = "write an IPv6 address in brackets, without zone or dots: '[::1]:5000'"
        return f"{_shown(registry)} is no registry's host; {advice}"
    port = match["port"]
    if port is not None and not (len(port) <= 5 and 0 < int(port) < 65536):
        return f"there is no port {port[:20]}; write one from 1 to 65535"
    if match["ipv6"] is not None:
        import ipaddress  # hosts like these are rare

        try:
            ipaddress.IPv6Address(match["ipv6"])
        except ValueError:
            return f"{_shown(match['ipv6'])} is no IPv6 address; write one like '[::1]:5000'"
    return ""


def _fault_of_repository(repository: str) -> str:
    if _upper(repository):
        return f"a repository is in lower case; write {_shown(repository.lower())}"
    for component in repository.split("/"):
        if not _COMPONENT.fullmatch(component):
            return (
                f"{_shown(component)} can't be a part of a repository; write lower-case letters "
                "and digits, and between them single '.', '_' or '__', or dashes"
            )
    if len(repository) > _LONGEST:
        return f"{len(repository)} characters are too many; write {_LONGEST} at most"
    return ""


def _fault_of_tag(tag: str | None) -> str:
    if tag is None or _TAG.fullmatch(tag):
        return ""
    if len(tag) > 128:
        return f"a tag of {len(tag)} characters is too long; write 128 at most"
    return (
        f"{tag!r} can't be a tag; write letters, digits, '_', '.' and '-', "
        "not beginning with '.' or '-'"
    )


def _fault_of_digest(digest: str | None) -> str:
    if digest is None:
        return ""
    algorithm, colon, encoded = digest.partition(":")
    if not colon:
        return f"{_shown(digest)} is no digest; write 'sha256:' and 64 hex digits"
    length = _DIGEST_LENGTHS.get(algorithm)
    if length is None:
        return (
            f"digests by {_shown(algorithm)} are unknown; write one by {', '.join(_DIGEST_LENGTHS)}"
        )
    if len(encoded) != length:
        return f"a {algorithm} digest has {length} hex digits, this one {len(encoded)}; copy all"
    if not _HEX.fullmatch(encoded):
        return "a digest's hex digits are 0-9 and a-f, in lower case; copy it again"
    return ""


def _upper(text: str) -> bool:
    return text != text.lower()
