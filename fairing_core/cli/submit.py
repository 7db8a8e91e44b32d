"""``fairing run`` and ``fairing plan``: an entry and what is said of it, as a run or a plan."""

from __future__ import annotations

import contextlib
import json
import sys
from argparse import Namespace
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from fairing_core import errors
from fairing_core.cli.command import argument, as_json, command, pairs
from fairing_core.cli.entry import as_value, load_entry
from fairing_core.cli.output import exit_code, run_fields, show_fields, show_report
from fairing_core.types import RunStatus
from fairing_core.values import plain

if TYPE_CHECKING:
    from fairing_core.interfaces import RunHandle
    from fairing_core.jobs import TrainJob

_LONG = 1_000  # characters of a result that a line shows

_ORDER = (
    argument("entry", metavar="FILE[::FUNCTION]", help="What to run."),
    argument("rest", nargs="*", default=(), metavar="-- ARGS", help="Its arguments."),
    argument("-b", "--backend", help="Where to run (default: FAIRING_BACKEND, else `local`, or "
             "`kubernetes` where a registry is named)."),
    pairs("-o", "--option", dest="backend_options", help="A setting of the backend (`fairing "
          "backends` lists backends)."),
    argument("-i", "--input", dest="inputs", action="append", default=[], metavar="PATH",
             help="A file, folder or glob that travels too."),
    argument("--preprocessor", metavar="NAME", help="How it is packaged (default: "
             "FAIRING_PREPROCESSOR, else by what it is), e.g. full_notebook."),
    pairs("--preprocessor-option", dest="preprocessor_options", help="An option of the "
          "preprocessor, as JSON or as text: parameters='{\"epochs\": 3}'."),
    argument("--allow-secrets", action="append", default=[], metavar="PATTERN",
             help="Files that may travel though they look like secrets."),
    pairs("-e", "--env", dest="environment", help="An environment variable of the program."),
    argument("--output", dest="outputs", action="append", default=[], metavar="PATH",
             help="A file, folder or pattern that comes home after the end (`fairing artifacts`)."),
    argument("--base-image", metavar="IMAGE", help="What the code is put on (default: "
             "FAIRING_BASE_IMAGE, else the backend's)."),
    argument("--registry", metavar="REPOSITORY", help="Where the image goes (default: "
             "FAIRING_REGISTRY, else the backend's)."),
    argument("--builder", metavar="NAME", help="What makes the image (default: "
             "FAIRING_BUILDER, else the first that can: append, docker, cluster)."),
    pairs("--builder-option", dest="builder_options", help="An option of the builder, as JSON "
          "or as text: engine=buildah, timeout=600."),
    pairs("--deploy", dest="deployer_options", help="An option of the deployer, as JSON or as "
          "text: namespace=lab, resources='{\"gpu\": 1}'."),
    argument("--name", help="The run's name (default: made from the file's)."),
)  # fmt: skip


@command(
    *_ORDER,
    argument(
        "-d", "--detach", action="store_true", help="Print the run's URI and leave it running."
    ),
    as_json,
)
def run_command(given: Namespace) -> int:
    """Runs a script, a notebook or a function, and shows its output.

    A script or a notebook gets ARGS as its argv. A function gets them as arguments: NAME=VALUE by
    keyword, others by position, each read as JSON where it is JSON (3, true, [1, 2]) and as text
    where not.

    Ctrl-C detaches: the run goes on, and `fairing logs -f` comes back to it.

    Examples:
      fairing run train.py -- --epochs 3
      fairing run train.py::train -- epochs=3 rate=0.1
      fairing run train.ipynb
      fairing run train.py -i data/ -i '*.yaml' --backend local --detach
      fairing run train.py -b kubernetes --registry HOST/REPOSITORY --deploy timeout=3600

    Exit code: the run's (128 + n when signal n ended it; 130 after Ctrl-C).
    """
    from fairing_core.progress import Progress

    job = _ordered(given)
    progress = Progress()
    handle = job.submit(plugins=[progress.plugin()])
    if given.detach:
        found = {"name": handle.name, "uri": handle.uri}
        print(json.dumps(found) if given.as_json else handle.uri)
        return 0
    with _output_to_stderr() if given.as_json else contextlib.nullcontext():
        status = progress.follow(handle)
    value = (
        _result(handle) if job.source.kind == "function" and status is RunStatus.SUCCEEDED else None
    )
    if given.as_json:
        show_fields({**run_fields(handle), "result": value}, as_json=True)
    elif value is not None:
        shown = repr(value)
        more = f"... ({len(shown):,} characters; --json, or result(), has all)"
        progress.say(f"returned {shown if len(shown) < _LONG else shown[:_LONG] + more}")
    return exit_code(handle)


