"""Bad inputs of every row of the table of losses, bad options of losses, and bad penalties."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from lamina import layers
from lamina.backends import (
    Backend,
    BackendError,
    DataError,
    DtypeError,
    LaminaError,
    OptionError,
    ShapeError,
    StateError,
    get_backend,
)
from lamina.backends.host import Host
from lamina.layers import (
    BCELoss,
    BCEWithLogitsLoss,
    CrossEntropyLoss,
    L2Penalty,
    Linear,
    Loss,
    MSELoss,
    NLLLoss,
    inference,
)
from lamina.layers.proofs import LossCase
from lamina.layers.proofs.cases import LOSS_CASES

from . import Bad, Place
from .layer_cases import NO_TENSORS
from .values import NOT_INTEGERS, NOT_NAMES, NOT_NUMBERS, short

Row = tuple[str, Callable[[Place, Loss, list[Any]], object], tuple[Any, ...], type[LaminaError]]
PLACES = ("prediction", "target", "weight")
SHAPES: dict[str, Callable[[Host], Host]] = {
    "an axis more": lambda x: x[..., None],
    "an axis less": lambda x: x[0],
    "one sample": lambda x: x[:1],
    "a sample more": lambda x: np.concatenate([x, x[:1]]),
}


def _with(place: int, value: Callable[[Place, Any], Any]) -> Callable[[Place, Loss, list[Any]], object]:
    """Return a call with one argument of another value, made of the right one."""

    def call(where: Place, loss: Loss, arguments: list[Any]) -> object:
        arguments[place] = value(where, arguments[place])
        return loss(*arguments)

    return call


def _changed(place: int, change: Callable[[Host], Host]) -> Callable[[Place, Loss, list[Any]], object]:
    return _with(place, lambda where, x: where.backend.from_host(change(where.backend.to_host(x))))


def _of_dtype(place: int, dtype: str) -> Callable[[Place, Loss, list[Any]], object]:
    return _with(place, lambda where, x: where.backend.astype(x, dtype))


def _one(value: Any) -> Callable[[Host], Host]:
    """Return a change of the last element; the first may have the weight 0."""

    def change(x: Host) -> Host:
        x.flat[-1] = value
        return x

    return change


def _shapes(name: str, given: tuple[Host, ...]) -> Iterator[Row]:
    for place, x in enumerate(given):
        for what, change in SHAPES.items():
            shape = change(x).shape
            fits = place == 2 and shape == (*given[1].shape[: len(shape)],)
            if not fits:
                yield f"{PLACES[place]} with {what}", _changed(place, change), (name, str(shape)), ShapeError


def _dtypes(name: str, given: tuple[Host, ...]) -> Iterator[Row]:
    for place, x in enumerate(given):
        labels = place == 1 and x.dtype.kind == "i"
        soft = place == 1 and not labels and name == "CrossEntropyLoss"
        odd = place == 0 and given[1].dtype.kind == "i"
        for dtype in ("float32", "bool") if labels else ("float64", "int64", "bool"):
            if (soft and dtype == "int64") or (odd and dtype == "float64"):
                continue  # labels of another shape; a wide prediction, which fits them
            yield f"{dtype} {PLACES[place]}", _of_dtype(place, dtype), (name, dtype), DtypeError
        for what, (value, kind) in NO_TENSORS.items():
            if place == 2 and what == "None":
                continue
            made = lambda where, x, value=value, shape=x.shape: value(where, shape)  # noqa: E731
            yield f"{what} as the {PLACES[place]}", _with(place, made), (name, kind), DtypeError


def _values(name: str, loss: Any, given: tuple[Host, ...]) -> Iterator[Row]:
    prediction, target = given[:2]
    if target.dtype.kind == "i":
        classes = prediction.shape[1]
        for label in (classes, -1, -99, 2**40, -(2**63), 2**63 - 1):
            got = f"{label}"[:-1]  # -2**63 is reported as the next number
            says = (f"{name}(", f"labels to be class numbers from 0 to {classes - 1}, got {got}")
            yield f"label {label}", _changed(1, _one(label)), says, DataError
    if isinstance(loss, (BCELoss, BCEWithLogitsLoss)):
        for value in (-0.25, 1.25, math.inf, -math.inf):
            says = (f"{name}(", "every target within [0, 1], got", f"{value}")
            yield f"target {value}", _changed(1, _one(value)), says, DataError
    if isinstance(loss, BCELoss):
        for value in (-0.25, 1.25, math.inf, -math.inf):
            says = (f"{name}(", "every prediction within [0, 1], got", f"{value}")
            yield f"prediction {value}", _changed(0, _one(value)), says, DataError


def _empty(name: str, loss: Any, given: tuple[Host, ...]) -> Iterator[Row]:
    if loss.reduction in ("sum", "none") or _by_row(loss, given):
        return

    def call(where: Place, loss: Loss, arguments: list[Any]) -> object:
        b = where.backend
        return loss(*(b.from_host(b.to_host(x)[:0]) for x in arguments))

    yield "an empty batch", call, (name, "at least one", str((0, *given[0].shape[1:]))), ShapeError


def _by_row(loss: Any, given: tuple[Host, ...]) -> bool:
    """Return whether the loss has a weight for each sample of its own."""
    weight = getattr(loss, "weight", None)
    return weight is not None and len(loss.backend.shape(weight)) == given[0].ndim


def _backward(name: str, loss: Loss, given: tuple[Host, ...]) -> Iterator[Row]:
    def with_gradient(make: Callable[[Place, tuple[int, ...]], Any]) -> Any:
        def call(where: Place, loss: Loss, arguments: list[Any]) -> object:
            value = loss(*arguments)
            return loss.backward(make(where, tuple(where.backend.shape(value))))

        return call

    def inferred(where: Place, loss: Loss, arguments: list[Any]) -> object:
        loss(*arguments)
        with inference():
            loss(*arguments)
        return loss.backward()

    yield "backward before a call", lambda where, loss, _: loss.backward(), (name, "needs a call"), StateError
    yield "backward after inference", inferred, (name, "inference"), StateError
    if loss.reduction != "none":
        ones = with_gradient(lambda where, shape: where.backend.full(shape, 1.0))
        yield "a gradient that nothing needs", ones, (name, "takes no gradient"), StateError
        return
    nothing = with_gradient(lambda where, shape: None)
    yield "no gradient", nothing, (name, "needs the gradient of each element's loss"), StateError
    for what, change in (("an axis more", lambda s: (*s, 1)), ("one sample", lambda s: (1, *s[1:]))):
        call = with_gradient(lambda where, shape, change=change: where.backend.full(change(shape), 1.0))
        yield f"gradient with {what}", call, (name, "backward"), ShapeError
    for dtype in ("float64", "int64"):
        call = with_gradient(lambda where, shape, dtype=dtype: where.backend.full(shape, 1, dtype=dtype))
        yield f"{dtype} gradient", call, (name, dtype), DtypeError
    for what, (value, kind) in NO_TENSORS.items():
        if what != "None":
            yield f"{what} as the gradient", with_gradient(value), (name, kind), DtypeError


def _run(case: LossCase, call: Callable[[Place, Loss, list[Any]], object], place: Place) -> object:
    return call(place, case.build(place.backend), [place.backend.from_host(x) for x in case.inputs()])


def _rows(case: LossCase) -> Iterator[Bad]:
    given, loss, name = case.inputs(), case.build(get_backend("numpy")), case.name.split()[0]
    rows = (
        *_shapes(name, given),
        *_dtypes(name, given),
        *_values(name, loss, given),
        *_empty(name, loss, given),
        *_backward(name, loss, given),
    )
    for what, call, says, error in rows:
        yield Bad(name, f"{case.name}: {what}", functools.partial(_run, case, call), says, error)


CASES = [row for case in LOSS_CASES for row in _rows(case)]

# -- options --------------------------------------------------------------------------------------

KINDS: tuple[Any, ...] = (MSELoss, BCELoss, BCEWithLogitsLoss, NLLLoss, CrossEntropyLoss)


def _option(kind: Any, option: str, value: Any, *says: str, error: Any = OptionError) -> Bad:
    make = lambda place: kind(**{"backend": place.backend, option: value})  # noqa: E731
    return Bad(kind.__name__, f"{option}={short(value)}", make, (*says,), error, once=True)


def _tensor(kind: Any, option: str, what: str, make: Callable[[Backend], Any], *says: str, error: Any) -> Bad:
    def call(place: Place) -> object:
        return kind(**{option: make(place.backend)}, backend=place.backend)

    return Bad(kind.__name__, f"{option} {what}", call, (kind.__name__, option, *says), error)


def _class_weights(kind: Any) -> list[Bad]:
    def called(place: Place) -> object:
        b = place.backend
        return kind(b.from_host([1.0, 2.0]), backend=b)(b.full((2, 3), 0.0), b.from_host([0, 1]))

    says = (f"{kind.__name__}(", "weight to have shape (3,), got (2,)")
    return [
        Bad(kind.__name__, "weights of another number of classes", called, says, LaminaError),
        *(
            _tensor(kind, "weight", f"of shape {s}", lambda b, s=s: b.full(s, 1.0), str(s), error=ShapeError)
            for s in ((), (2, 3), (3, 1))
        ),
    ]


WEIGHTS = ((BCELoss, "weight"), (BCEWithLogitsLoss, "weight"), (BCEWithLogitsLoss, "pos_weight"))


def _wide(kind: Any, option: str) -> Bad:
    def call(place: Place) -> object:
        b = place.backend
        x = b.full((3,), 0.5)
        return kind(**{option: b.full((2, 3), 1.0)}, backend=b)(x, x)

    says = (f"{kind.__name__}()", option, "(3,)", "(2, 3)")
    return Bad(kind.__name__, f"{option} that would widen the loss", call, says, ShapeError)


OPTIONS_OF: dict[str, tuple[str, ...]] = {
    "MSELoss": ("reduction",),
    "BCELoss": ("weight", "reduction"),
    "BCEWithLogitsLoss": ("weight", "reduction", "pos_weight"),
    "NLLLoss": ("weight", "ignore_index", "reduction"),
    "CrossEntropyLoss": ("weight", "ignore_index", "reduction", "label_smoothing"),
}
"""The options of each loss that have rows below. A new loss adds a row."""


def _with_option(option: str) -> list[Any]:
    return [getattr(layers, name) for name, options in OPTIONS_OF.items() if option in options]


TENSORS = [(kind, option) for option in ("weight", "pos_weight") for kind in _with_option(option)]
OPTIONS = [
    *(
        _option(kind, "reduction", value, f"{kind.__name__}: expected reduction to be one of mean, sum, none")
        for kind in _with_option("reduction")
        for value in ("average", "Mean", *NOT_NAMES)
    ),
    *(
        _option(kind, "ignore_index", value, f"{kind.__name__}: expected ignore_index to be an integer")
        for kind in _with_option("ignore_index")
        for value in (0.5, -(10**30), 10**30, np.float32(1), *NOT_INTEGERS)
    ),
    *(
        _option(
            CrossEntropyLoss,
            "label_smoothing",
            value,
            "CrossEntropyLoss: expected label_smoothing to be a finite number, at least 0 and at most 1",
        )
        for value in (-0.1, 1.1, 10**30, *NOT_NUMBERS)
    ),
    *(
        _option(kind, "backend", value, repr(value), error=BackendError)
        for kind in KINDS
        for value in ("numpi", 3, [])
    ),
    *(
        _tensor(kind, option, f"as {what}", lambda b, v=v: v, got, error=DtypeError)
        for kind, option in TENSORS
        for what, v, got in (
            ("a list", [1.0, 2.0], "list"),
            ("text", "balanced", "str"),
            ("a number", 2.0, "float"),
            ("a dict", {0: 1.0}, "dict"),
            ("True", True, "bool"),
        )
    ),
    *(
        _tensor(kind, option, f"of {d}", lambda b, d=d: b.full((3,), 1, dtype=d), d, error=DtypeError)
        for kind, option in TENSORS
        for d in ("int64", "bool")
    ),
    *(
        _tensor(kind, option, f"with {v}", lambda b, v=v: b.from_host([1.0, v]), f"{abs(v)}", error=DataError)
        for kind, option in TENSORS
        for v in (math.nan, math.inf, -math.inf)
    ),
    *(row for kind in (NLLLoss, CrossEntropyLoss) for row in _class_weights(kind)),
    *(_wide(kind, option) for kind, option in WEIGHTS),
    *(
        Bad(kind.__name__, f"to({v!r})", lambda place, kind=kind, v=v: kind(backend=place.backend).to(v),
            (repr(v),), BackendError)
        for kind in KINDS
        for v in ("numpi", 3)
    ),
]  # fmt: skip


class _Own(Loss):
    """A loss of one's own, without weights of samples."""

    def forward(self, prediction: Any, target: Any) -> Any:
        return self.backend.mean(prediction)


