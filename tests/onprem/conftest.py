from __future__ import annotations

from tests.core.s3.conftest import nobody

__all__ = ["nobody"]
