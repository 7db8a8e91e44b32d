"""The column of a Docker engine: an image that a builder made, as ``docker run`` runs it."""

from __future__ import annotations

import base64
import io
import json
import pickle
import tarfile
import time
from typing import TYPE_CHECKING, Any

from fairing_core.types import BuildContext
from tests.core.fidelity.columns import SECONDS, relative
from tests.core.fidelity.scenarios import Scenario, Seen

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

_RESULT = "/tmp/result.json"


def ran(engine: DockerClient, image: str, context: BuildContext, scenario: Scenario) -> Seen:
    """What a container of the image does; the image is removed again."""
    is_function = scenario.kind == "function"
    engine.images.pull(image)
    container: Container = engine.containers.create(
        image,
        [*context.command, *(() if is_function else scenario.args)],
        environment={**scenario.env, **({"FAIRING_RESULT": _RESULT} if is_function else {})},
        network_mode="host",
    )
    try:
        container.start()
        if scenario.is_stopped:
            deadline = time.monotonic() + SECONDS
            while b"begins" not in container.logs():
                assert time.monotonic() < deadline
                time.sleep(0.1)
            container.stop(timeout=2)
        code = container.wait(timeout=SECONDS)["StatusCode"]
        out, err, log = (
            relative(container.logs(stdout=one, stderr=two).decode("utf-8", "replace"), "/app")
            for one, two in ((True, False), (False, True), (True, True))
        )
        record = _record(container) if is_function else {}
    finally:
        container.remove(v=True, force=True)
        engine.images.remove(image, force=True)
    return Seen(code, log, (out, err) if scenario.is_apart else None, record)


def _record(container: Container) -> dict[str, Any]:
    """What the shim wrote down, as `RunHandle.result` reads it."""
    from docker.errors import NotFound

    try:
        pieces, _ = container.get_archive(_RESULT)
    except NotFound:
        return {}
    with tarfile.open(fileobj=io.BytesIO(b"".join(pieces))) as tar:
        file = tar.extractfile("result.json")
        assert file
        told = json.loads(file.read())
    if "raised" in told:
        raised = {key: told["raised"][key] for key in ("type", "message", "traceback")}
        return {"raised": {**raised, "traceback": relative(raised["traceback"], "/app")}}
    if "pickled" in told:
        return {"value": repr(pickle.loads(base64.b64decode(told["pickled"])))}
    return {"value": repr(told["returned"])}
