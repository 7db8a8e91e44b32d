"""The embedded default backend: runs on this machine, no cluster, no registry, no daemon."""

from fairing_core.local.backend import LocalBackend

__all__ = ["LocalBackend"]