@command(
    *_ORDER,
    argument("--build", action="store_true", help="Build and push the image, so that the objects "
             "can be sent as they are."),
    as_json,
)  # fmt: skip
def plan_command(given: Namespace) -> int:
    """Shows what a run would send and what stands in its way, and runs nothing.

    The objects go to stdout, as YAML that `kubectl apply` takes; what travels and what was looked
    at (the cluster's dry runs, your rights, the image's Python and user) goes to stderr. An image
    that is not built yet has the name that it will get.

    Examples:
      fairing plan train.py -b kubernetes --registry HOST/REPOSITORY
      fairing plan train.py --build --name nightly > nightly.yaml && kubectl apply -f nightly.yaml

    Exit code: 0, or 1 where something is known to stand in the way.
    """
    from fairing_core.pipeline import plan
    from fairing_core.progress import Progress

    progress = Progress()
    found = plan(_ordered(given).order(), plugins=[progress.plugin()], build=given.build)
    if given.as_json:
        files = [
            {"destination": f.destination, "size": f.size, "mode": oct(f.mode), "reason": f.reason}
            for f in found.context.files
        ]
        show_fields(
            {
                "name": found.name,
                "image": found.image,
                "is_built": found.is_built,
                "files": files,
                "checks": [plain(check) for check in found.checks],
                "manifests": found.manifests,
            },
            as_json=True,
        )
    else:
        show_report(found.report())
        sys.stdout.write(found.yaml())
    return 0 if found.is_clear else 1


def _ordered(given: Namespace) -> TrainJob:
    """What was asked for."""
    from fairing_core import k8s_utils
    from fairing_core.jobs import TrainJob, inside_run

    if inside_run():
        raise errors.Unsupported(
            "this is inside a run already (FAIRING_RUNTIME is set), where nothing is submitted; "
            "start the program itself, or unset FAIRING_RUNTIME to start a run of its own"
        )
    target, positional, keywords = load_entry(given.entry, given.rest)
    return TrainJob(
        target,
        given.base_image,
        given.registry,
        input_files=given.inputs or None,
        backend=given.backend,
        backend_options=given.backend_options,
        pod_spec_mutators=[k8s_utils.add_env(given.environment)] if given.environment else None,
        args=positional,
        kwargs=keywords,
        preprocessor=given.preprocessor,
        preprocessor_options={
            **({"allow_secrets": given.allow_secrets} if given.allow_secrets else {}),
            **_values(given.preprocessor_options),
        },
        builder=given.builder,
        builder_options=_values(given.builder_options),
        deployer_options=_values(given.deployer_options),
        outputs=given.outputs,
        name=given.name,
    )


def _values(said: Mapping[str, str]) -> dict[str, Any]:
    """Each as JSON or as text; a number is text until its option wants one: python=3.10."""
    read = {key: as_value(text) for key, text in said.items()}
    return {key: said[key] if type(read[key]) in (int, float) else read[key] for key in said}


def _result(handle: RunHandle) -> Any:
    """What the function returned, or a few words where it can't be shown."""
    try:
        return handle.result()
    except errors.ResultUnavailable as error:
        print(f"fairing: {error}", file=sys.stderr)
        return None


@contextlib.contextmanager
def _output_to_stderr() -> Iterator[None]:
    """The program's output goes to stderr, since stdout is for the JSON alone."""
    with contextlib.redirect_stdout(sys.stderr):
        yield
