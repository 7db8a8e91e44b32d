"""What is imported, and what is not: seen in fresh interpreters of clean environments."""

from __future__ import annotations

import json

import pytest

from tests.packaging.world import MEMBERS, Environment, Environments, Wheels

SLOW = (
    *("pluggy", "importlib.metadata", "kubernetes", "docker", "boto3", "google", "requests"),
    *("yaml", "asyncio"),
)
SDKS = ("boto3", "botocore", "google.cloud", "google.auth", "docker", "kubernetes")

LOADED = """
import json, sys
{code}
print(json.dumps(sorted(sys.modules)))
"""

REFUSED = """
from fairing_core import TrainJob
from fairing_core.errors import NoCluster, RegistryUnreachable, Unsupported
try:
    TrainJob(len, "127.0.0.1:9/none", args=("abc",), backend="{backend}").submit()
except RegistryUnreachable as error:
    assert "127.0.0.1:9" in str(error), error  # whose registry goes without saying
except Unsupported as error:
    assert "fairing-{backend}" in str(error), error
except NoCluster as error:
    assert "there is no kubeconfig" in str(error), error
else:
    raise AssertionError("it ran")
"""

AMBIENT = """
FAIRING_PLUGIN_API = 0
"""


def loaded(environment: Environment, code: str) -> set[str]:
    done = environment.python(LOADED.format(code=code))
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout))


@pytest.fixture
def everything(wheels: Wheels, environments: Environments) -> Environment:
    """Core, its plugins, all that they depend on, and an ambient plugin."""
    ambient = wheels.plugin(AMBIENT, group="fairing.plugins", distribution="fairing-watcher")
    ours = (wheels.ours(f"fairing-{name}") for name in ("core", *MEMBERS))
    return environments.having(*ours, ambient)


@pytest.mark.parametrize(
    "code",
    [
        "import fairing_core",
        "from fairing_core import TrainJob",
        "from fairing_core import TrainJob; TrainJob(len, backend='aws')",
    ],
)
def test_importing_core_loads_nothing_slow(everything: Environment, code: str) -> None:
    assert not loaded(everything, code) & set(SLOW)


@pytest.mark.parametrize("member", MEMBERS)
def test_naming_a_backend_imports_it_and_ambient_plugins_only(
    everything: Environment, member: str
) -> None:
    modules = loaded(everything, REFUSED.format(backend=member))
    ours = {name for name in modules if name in {f"fairing_{other}" for other in MEMBERS}}
    assert ours == {f"fairing_{member}"}
    assert "fairing_watcher" in modules
    assert not modules & set(SDKS)


def test_a_local_run_imports_no_plugin_but_ambient_ones(everything: Environment) -> None:
    modules = loaded(
        everything,
        "from fairing_core import TrainJob\n"
        "assert TrainJob(len, args=('abc',), backend='local').submit().result(timeout=60) == 3",
    )
    assert not modules & {f"fairing_{member}" for member in MEMBERS}
    assert "fairing_watcher" in modules
    assert not modules & set(SDKS)


def test_listing_plugins_imports_none(everything: Environment) -> None:
    modules = loaded(
        everything,
        "from fairing_core.cli import main\n"
        "import contextlib, io\n"
        "with contextlib.redirect_stdout(io.StringIO()) as text:\n"
        "    with contextlib.suppress(SystemExit):\n"
        "        main(['plugins', '--json'])\n"
        "assert 'fairing-watcher' in text.getvalue()",
    )
    assert "fairing_watcher" not in modules
    assert not modules & {f"fairing_{member}" for member in MEMBERS}


@pytest.mark.parametrize("member", MEMBERS)
def test_a_plugin_installs_alone(member: str, wheels: Wheels, environments: Environments) -> None:
    environment = environments.having(wheels.ours("fairing-core"), wheels.ours(f"fairing-{member}"))
    modules = loaded(environment, REFUSED.format(backend=member))
    assert not modules & set(SDKS)
    listed = environment.fairing("backends", "--json")
    assert {row["name"] for row in json.loads(listed.stdout)} == {"kubernetes", "local", member}
    absent = {"aws": "google.cloud", "gcp": "boto3", "onprem": "google.cloud"}[member]
    find = f"import importlib.util as u; print(u.find_spec({absent.partition('.')[0]!r}))"
    assert environment.python(find).stdout == "None\n"


def test_aws_alone_has_its_store_its_registry_and_no_other_clouds_sdk(
    wheels: Wheels, environments: Environments
) -> None:
    environment = environments.having(wheels.ours("fairing-core"), wheels.ours("fairing-aws"))
    modules = loaded(
        environment,
        "from fairing_aws import AWSBackend\n"
        "import os, sys\n"
        "os.environ.update(AWS_ACCESS_KEY_ID='a', AWS_SECRET_ACCESS_KEY='b')\n"
        "backend = AWSBackend(region='eu-central-1', bucket='lab', image_registry='r.lab/ml')\n"
        "assert backend.registry().repository('x') == 'r.lab/ml/x'\n"
        "assert 'botocore' not in sys.modules\n"
        "store = backend.storage()\n"
        "assert 'lab.s3' in store.signed_url(store.url('a'), seconds=60)",
    )
    assert "botocore" in modules
    assert not modules & {"docker", "google", "google.cloud", "kubernetes"}


def test_onprem_alone_has_its_store_and_no_other_clouds_sdk(
    wheels: Wheels, environments: Environments
) -> None:
    environment = environments.having(wheels.ours("fairing-core"), wheels.ours("fairing-onprem"))
    modules = loaded(
        environment,
        "from fairing_onprem import OnPremBackend\n"
        "import sys; assert 'botocore' not in sys.modules\n"
        "backend = OnPremBackend(endpoint_url='http://minio:9000', access_key='a', secret_key='b',"
        " image_registry='registry.lab.example/ml')\n"
        "assert backend.registry().repository('x') == 'registry.lab.example/ml/x'\n"
        "assert 'botocore' not in sys.modules\n"
        "store = backend.storage()\n"
        "assert store.signed_url(store.url('a'), seconds=60).startswith('http://minio:9000/')",
    )
    assert "botocore" in modules
    assert not modules & {"docker", "google", "google.cloud", "kubernetes"}
    find = "import importlib.util as u; print([u.find_spec(n) for n in ('docker', 'google')])"
    assert environment.python(find).stdout == "[None, None]\n"


def test_gcp_alone_has_its_store_and_no_other_clouds_sdk(
    wheels: Wheels, environments: Environments
) -> None:
    environment = environments.having(wheels.ours("fairing-core"), wheels.ours("fairing-gcp"))
    modules = loaded(
        environment,
        "import io, os, sys\n"
        "os.environ['STORAGE_EMULATOR_HOST'] = 'http://127.0.0.1:9'\n"
        "from fairing_core import errors\n"
        "from fairing_gcp import GCPBackend\n"
        "backend = GCPBackend(project='lab-1', location='europe-west3', bucket='lab')\n"
        "assert backend.registry().repository('x').endswith('.pkg.dev/lab-1/fairing/x')\n"
        "store = backend.storage()\n"
        "assert store.url('a') == 'gs://lab/fairing/a'\n"
        "assert not [name for name in sys.modules if name.startswith('google.')]\n"
        "assert store.signed_url(store.url('a'), seconds=60) is None",
    )
    assert "google.cloud.storage" not in modules  # nobody had to be asked
    find = "import google.cloud.storage, importlib.util as u; print(u.find_spec('boto3'))"
    assert environment.python(find).stdout == "None\n"
