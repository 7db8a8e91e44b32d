from fairing_core.testing import BackendConformance


class TestLocal(BackendConformance):
    backend = "local"


class TestKubernetes(BackendConformance):
    backend = "kubernetes"
    can_run = False
