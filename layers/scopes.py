"""Names for the layers of any model, for what tells layers apart: a profile, a cross-check's error."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from .module import Module


@contextlib.contextmanager
def named_scopes(model: Module) -> Iterator[None]:
    """Let each layer of a model run in the scope of its name, inside a `with`.

    Sequential, Residual and models from ONNX files do so by themselves. This is for a layer alone, which
    gets the name of its class, and for the layers in a container of one's own, which get those of its
    attributes: "fc", "blocks.0", and "fc.backward". It does nothing on a backend that has no use for names.
    """
    named: list[Module] = []
    try:
        if model.backend.scoped:
            if next(model.named_children(), None) is None:
                _name(model, type(model).__name__)
                named.append(model)
            for _, parent in list(model.named_modules()):
                for name, child in () if parent.enters_scopes else parent.named_children():
                    if "forward" not in vars(child):  # else it has a name already
                        _name(child, name)
                        named.append(child)
        yield
    finally:
        for module in named:
            del module.__dict__["forward"], module.__dict__["backward"]


def _name(module: Module, name: str) -> None:
    vars(module)["forward"] = _scoped(module, name, module.forward)
    vars(module)["backward"] = _scoped(module, f"{name}.backward", module.backward)


def _scoped(module: Module, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
    def run(*tensors: Any) -> Any:
        with module.backend.scope(name):
            return method(*tensors)

    return run