def _own(method: str) -> Callable[[Place], object]:
    def call(place: Place) -> object:
        loss, x = _Own(backend=place.backend), place.backend.full((2,), 1.0)
        return (loss if method == "call" else loss.fraction)(x, x, x)

    return call


def _soft(index: int, place: Place) -> object:
    x = place.backend.full((2, 3), 0.25)
    return CrossEntropyLoss(ignore_index=index, backend=place.backend)(x, x)


def _flat(kind: Any, place: Place) -> object:
    x = place.backend.full((4,), 0.25)
    target = x if kind is CrossEntropyLoss else place.backend.from_host(1)
    return kind(backend=place.backend)(x, target)


def _fraction(kind: Any, place: Place) -> object:
    b = place.backend
    x = b.full((2, 3), 0.25)
    target = b.from_host([0, 1]) if issubclass(kind, NLLLoss) else x
    return kind(backend=b).fraction(x, target, b.from_host([1, 2]))


def _broadcast(kind: Any, place: Place) -> object:
    return kind(backend=place.backend)(place.backend.full((3, 1), 0.5), place.backend.full((3,), 1.0))


CALLS = [
    *(
        Bad(kind.__name__, "a fraction with int64 weights", functools.partial(_fraction, kind),
            (f"{kind.__name__}(): expected weight of dtype float32", "int64"), DtypeError)
        for kind in KINDS
    ),
    *(
        Bad("Loss", f"a weight that forward does not take, by {m}", _own(m),
            ("_Own()", "no weight, for forward(prediction, target) takes none"), OptionError)
        for m in ("call", "fraction")
    ),
    *(
        Bad("CrossEntropyLoss", f"probabilities with ignore_index={i}", functools.partial(_soft, i),
            (f"labels (N, ...) with ignore_index={i}, got probabilities (2, 3)", "weight 0"), OptionError)
        for i in (0, -1, 5)
    ),
    *(
        Bad(kind.__name__, "a prediction without a batch", functools.partial(_flat, kind),
            (f"{kind.__name__}()", "a prediction (N, C, ...)", "(4,)"), ShapeError)
        for kind in (NLLLoss, CrossEntropyLoss)
    ),
    *(
        Bad(kind.__name__, "shapes that broadcast", functools.partial(_broadcast, kind),
            (f"{kind.__name__}(): expected a target of the prediction's shape (3, 1), got (3,)",), ShapeError)
        for kind in (MSELoss, BCELoss, BCEWithLogitsLoss)
    ),
]  # fmt: skip

