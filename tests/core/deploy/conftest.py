"""The API server that does as it is told."""

from tests.core.cluster.conftest import api, there

__all__ = ["api", "there"]
