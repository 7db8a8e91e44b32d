"""The only importer of `kubernetes`, always inside a function."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any


def edit_pod_spec(pod_spec: Any, edit: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Applies `edit`, a function over plain data, to a ``V1PodSpec`` in place.

    Works with the plain models of kubernetes 36 and with the pydantic ones of 37.
    """
    from kubernetes import client

    api: Any = client.ApiClient()
    plain = api.sanitize_for_serialization(pod_spec)
    text = json.dumps(edit(plain))
    if hasattr(client.V1PodSpec, "from_json"):
        edited = client.V1PodSpec.from_json(text)
        names = list(client.V1PodSpec.model_fields)
    else:
        edited = api.deserialize(SimpleNamespace(data=text), "V1PodSpec")
        names = list(pod_spec.openapi_types)
    for name in names:
        if getattr(edited, name) != getattr(pod_spec, name):
            setattr(pod_spec, name, getattr(edited, name))
