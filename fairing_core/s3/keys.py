"""The keys of a store: whose they are is told, what they are is not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

KUBEFLOW_SECRET = "mlpipeline-minio-artifact"  # noqa: S105 - a name
"""Where Kubeflow Pipelines keep the keys of their store, in the namespace of each profile."""

ENTRIES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
KUBEFLOW_ENTRIES = ("accesskey", "secretkey")


@dataclass(frozen=True)
class Keys:
    """An access key and its secret; temporary ones have a token. `origin` says where they were."""

    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    token: str = field(default="", repr=False, kw_only=True)
    origin: str = field(default="the settings access_key and secret_key", kw_only=True)

    @property
    def variables(self) -> dict[str, str]:
        """As the environment variables that S3 clients read."""
        found = dict(zip(ENTRIES, (self.access_key, self.secret_key), strict=True))
        return {**found, "AWS_SESSION_TOKEN": self.token} if self.token else found


def entries_of(secret: str, said: tuple[str, ...] | None = None) -> tuple[str, str]:
    """Which entries of a Secret are the access key and its secret: as said, else by its name."""
    if said:
        first, second = said
        return first, second
    return KUBEFLOW_ENTRIES if secret == KUBEFLOW_SECRET else ENTRIES


def keys_in(content: Mapping[str, bytes], entries: tuple[str, str], origin: str) -> Keys | None:
    """The keys that a Secret holds, in those entries or in others that are usual; None is none."""
    for first, second in (entries, ENTRIES, KUBEFLOW_ENTRIES):
        if first in content and second in content:
            texts = (content[name].decode("utf-8", "replace").strip() for name in (first, second))
            return Keys(*texts, origin=origin)
    return None
