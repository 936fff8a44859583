"""ONNX files: changed in their bytes and in their fields, and graphs of any operators over odd constants."""

from __future__ import annotations

import contextlib
import functools
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from hypothesis import strategies as st

from lamina.train.onnx import load_onnx
from lamina.train.onnx.registry import OPERATORS
from lamina.train.runs.predictor import Predictor

from . import Example, Target, randoms
from .mutations import NUMBERS, chance, mutated, number

FLOAT, INT64 = 1, 7
OPERATOR_NAMES = sorted(OPERATORS)
ATTRIBUTES = (
    "axis", "axes", "kernel_shape", "pads", "strides", "dilations", "group", "alpha", "beta", "gamma",
    "epsilon", "to",
    "mode", "auto_pad", "ceil_mode", "count_include_pad", "keepdims", "perm", "value", "value_int",
    "value_ints",
    "value_float", "split", "num_outputs", "blocksize", "transA", "transB", "dtype", "k", "upper", "ends",
    "starts",
    "shape", "allowzero", "num_groups", "output_padding", "output_shape", "exclude", "reverse", "size",
    "p", "bias",
    "select_last_index", "largest", "sorted", "reduction", "approximate", "equation",
    "noop_with_empty_axes", "periodic",
    "seed", "high", "low", "sample_size", "batch_dims", "direction", "ratio", "training_mode",
    "storage_order", "min", "max",
)  # fmt: skip
TEXTS = (
    "",
    "SAME_UPPER",
    "VALID",
    "reflect",
    "edge",
    "wrap",
    "constant",
    "DCR",
    "CRD",
    "none",
    "tanh",
    "add",
    "mean",
    "ij,jk->ik",
    "x",
)

NAMES = ("x", "y", "h", "w", "", "\0", "../x", "a" * 3000)
INTEGERS = [n for n in NUMBERS if -(2**63) <= n < 2**63]
FLOATS = (0.0, 1.0, -1.0, 0.5, 2.0, 3.0, 1e30, float("nan"), float("inf"), -float("inf"), 1e-40)
SHAPES = ((), (1,), (2,), (3,), (4,), (2, 3), (3, 2), (1, 2, 3, 3), (2, 2, 3), (0,), (2, 0), (8,))
TOKENS = (b"\x08", b"\x12", b"\xff" * 9, b"\x0a\xff\xff\xff\xff\x07")


@functools.cache
def valid() -> tuple[bytes, ...]:
    """Return the bytes of some ONNX files."""
    from onnx_models import model, node

    kernel = np.random.default_rng(0).standard_normal((3, 2, 3, 3)).astype(np.float32)
    image: dict[str, tuple[int, list[Any]]] = {"x": (FLOAT, ["N", 2, 6, 6])}
    rows: dict[str, tuple[int, list[Any]]] = {"x": (FLOAT, ["N", 6])}
    shape = np.array([-1, 6], np.int64)
    return (
        model([node("Conv", "x w", "h"), node("Relu", "h", "r"), node("MaxPool", "r", kernel_shape=[2, 2])],
              image, {"w": kernel}),
        model([node("Gemm", "x w b", "h", transB=1), node("Softmax", "h")], rows,
              {"w": np.ones((3, 6), np.float32), "b": np.zeros(3, np.float32)}),
        model([node("Range", "a b c", "r"), node("Cast", "r", "f", to=FLOAT), node("Add", "x f")], rows,
              {"a": np.int64(0), "b": np.int64(6), "c": np.int64(1)}),
        model([node("Reshape", "x s", "h"), node("Pad", "h p", "q"), node("Slice", "q i j")], image,
              {"s": shape, "p": np.array([0, 1, 0, 1]), "i": np.array([0]), "j": np.array([2])}, rank=2),
        model([node("ConstantOfShape", "s", "h"), node("Expand", "h t", "e"), node("Tile", "e r", "g"),
               node("Sub", "x g")], rows,
              {"s": np.array([1, 2]), "t": np.array([3, 2]), "r": np.array([1, 3])}),
        model([node("BatchNormalization", "x w w w w")], image, {"w": np.ones(2, np.float32)}),
    )  # fmt: skip


