"""The backend `scratch`: runs on this machine, with as many threads as you say."""

from collections.abc import Mapping, Sequence

from fairing_core import BackendInterface, LocalBackend, PodPatch, hookimpl

FAIRING_PLUGIN_API = 0


class ScratchBackend(LocalBackend):
    """Runs here; numeric libraries take `threads` threads."""

    name = "scratch"

    def __init__(self, *, threads: int = 1) -> None:
        super().__init__()
        self.threads = threads

    def pod_patches(self, stage: str, image: str) -> Sequence[PodPatch]:
        threads = {"name": "OMP_NUM_THREADS", "value": str(self.threads)}
        return [PodPatch(container={"env": [threads]})]


@hookimpl
def fairing_register_backends() -> Mapping[str, type[BackendInterface]]:
    return {"scratch": ScratchBackend}
