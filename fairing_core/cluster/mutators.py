"""Applies the user's own mutators: functions that edit a ``V1PodSpec`` in place."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from fairing_core import errors

Plain = dict[str, Any]


def mutated(
    pod_spec: Mapping[str, Any],
    mutators: Iterable[Callable[[Any, Any, str], Any]],
    *,
    kube_manager: object,
    namespace: str,
) -> Plain:
    """The pod spec after each ``f(kube_manager, pod_spec, namespace)``, as plain data again.

    They get a ``V1PodSpec`` whose lists are never None, so that both ``append`` and assignment
    work; what they return is not read, as it was not by the original.

    Raises:
        MutatorFailed: one of them raised, or left what no pod can be; named, with what it wants.
    """
    plain = dict(pod_spec)
    for mutator in mutators:
        model = _with_lists(_model(plain))
        try:
            mutator(kube_manager, model, namespace)
            plain = _plain(model)
        except errors.FairingError:
            raise
        except Exception as exc:
            raise errors.MutatorFailed(_said(mutator, exc)) from exc
    return plain


def edit_pod_spec(pod_spec: Any, edit: Callable[[Plain], Plain]) -> None:
    """Applies `edit`, a function over plain data, to a ``V1PodSpec`` in place."""
    edited = _model(edit(_plain(pod_spec)))
    for name in _names(edited):
        new, old = getattr(edited, name), getattr(pod_spec, name)
        if new != old and not (new is None and old == []):
            setattr(pod_spec, name, new)


def plain_pod_spec(given: Any) -> Plain:
    """A pod spec, pod template or pod, as a model or as plain data: the pod spec as plain data.

    Raises:
        InputError: it is none of them.
    """
    plain = given if isinstance(given, Mapping) else _plain(given)
    for key in ("template", "spec"):
        if isinstance(plain.get(key), Mapping):
            plain = plain[key]
    if not isinstance(plain.get("containers"), Sequence):
        raise errors.InputError(f"{type(given).__name__} is no pod spec: it has no containers")
    return dict(plain)


def _model(plain: Mapping[str, Any]) -> Any:
    """A ``V1PodSpec``, with the plain models of kubernetes 36 or the pydantic ones of 37."""
    from kubernetes import client

    kind: Any = client.V1PodSpec
    if hasattr(kind, "from_json"):
        return kind.from_json(json.dumps(_texts(plain)))
    api: Any = client.ApiClient()
    return api.deserialize(SimpleNamespace(data=json.dumps(plain)), "V1PodSpec")


def _with_lists(model: Any) -> Any:
    """The model with an empty list wherever it has none."""
    for one in (model, *(model.containers or ()), *(model.init_containers or ())):
        for name, hint in _names(one).items():
            if getattr(one, name) is None and "List[" in hint.replace("list[", "List["):
                setattr(one, name, [])
    return model


def _names(model: Any) -> Mapping[str, str]:
    """The attributes of a model, with their types as text."""
    if hasattr(model, "openapi_types"):
        return dict(model.openapi_types)
    return {name: str(one.annotation) for name, one in type(model).model_fields.items()}


def _plain(model: Any) -> Plain:
    from kubernetes import client

    api: Any = client.ApiClient()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of numbers, which are texts a line later
        plain = api.sanitize_for_serialization(model)
    return dict(_texts(_filled(plain)))


def _filled(value: Any) -> Any:
    """Without the lists that were only there to be appended to."""
    if isinstance(value, Mapping):
        kept = {key: _filled(one) for key, one in value.items()}
        return {key: one for key, one in kept.items() if one != [] and one is not None}
    return [_filled(one) for one in value] if isinstance(value, list | tuple) else value


def _texts(value: Any) -> Any:
    """Quantities as texts: the API takes numbers too, the newer models don't."""
    if isinstance(value, list | tuple):
        return [_texts(one) for one in value]
    if not isinstance(value, Mapping):
        return value
    return {
        key: {name: str(amount) for name, amount in one.items()}
        if key in ("limits", "requests") and isinstance(one, Mapping)
        else _texts(one)
        for key, one in value.items()
    }


def _said(mutator: Any, error: Exception) -> str:
    name = getattr(mutator, "__qualname__", None) or repr(mutator)
    text = f"pod_spec_mutator {name} raised {type(error).__name__}: {_first(error)}"
    if type(error).__module__.startswith("pydantic"):
        from importlib.metadata import version

        text += (
            f"; the models of kubernetes {version('kubernetes')} take keyword arguments of the "
            "exact types (a quantity is a text: limits={'cpu': '1'}, not 1). Write it so, or use "
            "the knobs of the deployer (resources=, env=, volumes=) instead"
        )
    return text


def _first(error: Exception) -> str:
    """What pydantic says in many lines, in one; never the values, which may be secrets."""
    listed = getattr(error, "errors", None)
    if callable(listed):
        return "; ".join(_located(one) for one in listed())
    return str(error)


def _located(fault: Mapping[str, Any]) -> str:
    return f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}"
