"""Scopes: names for the layers of a model, for decorators that tell layers apart.

A profile, a cross-check's error and a graph of operators show these names. The names belong to the call, in
a context variable; a layer's `forward` and `backward` look them up on backends with scopes, and only there.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

from .call import InstanceMethod, Setting
from .module import Module

_names: ContextVar[Mapping[int, str]] = ContextVar("lamina_scopes", default={})  # noqa: B039  # never changed


def named_scopes(model: Module) -> contextlib.AbstractContextManager[None]:
    """Run each layer of a model in the scope of its name, inside a `with`.

    A layer has the name of its attribute or its place in a container: "fc", "blocks.0", and "fc.backward"
    for its backward pass; the names of nested containers add up. A model without sub-modules has its class's
    name. On a raw backend this does nothing.
    """
    if not model.backend.scoped or id(model) in _names.get():
        return contextlib.nullcontext()
    return Setting(_names, {**_names.get(), **_scopes_of(model)})


def _scopes_of(model: Module) -> dict[int, str]:
    """Return {id(module): name}, and let every module in it look its name up when it runs."""
    if next(model.named_children(), None) is None:
        modules = {id(model): model}
        names = {id(model): type(model).__name__}
    else:
        names, modules = {id(model): ""}, {}
        for _, parent in model.named_modules():
            for name, child in parent.named_children():
                modules[id(child)] = child
                names.setdefault(id(child), name)
    for module in modules.values():
        for method in ("forward", "backward"):
            vars(module).setdefault(method, _Scoped(module, method))
    return names


class _Scoped(InstanceMethod):
    """A module's `forward` or `backward`, run in the module's scope if the call has a name for it."""

    def __init__(self, module: Module, method: str) -> None:
        self.module, self.method = module, method

    def __call__(self, *tensors: Any) -> Any:
        run = getattr(type(self.module), self.method)
        name = _names.get().get(id(self.module))
        if not name:
            return run(self.module, *tensors)
        with self.module.backend.scope(name if self.method == "forward" else f"{name}.backward"):
            return run(self.module, *tensors)
