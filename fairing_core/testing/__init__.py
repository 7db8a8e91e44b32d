"""What authors of backends test with.

from fairing_core.testing import BackendConformance

class TestLab(BackendConformance):
    backend = "lab"
"""

from __future__ import annotations

from fairing_core.testing.backend import BackendConformance

__all__ = ["BackendConformance"]
