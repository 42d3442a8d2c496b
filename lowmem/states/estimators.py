"""Estimators of scikit-learn, by their attributes: no pickle.

An attribute may mean another thing in another release, so the release has to be the same.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from lowmem.states.tree import (
    NOTHING,
    Packer,
    Unpacker,
    ValueKind,
    class_name,
    given_object,
    is_plain,
    misfit,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

_Node = dict[str, Any]
_LIBRARY = "sklearn"
# Made anew from a parameter whenever an estimator by gradient descent is fitted on.
_DERIVED = "_loss_function_"


def _is_estimator(value: object) -> bool:
    base = sys.modules.get("sklearn.base")
    return base is not None and isinstance(value, base.BaseEstimator)


def _pack(value: object, packer: Packer, path: str) -> _Node:
    n_views = len(packer.views)
    attributes = {
        name: packer.pack(one, f"{path}.{name}")
        for name, one in vars(value).items()
        if name != _DERIVED
    }
    # One that averages has a `coef_` that is a view until it is fitted on, which makes
    # it anew: what an estimator shares within itself is its own affair.
    del packer.views[n_views:]
    return {
        "class": class_name(value),
        "version": sys.modules[_LIBRARY].__version__,
        "attributes": attributes,
    }


def _unpack(
    node: Mapping[str, Any], unpacker: Unpacker, path: str, given: object
) -> object:
    version = import_module(_LIBRARY).__version__
    if version != node["version"]:
        raise misfit(
            path,
            f"was committed with scikit-learn {node['version']}",
            f"scikit-learn {version}, which is installed",
        )
    value = given if given is not NOTHING else _made(node)
    value = given_object(node, path, value)
    _refuse_other_parameters(value, node, path)
    known = vars(value)
    attributes = {
        name: unpacker.unpack(one, f"{path}.{name}", known.get(name, NOTHING))
        for name, one in node["attributes"].items()
    }
    known.clear()
    known.update(attributes)
    return value


def _made(node: Mapping[str, Any]) -> object:
    """Return an empty estimator if its class is scikit-learn's own, else nothing."""
    module, _, name = node["class"].rpartition(".")
    if module.partition(".")[0] != _LIBRARY:
        return NOTHING
    found = getattr(import_module(module), name, None)
    base = import_module("sklearn.base").BaseEstimator
    if not (isinstance(found, type) and issubclass(found, base)):
        return NOTHING
    made: object = object.__new__(found)
    return made


def _refuse_other_parameters(
    value: Any,  # noqa: ANN401
    node: Mapping[str, Any],
    path: str,
) -> None:
    """Refuse an estimator whose parameters are not those that were committed."""
    kept = node["attributes"]
    # One that is made anew has no parameters yet.
    for name, here in value.get_params(deep=False).items() if vars(value) else ():
        there = kept.get(name)
        if is_plain(here) and not isinstance(there, dict | list) and here != there:
            problem = f"has {name}={here!r}"
            raise misfit(path, problem, f"{name}={there!r}, as was committed")


ESTIMATOR = ValueKind(
    name="sklearn",
    is_of=_is_estimator,
    pack=_pack,
    unpack=_unpack,
    is_filled=lambda _: True,
)

KINDS = (ESTIMATOR,)