def _fields(message: Any) -> list[tuple[Any, Any, int | None]]:
    """Return (message, field, index) of every field set in a message, at any depth."""
    found: list[tuple[Any, Any, int | None]] = []
    for field, value in message.ListFields():
        repeated = getattr(field, "is_repeated", None)
        repeated = field.label == field.LABEL_REPEATED if repeated is None else repeated
        for i, one in enumerate(value) if repeated else [(None, value)]:
            found.append((message, field, i))
            if field.type == field.TYPE_MESSAGE:
                found += _fields(one)
    return found


def fields(r: Random) -> bytes:
    """Draw a file with some fields changed, removed or doubled."""
    import onnx

    proto = onnx.load_from_string(r.choice(valid()))
    for _ in range(r.randint(1, 4)):
        known = _fields(proto)
        if not known:
            break
        message, field, i = r.choice(known)
        if chance(r, 8):
            message.ClearField(field.name) if i is None else getattr(message, field.name).__delitem__(i)
        elif field.type == field.TYPE_MESSAGE:
            if i is not None:
                place = getattr(message, field.name)
                place.extend([place[i]] * r.choice((1, 1, 2, 50)))
        else:
            _set(message, field, i, _new(r, field))
    return bytes(proto.SerializeToString())


def _set(message: Any, field: Any, i: int | None, value: Any) -> None:
    with contextlib.suppress(ValueError, TypeError):  # of an enumeration, say
        if i is None:
            setattr(message, field.name, value)
        else:
            getattr(message, field.name)[i] = value


def _new(r: Random, field: Any) -> Any:
    if field.type in (field.TYPE_FLOAT, field.TYPE_DOUBLE):
        return r.choice(FLOATS)
    if field.type in (field.TYPE_STRING, field.TYPE_BYTES):
        text = r.choice((r.choice(OPERATOR_NAMES), r.choice(NAMES), r.choice(TEXTS), r.choice(ATTRIBUTES)))
        raw = r.randbytes(r.choice((0, 1, 4, 8, 24)))
        return text if field.type == field.TYPE_STRING else r.choice((text.encode(), raw, raw * 8))
    bits = 32 if field.type in (field.TYPE_INT32, field.TYPE_ENUM) else 64
    return (number(r) + 2 ** (bits - 1)) % 2**bits - 2 ** (bits - 1)


def _integers(r: Random) -> Any:
    """Draw an array of integers, mostly small."""
    shape, usual = r.choice(SHAPES), not chance(r, 4)
    whole = [
        r.randint(-2, 5) if usual or chance(r, 2) else r.choice(INTEGERS) for _ in range(int(np.prod(shape)))
    ]
    return np.array(whole, np.int64).reshape(shape)


def _floats(r: Random) -> Any:
    """Draw an array of floats."""
    shape = r.choice(SHAPES)
    return np.array([r.choice(FLOATS) for _ in range(int(np.prod(shape)))], np.float32).reshape(shape)


def _constant(r: Random) -> Any:
    """Draw an array of some type."""
    value = r.choice((_integers, _floats))(r)
    with np.errstate(all="ignore"):
        return value.astype(r.choice(("f4", "f8", "f2", "?", "i8", "i4", "u1")))


