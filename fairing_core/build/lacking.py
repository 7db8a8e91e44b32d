"""What the code imports and its base image lacks, told before anything is built."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fairing_core import errors, log
from fairing_core.build.bases import Base
from fairing_core.images.cache import Cache
from fairing_core.images.decompress import BadLayer
from fairing_core.images.modules import UNCLEAR, modules
from fairing_core.types import Check, Import

logger = log.named(__name__)

LIMIT = 200_000_000
"""Bytes of layers, as they are stored, that are read to learn what an image has; others are not."""

_SHOWN = 5  # modules that an error names


def check_imports(base: Base, imports: Sequence[Import], cache: Cache) -> Check | None:
    """Whether the image has what the code imports; None where it imports nothing of others.

    Each layer is read once, from the top down and no further than needed, and remembered.

    Raises:
        ImageError: it lacks a module, for certain.
    """
    if not imports:
        return None
    wanted = {each.module: each for each in imports}
    names = ", ".join(sorted(wanted))
    there = _modules(base, wanted.keys(), cache)
    if there is None or UNCLEAR in there:
        why = "is not known: " + (
            f"its layers have more than {LIMIT // 1_000_000} MB"
            if there is None
            else "it has modules that come from elsewhere (.pth files, eggs, PYTHONPATH)"
        )
        missing = sorted(wanted.keys() - (there or ()))
        if not missing:
            return Check("imports", True, f"{base.name} has {names}")
        told = f"{', '.join(missing)} will not travel, and whether {base.name} has it {why}"
        logger.warning("%s", told)
        return Check("imports", None, told)
    lacking = [wanted[name] for name in sorted(wanted.keys() - there)]
    if lacking:
        raise errors.ImageError(_told(base.name, lacking))
    return Check("imports", True, f"{base.name} has {names}")


def _modules(base: Base, wanted: Iterable[str], cache: Cache) -> set[str] | None:
    """The modules that the image has, as far as they are asked for; None where it is too large."""
    found = set[str]()
    variables = (base.config.get("config") or {}).get("Env") or ()
    if any(str(each).startswith("PYTHONPATH=") for each in variables):
        found.add(UNCLEAR)
    left = LIMIT
    for layer in reversed(base.manifest.layers):
        if found.issuperset(wanted):
            break
        known = cache.load("modules", layer.digest)
        if not isinstance(known, list):
            left -= layer.size
            if left < 0:
                return None
            try:
                known = sorted(modules(base.repository.stream(layer, progress=lambda _: None)))
            except BadLayer:
                found.add(UNCLEAR)
                continue
            cache.save("modules", layer.digest, known)
        found.update(known)
    return found


def _told(image: str, lacking: Sequence[Import]) -> str:
    shown = "; ".join(f"{each.where} imports {each.module}" for each in lacking[:_SHOWN])
    more = f" (and {len(lacking) - _SHOWN} more)" if len(lacking) > _SHOWN else ""
    lines = " ".join(_requirement(each.module) for each in lacking)
    return (
        f"{shown}{more}, which {image} lacks; name a base image that has it, or put {lines} into a "
        "requirements.txt among input_files, which 'cluster' and 'docker' install. An import in "
        "try ... except ImportError is not looked at"
    )


def _requirement(module: str) -> str:
    """The line of a requirements.txt for a module, by what is installed here."""
    import importlib.metadata

    for name in importlib.metadata.packages_distributions().get(module, ()):
        return f"{name}=={importlib.metadata.version(name)}"
    return module
