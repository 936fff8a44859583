"""Scopes: names for the layers of a model, for decorators that tell layers apart.

A profile, a cross-check's error and a graph of operators show these names. The names belong to the call, in
a context variable; a layer's `forward` and `backward` look them up on backends with scopes, and only there.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from typing import Any

from ..backends import OptionError
from ..backends.options import shown
from .call import InstanceMethod, Setting
from .module import Module

_METHODS = ("forward", "backward", "_backward")
_names: ContextVar[Mapping[int, str]] = ContextVar("lamina_scopes", default={})  # noqa: B039  # never changed


def named_scopes(model: Module) -> contextlib.AbstractContextManager[None]:
    """Run each layer of a model in the scope of its name, inside a `with`.

    A layer has the name of its attribute or its place in a container: "fc", "blocks.0", and "fc.backward"
    for its backward pass; the names of nested containers add up. A model without sub-modules has its class's
    name. On a raw backend this does nothing.
    """
    if not isinstance(model, Module):
        raise OptionError(f"named_scopes: expected model to be a Module, got {shown(model)}")
    if not model.backend.scoped or id(model) in _names.get():
        return contextlib.nullcontext()
    names, modules = _scopes_of(model)
    _name(modules)
    setting = Setting(_names, {**_names.get(), **names})
    return setting if type(model.backend).scoped else _unnamed_after(setting, modules)


@contextlib.contextmanager
def _unnamed_after(setting: Setting[Mapping[int, str]], modules: list[Module]) -> Iterator[None]:
    """Take the scoped methods away at the end, for a backend that has scopes while it traces a step."""
    try:
        with setting:
            yield
    finally:
        for module in modules:
            for method in _METHODS:
                if isinstance(vars(module).get(method), _Scoped):
                    del vars(module)[method]


def _scopes_of(model: Module) -> tuple[dict[int, str], list[Module]]:
    """Return {id(module): name}, and the modules."""
    if next(model.named_children(), None) is None:
        return {id(model): type(model).__name__}, [model]
    names, modules = {id(model): ""}, {id(model): model}
    for _, parent in model.named_modules():
        for name, child in parent.named_children():
            modules[id(child)] = child
            names.setdefault(id(child), name)
    return names, list(modules.values())


def _name(modules: list[Module]) -> None:
    """Let every module look its name up when it runs."""
    for module in modules:
        for method in _METHODS:
            vars(module).setdefault(method, _Scoped(module, method))


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
