"""Bad inputs of the reader and the writer of ONNX files; no rows where onnx is not installed."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from lamina.backends import DataError, DtypeError, LaminaError, ShapeError, StateError
from lamina.layers import BatchNorm2d, Conv2d, Linear, Module, Sequential
from lamina.train.files import OutputError
from lamina.train.onnx import load_onnx, save_onnx

from . import Bad, Place
from .values import ESCAPES, LONG, short

PATHS: tuple[tuple[Any, tuple[str, ...]], ...] = (
    (None, ("the path of a file", "None")),
    (3, ("the path of a file", "3")),
    (["a.onnx"], ("the path of a file", "['a.onnx']")),
    ("a\0.onnx", ("the path of a file", r"a\x00.onnx")),
    ("\ud800.onnx", ("the path of a file", r"\ud800")),
    (f"{LONG}.onnx", ("File name too long",)),
)


class Alone(Module):
    """A layer that is no kind of Lamina's."""

    def forward(self, x: Any) -> Any:
        return x


def _linear() -> Module:
    return Linear(2, 2, backend="numpy")


def _saved(
    what: str,
    *says: str,
    model: Callable[[], Any] = _linear,
    error: type[LaminaError] = LaminaError,
    **options: Any,
) -> Bad:
    def call(place: Place) -> object:
        return save_onnx(place.path / "x.onnx", model(), **options)

    return Bad("save_onnx", what, call, says, error, once=True)


