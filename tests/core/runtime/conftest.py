from __future__ import annotations

from tests.core.preprocess.conftest import bare_python, container, project

__all__ = ["bare_python", "container", "project"]
