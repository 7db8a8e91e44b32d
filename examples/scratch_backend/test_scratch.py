from fairing_core import TrainJob
from fairing_core.testing import BackendConformance


class TestScratch(BackendConformance):
    backend = "scratch"


def threads() -> str:
    import os

    return os.environ["OMP_NUM_THREADS"]


def test_threads_are_a_setting() -> None:
    run = TrainJob(threads, backend="scratch", backend_options={"threads": 3}).submit()
    assert run.result(timeout=60) == "3"
    run.delete()
