"""Errors of a layer's pass: the call that runs the layer names it, and explains a shape that does not fit."""

from __future__ import annotations

from typing import Any, NoReturn

from ..backends import DtypeError, LaminaError, ShapeError


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

    Errors of Python and of libraries stay what they are, and get a note that names the layer.
    """
    name = str(layer)
    name = type(layer).__name__ if "\n" in name else name
    if not isinstance(error, LaminaError):
        if not getattr(error, "__notes__", None):
            error.add_note(f"in {name}")
        return error
    if error.names_layer:
        return error
    named = type(error)(f"{name}: {error}")
    named.names_layer = True
    return named


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
