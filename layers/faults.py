"""Errors of a layer's pass: the call that runs the layer names it, and explains a shape that does not fit."""

from __future__ import annotations

from typing import Any, NoReturn

from ..backends import DtypeError, LaminaError, ShapeError
from ..backends.errors import BRING, did_you_mean


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
    named = named_error(_shape_fault(error, layer, x) or error, layer)
    if named is error:
        raise error
    raise named from error


def named_error(error: Exception, layer: Any) -> Exception:
    """Return the error with the layer's name before its message, once.

    If the argument at fault is an attribute of the layer, the message names that too. Errors of Python and
    of libraries stay what they are, and get a note that names the layer.
    """
    name = str(layer)
    name = type(layer).__name__ if "\n" in name else name
    if not isinstance(error, LaminaError):
        if not getattr(error, "__notes__", None):
            error.add_note(f"in {name}")
        return error
    if error.names_layer:
        return error
    named = type(error)(f"{name}: {with_attribute(error, layer)}")
    named.names_layer = True
    return named


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


def missing_attribute(owner: Any, name: str, base: str) -> AttributeError:
    """Return the error for an attribute that a layer or a loss does not have."""
    kind = type(owner).__name__
    if "_kept" not in vars(owner):
        return AttributeError(f"{kind} has no attribute {name!r}: {kind}.__init__ must first call {base}")
    near = did_you_mean(name, (word for word in dir(owner) if not word.startswith("_")))
    return AttributeError(f"{kind} has no attribute {name!r}.{near}")


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
