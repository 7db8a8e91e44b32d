from __future__ import annotations

from tests.core.cli.conftest import environ, fairing
from tests.core.s3.conftest import nobody

__all__ = ["environ", "fairing", "nobody"]