def graph(r: Random) -> bytes:
    """Draw nodes of any operators, over constants, an input and each other's results."""
    from onnx_models import model, node

    weights = {"i": _integers(r), "j": _integers(r), "f": _floats(r), "g": _floats(r), "c": _constant(r)}
    names = ["x", *weights]
    shape = r.choice((["N", 3], [2, 3], [1, 2, 3, 3], [None], []))
    nodes: list[Any] = []
    for i in range(r.randint(1, 3)):
        operator, known = r.choice(OPERATOR_NAMES), names if chance(r, 3) else names[1:]
        inputs, attributes = _inputs(r, operator, known), _attributes(r, operator)
        schema = _schema(operator)
        most = r.randint(1, min(4, schema.max_output)) if schema is not None else 1
        outputs = " ".join([f"v{i}", *(f"v{i}{k}" for k in range(1, most + chance(r, 30)))])
        with contextlib.suppress(ValueError, TypeError, OverflowError):  # no attribute can hold a value
            nodes.append(node(operator, " ".join(inputs), outputs, **attributes))
            nodes[-1].name = f"n{i}"
            names.append(f"v{i}")
    nodes.append(node("Cast", names[-1], to=FLOAT))
    return model(nodes, {"x": (FLOAT, shape)}, weights, rank=r.randrange(5))


@functools.cache
def _schema(operator: str) -> Any:
    import onnx

    try:
        return onnx.defs.get_schema(operator, 22)
    except onnx.defs.SchemaError:
        return None


def _inputs(r: Random, operator: str, known: list[str]) -> list[str]:
    """Draw names of inputs: as many as the operator has, and mostly of a type that it takes."""
    schema = _schema(operator)
    if schema is None or chance(r, 9):
        return [r.choice(known) for _ in range(r.randrange(5))]
    count = r.randint(schema.min_input, min(schema.max_input, 5))
    chosen = []
    for i in range(count):
        types = schema.inputs[min(i, len(schema.inputs) - 1)].types
        whole, real = "tensor(int64)" in types, "tensor(float)" in types
        fitting = [
            name for name in known if len(name) > 1 or (whole and name in "ijc") or (real and name in "fgcx")
        ]
        chosen.append(r.choice(fitting or known))
    return chosen


def _attributes(r: Random, operator: str) -> dict[str, Any]:
    """Draw attributes that the operator has, all that it must have, and now and then another."""
    schema = _schema(operator)
    found: dict[str, Any] = {}
    for name, attribute in (schema.attributes if schema is not None else {}).items():
        if attribute.required or chance(r, 3):
            found[name] = _worth(r, attribute.type.name)
    if chance(r, 12):
        found[r.choice(ATTRIBUTES)] = _worth(r, r.choice(("INT", "INTS", "FLOAT", "STRING", "TENSOR")))
    return found


def _worth(r: Random, kind: str) -> Any:
    """Draw the value of an attribute of that kind."""
    integer = lambda: r.randint(-3, 6) if not chance(r, 5) else r.choice(INTEGERS)  # noqa: E731
    match kind:
        case "INT":
            return integer()
        case "INTS":
            return [integer() for _ in range(r.choice((0, 1, 2, 2, 4, 4, 6, 8)))]
        case "FLOAT":
            return r.choice(FLOATS)
        case "FLOATS":
            return [r.choice(FLOATS) for _ in range(r.randrange(4))]
        case "TENSOR":
            return _tensor(_constant(r))
        case "STRINGS":
            return [r.choice(TEXTS)]
    return r.choice(TEXTS)


def _tensor(value: Any) -> Any:
    import onnx

    return onnx.numpy_helper.from_array(value)


def file(r: Random) -> bytes:
    """Draw a file."""
    return r.choice((fields, graph, graph, lambda r: mutated(r, valid(), TOKENS)))(r)


def examples(folder: Path) -> st.SearchStrategy[Example]:
    """Load a file, from its path or its bytes, or as a predictor."""
    path = folder / "fuzzed.onnx"

    def example(r: Random, way: int) -> Example:
        data = file(r)

        def call() -> object:
            if way == 0:
                return load_onnx(data, backend="numpy")
            path.write_bytes(data)
            return Predictor.load(path, "numpy") if way == 1 else load_onnx(path, backend="numpy")

        return Example(data, call, (path.name, "the ONNX model"), options=f"way {way}")

    return st.builds(example, randoms, st.integers(0, 2))


TARGET = Target("onnx", examples)
