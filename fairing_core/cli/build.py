"""``fairing build``: an image of a script or a folder, without running it."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from fairing_core import errors
from fairing_core.cli.command import UsageError, argument, as_json, command, pairs
from fairing_core.progress import Progress

if TYPE_CHECKING:
    from fairing_core.interfaces import Registry
    from fairing_core.types import BuildContext


@command(
    argument("entry", metavar="FILE|FOLDER", type=Path),
    argument("-b", "--base", help="The image to build on (default: FAIRING_BASE_IMAGE, else "
             "python:X.Y-slim)."),
    argument("-t", "--target", metavar="REPOSITORY[:TAG]", help="Where to push (default: below "
             "FAIRING_REGISTRY)."),
    argument("--push", action="store_true", default=None, help="Push it; the default but for "
             "--output."),
    argument("--no-push", dest="push", action="store_false", help="Write it to a folder here."),
    argument("--output", metavar="FOLDER", type=Path, help="Write an OCI layout here instead of "
             "pushing."),
    argument("--platform", default="linux/amd64", metavar="OS/ARCH", help="What the image is for "
             "(default: linux/amd64)."),
    argument("-i", "--input", dest="inputs", action="append", default=[], metavar="PATH",
             help="A file, folder or glob that travels too."),
    argument("--allow-secrets", action="append", default=[], metavar="PATTERN",
             help="Files that may travel though they look like secrets."),
    pairs("-e", "--env", help="An environment variable of the image."),
    pairs("-l", "--label", dest="labels", help="A label of the image."),
    argument("-u", "--user", help="Whom the image runs as (default: the base's user)."),
    argument("--entrypoint", help="A new ENTRYPOINT; '' takes the base's away."),
    as_json,
)  # fmt: skip
def build_command(given: Namespace) -> None:
    """Puts a script, or a whole folder, on a base image; no Docker is needed.

    A script brings the modules beside it that it imports. The code comes to /app, and the base
    image is neither pulled nor changed: only the new layer is sent, the rest is mounted.

    Examples:
      fairing build train.py -b python:3.12-slim -t registry.example.com/team/train
      fairing build src/ -b localhost:5000/base -t localhost:5000/app:v1
      fairing build train.py --output train.oci      no registry: an OCI layout in a folder

    Registries are logged in to with `docker login`, `podman login` or a credential helper.
    The last line on stdout is the image, by its digest.
    """
    from fairing_core.build.append import AppendBuilder, layout_of
    from fairing_core.settings import Settings
    from fairing_core.types import BuildRequest

    entry: Path = given.entry
    if given.output is not None and given.push:
        raise UsageError("--output and --push exclude each other: it is written, or pushed")
    pushes = given.push is not False and given.output is None
    found = Settings.near(entry.absolute() if entry.is_dir() else entry.absolute().parent)
    registry, name, tag = _target(given.target)
    builder = AppendBuilder(
        image_name=name,
        tag=tag,
        push=pushes,
        output=given.output,
        platform=given.platform,
        user=given.user,
        entrypoint=None if given.entrypoint is None else given.entrypoint.split(),
        env=given.env,
        labels=given.labels,
    )
    progress = Progress()
    layout = None if pushes else given.output or layout_of(name)
    context = _packaged(entry, given.inputs, given.allow_secrets, layout)
    progress.step("packaged", files=len(context.files), bytes=context.size)
    request = BuildRequest(
        context,
        base_image=given.base or found.get("base_image") or _usual_base(),
        registry=registry or found.get("registry"),
        registries=found.registries(),
        registry_for=_plugin_for,
        report=progress.step,
    )
    if reason := builder.supports(request):
        raise errors.Unsupported(f"{entry} can't be built: {reason}")
    built = builder.build(request)
    if given.as_json:
        fields = {"image": built.image, "digest": built.image.rpartition("@")[2]}
        more = {"platform": built.platform, "python": built.python, "uid": built.uid}
        print(json.dumps({**fields, **more, **progress.traffic}))
    else:
        print(built.image)
    sys.stdout.flush()


def _packaged(
    entry: Path, inputs: list[str], allow_secrets: list[str], layout: Path | None
) -> BuildContext:
    if entry.is_dir():
        from fairing_core.preprocess.folder import package_folder

        if inputs:
            raise UsageError("--input goes with a FILE; a FOLDER is packed whole")
        return package_folder(entry, allow_secrets=allow_secrets, without=layout)
    from fairing_core.types import Source

    if entry.suffix == ".ipynb":
        from fairing_core.preprocess.notebook import NotebookPreprocessor

        notebook = NotebookPreprocessor(input_files=inputs, allow_secrets=allow_secrets)
        return notebook.preprocess(Source("notebook", entry))
    from fairing_core.preprocess.python import PythonPreprocessor

    packaging = PythonPreprocessor(input_files=inputs, allow_secrets=allow_secrets)
    return packaging.preprocess(Source("script", entry))


def _target(target: str | None) -> tuple[str | None, str, str | None]:
    """The registry, image name and tag of ``REPOSITORY[:TAG]``."""
    from fairing_core.build.wanted import IMAGE_NAME
    from fairing_core.images.reference import ImageRef

    if target is None:
        return None, IMAGE_NAME, None
    ref = ImageRef.parse(target)
    if ref.digest is not None:
        raise errors.InvalidReference(
            f"-t {target!r} has a digest, which only the content decides; name a tag, or nothing"
        )
    folder, _, name = ref.name.rpartition("/")
    return folder, name, ref.tag


def _usual_base() -> str:
    from fairing_core.defaults import base_image

    return base_image()


def _plugin_for(host: str) -> Registry | None:
    from fairing_core.plugins import Plugins

    serving = Plugins(ambient=False).serving(host)
    return serving() if serving else None