# -- the penalty ----------------------------------------------------------------------------------


def _model(b: Backend) -> Any:
    return layers.Sequential(Linear(2, 2, backend=b))


def _penalty(what: str, parameters: Callable[[Any], Any], coefficient: Any, *says: str) -> Bad:
    def call(place: Place) -> object:
        return L2Penalty(parameters(place.watch(_model(place.backend))), coefficient)

    return Bad("L2Penalty", what, call, ("L2Penalty", *says), OptionError)


PENALTIES = [
    *(
        _penalty(what, make, 0.1, "parameters, as model.parameters() gives them")
        for what, make in (
            ("no parameters", lambda model: []),
            ("a model", lambda model: model),
            ("one parameter", lambda model: model[0].weight),
            ("numbers", lambda model: [1.0]),
            ("names", lambda model: ["0.weight"]),
            ("text", lambda model: "weights"),
            ("None", lambda model: None),
            ("the tensors", lambda model: [p.data for p in model.parameters()]),
            ("pairs", lambda model: model.named_parameters()),
            ("a state", lambda model: model.state_dict()),
        )
    ),
    *(
        _penalty(f"coefficient={short(v)}", lambda model: model.parameters(), v, "coefficient to be")
        for v in (-0.1, -1, 1e39, 10**30 * 10**30, *NOT_NUMBERS)
    ),
]

ROWS: tuple[Bad, ...] = (*CASES, *OPTIONS, *CALLS, *PENALTIES)
