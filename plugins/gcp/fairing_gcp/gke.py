"""What a GKE cluster's name in a kubeconfig says: its project and its location."""

from __future__ import annotations

import os
import re
from pathlib import Path

# As 'gcloud container clusters get-credentials' names contexts.
_CONTEXT = re.compile(r"gke_(?P<project>[^_]+)_(?P<location>[^_]+)_.+")
_REGION = ("CLOUDSDK_COMPUTE_REGION", "GOOGLE_CLOUD_REGION", "GOOGLE_CLOUD_LOCATION")


def named_in(context: str | None) -> tuple[str | None, str | None]:
    """Project and region of a context; None where its name doesn't say them.

    Example:
        >>> named_in("gke_lab-1_europe-west3-a_train")
        ('lab-1', 'europe-west3')
        >>> named_in("kind-lab")
        (None, None)
    """
    found = _CONTEXT.fullmatch(context or "")
    return (None, None) if found is None else (found["project"], region(found["location"]))


def region(location: str) -> str:
    """The region of a zone, or the region itself.

    Example:
        >>> region("europe-west3-a"), region("europe-west3")
        ('europe-west3', 'europe-west3')
    """
    return re.sub(r"(?<=\d)-[a-z]$", "", location)


def region_of_environment() -> str | None:
    """What the usual variables say."""
    return next((os.environ[name] for name in _REGION if os.environ.get(name)), None)


def current_context(kubeconfig: str | None) -> str | None:
    """The current context of that file, else of those of KUBECONFIG; None where there is none."""
    import yaml

    named = kubeconfig or os.environ.get("KUBECONFIG") or "~/.kube/config"
    for name in filter(None, named.split(os.pathsep)):
        try:
            told = yaml.safe_load(Path(name).expanduser().read_text(encoding="utf-8"))
        except (OSError, ValueError, yaml.YAMLError):
            continue
        if isinstance(told, dict) and told.get("current-context"):
            return str(told["current-context"])
    return None