def _rows() -> tuple[Bad, ...]:
    from onnx_models import FLOAT, INT64, model, node

    image = {"x": (FLOAT, ["N", 2, 6, 6])}
    kernel = np.random.default_rng(0).standard_normal((3, 2, 3, 3)).astype(np.float32)
    convolution = model([node("Conv", "x w", "h"), node("Relu", "h")], image, {"w": kernel})

    def read(what: str, source: Any, *says: str, error: type[LaminaError] = DataError, **options: Any) -> Bad:
        return Bad(
            "load_onnx",
            what,
            lambda place: load_onnx(source, backend="numpy", **options),
            says,
            error,
            once=True,
        )

    def file(what: str, content: bytes, *says: str) -> Bad:
        def call(place: Place) -> object:
            path = place.path / "a.onnx"
            path.write_bytes(content)
            return load_onnx(place.watch(path))

        return Bad("load_onnx", what, call, ("a.onnx'", *says), DataError, once=True)

    def run(
        what: str, give: Callable[[Any, Any], object], *says: str, error: type[LaminaError] = DataError
    ) -> Bad:
        return Bad(
            "load_onnx",
            what,
            lambda place: give(load_onnx(convolution, backend=place.backend), place.backend),
            says,
            error,
        )

    def backward(place: Place) -> object:
        net = load_onnx(model([node("Softsign", "x")], {"x": (FLOAT, [2])}), backend="numpy").train()
        net(np.ones(2, np.float32))
        return net.backward(np.ones(2, np.float32))

    return (
        *(
            Bad(name, f"the path {short(path)}", lambda place, c=call, p=path: c(p), says, once=True)
            for name, call in (("load_onnx", load_onnx), ("save_onnx",
                lambda path: save_onnx(path, _linear())))
            for path, says in PATHS
        ),
        Bad("load_onnx", "a file that is absent", lambda place: load_onnx(place.path / "none.onnx"),
            ("Cannot read '", "none.onnx': No such file"), DataError, once=True),
        Bad("load_onnx", "a folder", lambda place: load_onnx(place.path), ("Is a directory",), DataError,
            once=True),
        *(
            file(what, content, "cut short")
            for what, content in (
                ("no bytes", b""), ("text", b"hello"), ("zeros", b"\x00" * 64),
                ("a picture", b"\x89PNG\r\n\x1a\n" * 9),
                ("half a model", convolution[: len(convolution) // 2]),
            )
        ),
        read("operators that Lamina lacks", model([node("Sin", "x", "s"), node("Cos", "s")],
            {"x": (FLOAT, [2])}),
             "Sin (node 'sin'), Cos (node 'cos')"),
        read("a weight that is an input", model([node("Conv", "x w")], {**image, "w": (FLOAT, [3, 2, 3, 3])}),
             "the ONNX model: Conv 'conv': expected its weight to be stored in the file", "'w'"),
        read("padding by the image's size",
             model([node("Conv", "x w", auto_pad="SAME_UPPER", strides=[2, 2])],
                 {"x": (FLOAT, ["N", 2, "H", "W"])}, {"w": kernel}),
             "the ONNX model: Conv 'conv': expected padding of a known size", "SAME_UPPER"),
        read("an unknown rank",
             model([node("Reshape", "x s", "h"), node("GlobalAveragePool", "h")],
                   {"x": (FLOAT, ["N", 2, 3, 3]), "s": (INT64, ["K"])}),
             "the number of axes of its input 'h'", "none in the file"),
        read("an unknown approximation", model([node("Gelu", "x", approximate="sigmoid")],
            {"x": (FLOAT, [2])}),
             "expected approximate to be one of none, tanh", "'sigmoid'"),
        read("an input of a type that is none", model([node("Cast", "x", to=1)], {"x": (999, [2])}), "type",
            "999"),
        read("a long operator", model([node("A" * 3000, "x")], {"x": (FLOAT, [2])}), "got this: No Op"),
        read("Split with other outputs than it says",
             model([node("Split", "x", "y z w", num_outputs=2)], {"x": (FLOAT, [6])}),
             "Split 'split': expected num_outputs for 3 outputs", "2"),
        read("ConstantOfShape(2**63 - 1)",
             model([node("ConstantOfShape", "n")], {"x": (FLOAT, [2])}, {"n": np.array([2**63 - 1])}),
             "at most 16,777,216 bytes", "9223372036854775807"),
        read("LRN of 2**40 channels of booleans",
             model([node("LRN", "c", "h", size=2**40), node("Cast", "h", to=1)], {"x": (FLOAT, [2])},
                   {"c": np.ones((1, 2, 3, 3), bool)}), "LRN", "bool"),
        read("OneHot of its depth",
             model([node("OneHot", "j j f")], {"x": (FLOAT, [2])},
                   {"j": np.array([2**53 + 1, 1]), "f": np.zeros(2, np.float32)}, rank=2),
             "at most 16,777,216 bytes"),
        read("EyeLike of a value of no known type",
             model([node("ConvTranspose", "x x x", "h", strides=[0, 5]), node("EyeLike", "h")],
                   {"x": (FLOAT, [1, 2, 3, 3])}), "ConvTranspose"),
        *(
            read(f"{operator} along axis {axis}",
                 model([node(operator, inputs, axis=axis), node("Add", "x y", "z")], {"x": (FLOAT, [2, 3])},
                       {"w": np.ones((2, 3), np.float32)}, ("z",)),
                 f"{operator} '{operator.lower()}': expected an axis of a tensor of 2 axes", str(axis))
            for operator, inputs in (("LayerNormalization", "x w"), ("Hardmax", "w"), ("Flatten", "w"))
            for axis in (-3, 3, 2**53 - 1)
        ),
        read("an input of text", model([node("Cast", "x", to=1)], {"x": (8, [2])}),
            "input 'x': expected numbers or booleans", "the type object"),
        read("padding as large as the kernel",
             model([node("MaxPool", "x", kernel_shape=[2, 2], pads=[2, 2, 2, 2])], image),
             "MaxPool2d: expected padding of less than the kernel"),
        read("an unknown constant", convolution, "constants: expected inputs of the graph", "'v'",
            constants={"v": 1.0}),
        read("a constant of text", convolution, "constants: 'x': expected numbers", constants={"x": "a"}),
        *(read(f"constants={short(v)}", convolution, "constants to be a dict", constants=v,
            error=LaminaError) for v in (3, "x", [1.0])),
        run("an image of another size", lambda net, b: net(b.full((1, 2, 5, 6), 0.0)),
            "input 'x': expected shape (N, 2, 6, 6)", "(1, 2, 5, 6)", error=ShapeError),
        run("an image of integers", lambda net, b: net(b.full((1, 2, 6, 6), 0, dtype="int64")),
            "input 'x': expected float32", "int64", error=DtypeError),
        run("another name", lambda net, b: net.run({"y": b.full((1, 2, 6, 6), 0.0)}), "expected the inputs x",
            "y"),
        run("no inputs", lambda net, b: net.run({}), "expected the inputs x", "none"),
        Bad("load_onnx", "backward through a function", backward,
            ("Softsign 'softsign': it is no layer of Lamina and has no backward",), StateError, once=True),
        # The writer.
        *(_saved(f"the model {short(v)}", "model to be a Module", model=lambda v=v: v) for v in (None, 3, "x",
            Linear, [])),
        *(_saved(f"input_shape={short(v)}", "input_shape", input_shape=v) for v in (3, "x", (0,), (-1,),
            (1.5,), ("a",), (None,), {})),
        *(_saved(f"input_dtype={short(v)}", "input_dtype to be one of float32, int64",
            input_dtype=v) for v in ("float16", None, 3, ESCAPES)),
        *(_saved(f"{name}={short(v)}", f"{name} to be a Scaling", **{name: v}) for name in ("scaling",
            "output_scaling") for v in (3, (0, 1), math.nan)),
        _saved("no input shape", "expected input_shape", "none",
            model=lambda: Conv2d(1, 2, 3, backend="numpy"), error=ShapeError),
        _saved("an image that is too small",
            "Conv2d(1 -> 2, 3x3): expected input with size at least 3 on axis 2",
               model=lambda: Conv2d(1, 2, 3, backend="numpy"), input_shape=(1, 2, 2), error=ShapeError),
        _saved("batch norm without statistics", "running statistics", "none",
               model=lambda: Sequential(BatchNorm2d(2, track_running_stats=False, backend="numpy")),
               input_shape=(2, 3, 3)),
        _saved("a layer without an exporter", "Alone", "has no ONNX form",
               model=lambda: Sequential(Linear(2, 2, backend="numpy"), Alone("numpy")), error=DataError),
        Bad("save_onnx", "a folder", lambda place: save_onnx(place.path, _linear()), ("that is a folder",),
            OutputError, once=True),
        Bad("save_onnx", "a folder that is absent", lambda place: save_onnx(place.path / "no" / "x.onnx",
            _linear()),
            ("the folder does not exist",), OutputError, once=True),
    )  # fmt: skip


ROWS: tuple[Bad, ...] = _rows() if importlib.util.find_spec("onnx") else ()
