"""Errors of a layer's pass: the call that runs the layer names it, and explains a shape that does not fit."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NoReturn

from ..backends import Backend, DtypeError, LaminaError, ShapeError, StateError
from ..backends.errors import BRING, did_you_mean
from ..backends.names import unknown_op
from ..backends.ops import OPS


def raise_named(error: Exception, layer: Any, x: Any = None) -> NoReturn:
    """Raise an error with the layer's name, from inside the `except` that caught it.

    Parameters
    ----------
    error
        What the pass raised.
    layer
        The layer or loss.
    x
        The input of a forward pass. `layer.output_shape` is asked about its shape, and its error is raised
        instead, from the original.

    """
    if "_kept" not in vars(layer):
        raise StateError(_unmade(layer)) from error
    error = explained_attribute(error, layer)
    named = named_error(_shape_fault(error, layer, x) or error, layer)
    if named is error:
        raise error
    raise named from error


def named_backward(own: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Return a layer's `backward` whose errors name the layer, whoever calls it."""

    @functools.wraps(own)
    def backward(self: Any, grad_output: Any) -> Any:
        try:
            return own(self, grad_output)
        except Exception as error:
            raise_named(error, self)

    return backward


def named_error(error: Exception, layer: Any) -> Exception:
    """Return the error with the layer's name before its message, once.

    If the argument at fault is an attribute of the layer, the message names that too. Errors of Python and
    of libraries stay what they are, and get a note that names the layer.
    """
    name = layer_name(layer)
    if not isinstance(error, LaminaError):
        if not getattr(error, "__notes__", None):
            error.add_note(f"in {name}")
        return error
    if error.names_layer:
        return error
    named = type(error)(f"{name}: {with_attribute(error, layer)}")
    named.names_layer, named.culprit = True, error.culprit
    return named


def layer_name(layer: Any) -> str:
    """Return what messages call a layer: its text, or the class of a container."""
    name = str(layer)
    return type(layer).__name__ if "\n" in name else name


def with_attribute(error: LaminaError, layer: Any) -> str:
    """Return the message of an error; it names the layer's attribute that is at fault, if one is."""
    own = {name: value for name, value in vars(layer).items() if name != "backend" and name[0] != "_"}
    cells = [*layer.named_parameters(), *layer.named_buffers()] if hasattr(layer, "named_parameters") else []
    culprit, text = error.culprit, str(error)
    if culprit is not None and not isinstance(culprit, (str, int, float)):
        for path, item in (*cells, *own.items()):
            if item is culprit and _is_array(item):
                return f"self.{path}: {text.removesuffix(BRING)}; {_LASTING}"
            if item is culprit:
                return f"self.{path}: {text}"
    arrays = [path for path, item in own.items() if _is_array(item)]
    if isinstance(error, DtypeError) and culprit is None and arrays:
        return f"{text}; self.{arrays[0]} is a plain array: {_LASTING}"
    return text


_LASTING = "make it with self.parameter(...) or self.buffer(...)"


def _is_array(value: object) -> bool:
    return hasattr(value, "dtype") and hasattr(value, "shape")


def explained_attribute(error: Exception, layer: Any) -> Exception:
    """Return a clearer error for an attribute that a backend, a layer or a loss does not have."""
    if type(error) is not AttributeError:
        return error
    owner, name = error.obj, error.name or ""
    if isinstance(owner, Backend):
        return unknown_op(owner, name, OPS)
    if owner is not layer:
        return error
    near = did_you_mean(name, (word for word in dir(layer) if not word.startswith("_")))
    return AttributeError(f"{type(layer).__name__} has no attribute {name!r}.{near}")


def check_made(layer: Any) -> None:
    """Raise StateError unless the constructor of a layer has called the base's."""
    if "_kept" not in vars(layer):
        raise StateError(_unmade(layer))


def _unmade(layer: Any) -> str:
    kind = type(layer).__name__
    return f"{kind}: expected {kind}.__init__ to call super().__init__(...) first; it made no backend"


def _shape_fault(error: Exception, layer: Any, x: Any) -> LaminaError | None:
    if x is None or getattr(error, "names_layer", False):
        return None
    try:
        layer.output_shape(layer.backend.shape(x))
    except (ShapeError, DtypeError) as fault:
        return fault
    except Exception:  # a fault in `output_shape` itself must not hide the original error
        return None
    return None
