"""What authors of plugins test with.

from fairing_core.testing import BackendConformance

class TestLab(BackendConformance):
    backend = "lab"
"""

from __future__ import annotations

from fairing_core.testing.backend import BackendConformance
from fairing_core.testing.builder import BuilderConformance
from fairing_core.testing.folder import FolderStorage
from fairing_core.testing.registry import RegistryConformance
from fairing_core.testing.storage import StorageConformance

__all__ = [
    "BackendConformance",
    "BuilderConformance",
    "FolderStorage",
    "RegistryConformance",
    "StorageConformance",
]
