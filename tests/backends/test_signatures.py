"""Every method of every backend has the protocol's signature."""

from __future__ import annotations

import importlib
import inspect
import re

import pytest
from rows import each_op

from lamina.backends import get_backend
from lamina.backends.base import DERIVED, PRIMITIVES, Backend
from lamina.backends.decorators.strict import StrictBackend
from lamina.backends.names import OP_FOR, RECIPES
from lamina.backends.numpy_backend import NumpyBackend
from lamina.backends.ops import OPS
from lamina.backends.protocol import Primitives
from lamina.backends.select import DECORATORS
from lamina.backends.shape_backend import ShapeBackend
from lamina.backends.wrapper import Wrapper


def classes() -> list[type[Backend]]:
    backends = [NumpyBackend, Wrapper, StrictBackend, ShapeBackend]
    for module, name in DECORATORS.values():
        cls = getattr(importlib.import_module(f"lamina.backends.{module}"), name)
        backends += [cls] if cls not in backends else []
    try:
        from lamina.backends.torch_backend import TorchBackend
    except ImportError:
        return backends
    return [*backends, TorchBackend]


def shape_of(function: object) -> list[tuple[str, object, object]]:
    assert callable(function)
    return [(p.name, p.kind, p.default) for p in inspect.signature(function).parameters.values()]


@pytest.mark.parametrize("cls", classes(), ids=lambda cls: cls.__name__)
@each_op(OPS)
def test_signature(cls: type[Backend], op: str) -> None:
    assert shape_of(getattr(cls, op)) == shape_of(getattr(Backend, op))


@each_op(PRIMITIVES)
def test_backend_keeps_the_protocol(op: str) -> None:
    assert shape_of(getattr(Backend, op)) == shape_of(getattr(Primitives, op))


def test_the_table_has_a_row_for_every_op_and_no_others() -> None:
    assert set(OPS) == {*PRIMITIVES, *DERIVED}
    assert len(PRIMITIVES) <= 55


@each_op(OPS)
def test_every_op_has_a_docstring(op: str) -> None:
    assert (getattr(Backend, op).__doc__ or "").strip()


@each_op(OPS)
def test_tensors_are_parameters(op: str) -> None:
    row = OPS[op]
    assert set(row.tensors) <= set(row.signature.parameters)
    kinds = {name: row.signature.parameters[name].kind for name in row.tensors}
    positional = [name for name, kind in kinds.items() if kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]
    assert [list(row.signature.parameters)[i] for i in row.positions] == positional
    # The only tensors by name are the counters of random ops: nothing is differentiated by them.
    assert row.named == (("step",) if op in ("random", "bernoulli") else ())


def test_every_docstring_of_a_primitive_gives_shapes() -> None:
    without = [
        name
        for name in PRIMITIVES
        if OPS[name].gives == "tensor" and "->" not in (getattr(Primitives, name).__doc__ or "")
    ]
    assert without == []


def test_names_of_other_libraries_lead_to_ops() -> None:
    assert set(OP_FOR.values()) <= set(OPS)
    assert not set(OP_FOR) & set(OPS)
    assert not set(OP_FOR) & set(RECIPES)
    b = get_backend("strict+numpy")
    for name, words in (("T", "use permute_dims"), ("mul_", "use multiply")):
        with pytest.raises(AttributeError, match=re.escape(f"no op {name!r}; {words}")):
            getattr(b, name)
    assert not hasattr(b, "__array__")
