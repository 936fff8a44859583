"""Bad inputs of `Trainer`, its methods and its callbacks."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from trainers import HALF_IGNORED, LABELS, X, trainer_of

from lamina.backends import Backend, DataError, DtypeError, LaminaError, OptionError, ShapeError, get_backend
from lamina.layers import BatchNorm1d, Dropout, Embedding, Linear, Module, ReLU, Sequential
from lamina.layers.losses import BCELoss, CrossEntropyLoss, L2Penalty, Loss, MSELoss
from lamina.train import (
    SGD,
    BestWeights,
    Callback,
    EarlyStopping,
    ExponentialLR,
    ProgressBar,
    Trainer,
)
from lamina.train.data import Dataset
from lamina.train.loop import metrics

from . import Bad, Place
from .values import ESCAPES, NOT_FLAGS, NOT_INTEGERS, NOT_NAMES, NOT_NUMBERS, short

Call = Callable[[Trainer], object]
NAN = math.nan


def watched(place: Place, trainer: Trainer) -> Trainer:
    """Watch what a refused call must not change."""
    for item in (trainer.model, trainer.optimizer, Counts(trainer)):
        place.watch(item)
    return trainer


class Counts:
    """What a trainer counts, as a state."""

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer

    def state_dict(self) -> dict[str, object]:
        draws = [m.step for _, m in self.trainer.model.named_modules() if isinstance(m, Dropout)]
        return {"rows": len(self.trainer.history), "draws": draws, "training": self.trainer.model.training}


# -- data ----------------------------------------------------------------------------------------


class Even(ReLU):
    """A layer of a user's own that takes batches of even size."""

    def forward(self, x: Any) -> Any:
        if (n := self.backend.shape(x)[0]) % 2:
            raise ShapeError(f"expected an even batch, got {n}")
        return super().forward(x)


class Bag(Module):
    """The sum of embeddings, then a batch norm: no container, so only a run shows what reaches the layers."""

    def __init__(self, b: Backend) -> None:
        super().__init__(b)
        self.table, self.norm = Embedding(4, 2, backend=b), BatchNorm1d(2, backend=b)

    def forward(self, x: Any) -> Any:
        return self.norm(self.backend.sum(self.table(x), axis=1))

    def backward(self, grad_output: Any) -> None:
        g = self.norm.backward(grad_output)
        wide = self.backend.reshape(g, (self.backend.shape(g)[0], 1, 2))
        self.table.backward(self.backend.broadcast_to(wide, (self.backend.shape(g)[0], 3, 2)))


def normalized(b: Backend) -> Module:
    return Sequential(Linear(3, 4, backend=b), BatchNorm1d(4, backend=b), Linear(4, 2, backend=b))


def dropped(b: Backend) -> Module:
    return Sequential(Linear(3, 4, backend=b), Dropout(backend=b), Even(b), Linear(4, 2, backend=b))


def changed(array: Any, row: int, value: Any, column: int | None = None) -> Any:
    new = np.array(array)
    new[row if column is None else (row, column)] = value
    return new


WORDS = np.zeros((150, 3), dtype=np.int64)
MANY = np.tile(LABELS, 3)

DATA: dict[str, tuple[Any, type[LaminaError], tuple[str, ...]]] = {
    "a label that is too large": ((X, LABELS + 1), DataError, ("class numbers from 0 to 1", "2")),
    "a negative label": ((X, LABELS - 1), DataError, ("class numbers from 0 to 1", "-1")),
    "the last label too large": ((X, changed(LABELS, 49, 7)), DataError, ("class numbers", "7")),
    "labels that are floats": ((X, LABELS.astype(float)), DtypeError, ("int64 labels", "float")),
    "targets of real numbers": ((X, X[:, :1]), ShapeError, ("labels",)),
    "fewer targets than inputs": ((X, LABELS[:40]), DataError, ("equally many samples", "(50, 3) and (40,)")),
    "no samples": ((X[:0], LABELS[:0]), DataError, ("at least one", "(0, 3)")),
    "a number for inputs": ((np.float64(3), LABELS), DataError, ("equally many samples", "() and (50,)")),
    "None for inputs": ((None, LABELS), DtypeError, ("inputs: expected numbers",)),
    "None for targets": ((X, None), DtypeError, ("targets: expected numbers",)),
    "too few features": ((X[:, :2], LABELS), ShapeError, ("Linear(3 -> 8)", "input (N, ..., 3)", "2)")),
    "inputs of rank 1": ((X[:, 0], LABELS), ShapeError, ("Linear(3 -> 8)", "input (N, ..., 3)")),
    "integer inputs": ((X.astype(int), LABELS), DtypeError, ("Linear", "int64")),
    "boolean inputs": ((X > 0, LABELS), DtypeError, ("Linear", "bool")),
    "complex inputs": ((X.astype(complex), LABELS), DtypeError, ("inputs: expected numbers", "complex128")),
    "inputs of text": ((X.astype(str), LABELS), DtypeError, ("inputs: expected numbers", "<U")),
    "inputs of objects": ((np.full((50, 3), object), LABELS), DtypeError,
        ("inputs: expected numbers", "object")),
    "ragged inputs": (([[1.0, 2, 3]] * 49 + [[1.0]], LABELS), DtypeError, ("inputs: expected", "list")),
    "masked inputs": (
        (np.ma.masked_less(X, 0.0), LABELS), DtypeError, ("inputs: expected numbers", "a masked array"),
    ),
    "dates for inputs": ((np.full((50, 3), np.datetime64("2020")), LABELS), DtypeError,
        ("inputs: expected numbers",)),
    "targets of None": ((X, [None] * 50), DtypeError, ("targets: expected numbers", "with None at")),
    "targets of text": ((X, ["a"] * 50), DtypeError, ("targets: expected numbers", "'a'")),
    "labels beyond int64": (
        (X, LABELS.astype(np.uint64) + np.uint64(2**63)), DataError, ("int64 holds", "922337203685477580"),
    ),
    "inputs beyond float32": ((X * 1e300, LABELS), DataError, ("float32 holds",)),
    "an array alone": (X, OptionError, ("a Dataset, a pair (inputs, targets)", "ndarray")),
    "None": ("none", OptionError, ("a Dataset, a pair (inputs, targets)", "str")),
    "one array in a tuple": ((X,), OptionError, ("a pair (inputs, targets)", "tuple of 1")),
    "four arrays": ((X, LABELS, LABELS, LABELS), OptionError, ("a pair (inputs, targets)", "tuple of 4")),
    "a dict": ({"x": X}, OptionError, ("a pair (inputs, targets)", "dict")),
    "too few weights": ((X, LABELS, np.ones(49)), DataError, ("a weight for each of 50 samples", "(49,)")),
    "weights of two columns": (
        (X, LABELS, np.ones((50, 2))), ShapeError, ("CrossEntropyLoss", "weight to be (N,) or (N, ...)"),
    ),
    "a negative weight": (
        (X, LABELS, changed(np.ones(50), 0, -1)), DataError,
        ("finite weights of at least 0", "-1.0 in row 0"),
    ),
    "a weight of NaN": ((X, LABELS, changed(np.ones(50), 7, NAN)), DataError, ("weights", "nan in row 7")),
    "an infinite weight": ((X, LABELS, changed(np.ones(50), 7, np.inf)), DataError,
        ("weights", "inf in row 7")),
    "weights of text": ((X, LABELS, ["1"] * 50), DtypeError, ("weights: expected numbers",)),
    "weights of 0": ((X, LABELS, np.zeros(50)), DataError, ("a target that counts", "50 samples")),
    "ignored targets": ((X, np.full(50, -100)), DataError, ("a target that counts", "50 samples")),
    "targets ignored or of weight 0": (
        (X, HALF_IGNORED, HALF_IGNORED < 0), DataError, ("a target that counts", "50 samples"),
    ),
    "a data set of real targets": (Dataset("r", X, X[:, :1]), DataError, ("classes", "real targets")),
}  # fmt: skip


def _fitted(part: str, data: Any) -> Callable[[Place], object]:
    pairs = (data, None) if part == "train" else ((X, LABELS), data)
    return lambda place: watched(place, trainer_of(place.backend)).fit(*pairs, epochs=1)


def _evaluated(data: Any) -> Callable[[Place], object]:
    return lambda place: watched(place, trainer_of(place.backend)).evaluate(data)


FITS = [
    *(
        Bad("Trainer.fit", f"{part}: {name}", _fitted(part, data), (f"{part}: ", *says), error)
        for part in ("train", "validation")
        for name, (data, error, says) in DATA.items()
    ),
    *(
        Bad("Trainer.evaluate", name, _evaluated(data), ("evaluate: ", *says), error)
        for name, (data, error, says) in DATA.items()
        if says[0] != "a target that counts"  # the loss of no targets is NaN
    ),
]

# model, training inputs, validation inputs, the options of fit, what the error says
RUNS: dict[str, tuple[Callable[[Backend], Module], Any, Any, dict[str, Any], tuple[str, ...]]] = {
    "a last batch of 1 with batch norm": (
        normalized, X, None, {"batch_size": 7},
        ("train: BatchNorm", "(1, 4)", "1 of 50", "drop_last or another batch_size"),
    ),
    "batches of 1 with batch norm": (
        normalized, X, None, {"batch_size": 1},
        ("train: BatchNorm", "(1, 4)", "a batch of 1 sample; use a batch_size of at least 2"),
    ),
    "full batches of 1 with batch norm": (
        normalized, X, None, {"batch_size": 1, "drop_last": True}, ("use a batch_size of at least 2",),
    ),
    "batches of 47 for a layer of even ones": (
        dropped, X, None, {"batch_size": 47}, ("train: Even", "even batch", "47"),
    ),
    "a last validation batch of 1 for a layer of even ones": (
        dropped, X, X[:21], {"batch_size": 20}, ("validation: Even",
            "1 of 21 samples; use another batch_size"),
    ),
    "an index that is too large in row 137": (
        Bag, changed(WORDS, 137, 4, 1), None, {}, ("train: Embedding(4, 2): expected indices from 0 to 3",
            "4"),
    ),
    "a negative index in a batch that is dropped from some epochs": (
        Bag, changed(WORDS, 149, -1, 1), None, {"batch_size": 7, "drop_last": True},
        ("train: Embedding", "-1"),
    ),
    "an index that is too large in the validation set": (
        Bag, WORDS, changed(WORDS, 137, 9, 1), {"batch_size": 20}, ("validation: Embedding(4, 2)", "9"),
    ),
}  # fmt: skip


def _run(
    build: Callable[[Backend], Module], train: Any, validation: Any, options: Any
) -> Callable[[Place], object]:
    def call(place: Place) -> object:
        model = build(place.backend)
        trainer = Trainer(model, CrossEntropyLoss(backend=place.backend), SGD(model.parameters(), lr=0.1))
        held_out = None if validation is None else (validation, MANY[: len(validation)])
        return watched(place, trainer).fit((train, MANY[: len(train)]), held_out, epochs=2, **options)

    return call


def _strict(part: str, value: float, data: Callable[[Any, Any], Any]) -> Callable[[Place], object]:
    """Fit data with a NaN or an infinity in row 3, with `check_finite`."""

    def call(place: Place) -> object:
        x, y = X.copy(), X[:, :1].copy()
        (x if part == "inputs" else y)[3, 0] = value
        trainer = trainer_of(place.backend, MSELoss(backend=place.backend), 1, check_finite=True)
        return watched(place, trainer).fit(data(x, y))

    return call


def _unlikely(place: Place) -> object:
    trainer = trainer_of(place.backend, BCELoss(backend=place.backend), 1)
    return watched(place, trainer).fit((X, LABELS[:, None]), epochs=1)


FITTING = [
    *(Bad("Trainer.fit", name, _run(*run), says) for name, (*run, says) in RUNS.items()),
    *(
        Bad("Trainer.fit", f"{value} in the {part} of {form}", _strict(part, value, data), says, DataError,
            once=True)
        for part in ("inputs", "targets")
        for value in (NAN, math.inf, -math.inf)
        for form, data, says in (
            ("a pair", lambda x, y: (x, y), ("train: ", f"finite {part}", "1 rows; the first is row 3")),
            ("a data set", lambda x, y: Dataset("named", x, y),
                ("train: named: ", f"finite {part}", "row 3")),
        )
    ),
    Bad("Trainer.fit", "predictions outside BCE's range", _unlikely, ("train: BCELoss", "prediction"),
        DataError),
]  # fmt: skip

# -- options -------------------------------------------------------------------------------------


def _option(method: str, name: str, value: Any, *says: str, error: Any = OptionError) -> Bad:
    def call(place: Place) -> object:
        trainer = watched(place, trainer_of(place.backend))
        data = X if method == "predict" else (X, LABELS)
        return getattr(trainer, method)(data, **{name: value})

    says = (f"{method}: expected {name}", *says)
    return Bad(f"Trainer.{method}", f"{name}={short(value)}", call, says, error, once=True)


def _made(name: str, value: Any, *says: str) -> Bad:
    def call(place: Place) -> object:
        return trainer_of(place.backend, **{name: value})

    says = (f"Trainer: expected {says[0] if says else name}", *says)
    return Bad("Trainer", f"{name}={short(value)}", call, says, OptionError, once=True)


def _built(what: str, parts: Callable[[Backend], tuple[Any, Any, Any]], *says: str, **options: Any) -> Bad:
    def call(place: Place) -> object:
        model, loss, optimizer = parts(place.backend)
        if isinstance(model, Module):
            place.watch(model)
        return Trainer(model, loss, optimizer, **options)

    return Bad("Trainer", what, call, ("Trainer: expected ", *says))


def _parts(b: Backend) -> tuple[Module, Loss, SGD]:
    model = Linear(3, 2, backend=b)
    return model, CrossEntropyLoss(backend=b), SGD(model.parameters(), lr=0.1)


def _with(**parts: Callable[[Backend], Any]) -> Callable[[Backend], tuple[Any, Any, Any]]:
    def make(b: Backend) -> tuple[Any, Any, Any]:
        made = dict(zip(("model", "loss", "optimizer"), _parts(b), strict=True))
        return tuple({**made, **{name: part(b) for name, part in parts.items()}}.values())  # type: ignore[return-value]

    return make


def _double(b: Backend) -> Backend:
    return get_backend("numpy", dtype="float64")


OPTIONS = [
    *(_option("fit", "epochs", v, "an integer of at least 1") for v in (0, -1, *NOT_INTEGERS)),
    *(_option("fit", "batch_size", v, "an integer of at least 1") for v in (0, -1, *NOT_INTEGERS)),
    *(_option("fit", name, v, "True or False") for name in ("shuffle", "drop_last") for v in NOT_FLAGS),
    *(
        _option(m, "batch_size", v, "an integer of at least 1")
        for m in ("predict", "evaluate")
        for v in (0, -1, *(v for v in NOT_INTEGERS if v is not None))
    ),
    *(
        _made(name, v, f"{name} to be a number, above 0")
        for name in ("clip_norm", "clip_value")
        for v in (0, -1.0, *NOT_NUMBERS)
        if v is not None and not (isinstance(v, float) and v == math.inf)
    ),
    *(_made("seed", v, "seed to be an integer of at least 0") for v in (-1, 2**64, *NOT_INTEGERS)),
    *(_made(name, v, f"{name} to be True or False") for name in ("progress",
        "check_finite", "trace_nonfinite", "skip_nonfinite") for v in NOT_FLAGS),
    *(_made("schedule", v, "schedule to be a Schedule or None") for v in ("cosine", 0.9, [], ExponentialLR)),
    *(_made("penalty", v, "penalty to be a L2Penalty or None") for v in (0.1, "l2", [])),
    *(_made("metrics", v, "metrics to be a Mapping or None") for v in (metrics.r2, [metrics.r2], "r2", 3)),
    *(_made("metrics", {"own": v}, "the metric 'own' to be a function") for v in (None, 3, "r2")),
    *(_made("metrics", {v: metrics.r2}, "a metric's name to be a str") for v in (None, 3)),
    *(_made("metrics", {v: metrics.r2}, "metric names other than 'loss' and 'accuracy'") for v in ("loss",
        "accuracy")),
    *(_made("callbacks", v, "callbacks to be a Sequence") for v in (None, 3, EarlyStopping())),
    *(_made("callbacks", [v], "each of callbacks to be a Callback") for v in (None, 3, "x", EarlyStopping,
        print)),
    Bad(
        "Trainer.fit", "batches larger than the data, with drop_last",
        lambda place: watched(place, trainer_of(place.backend)).fit((X, LABELS), batch_size=51,
            drop_last=True),
        ("with drop_last, expected batch_size of at most 50 rows", "51"), DataError, once=True,
    ),
    Bad(
        "Trainer.fit", "a schedule whose last rate overflows",
        lambda place: watched(place, trainer_of(place.backend, schedule=ExponentialLR(10.0))).fit(
            (X, LABELS), epochs=999
        ),
        ("ExponentialLR: expected a finite factor at epoch 998",), OptionError, once=True,
    ),
    Bad(
        "Trainer.fit", "a schedule whose last rate float32 cannot hold",
        lambda place: watched(place, trainer_of(place.backend, schedule=ExponentialLR(10.0))).fit(
            (X, LABELS), epochs=99
        ),
        ("ExponentialLR: expected the factor at epoch 98 to be at most 3.4e+38",), OptionError, once=True,
    ),
]  # fmt: skip

PARTS = [
    *(
        _built(f"the {part} {short(v)}", _with(**{part: lambda b, v=v: v}), f"{part} to be {kind}")
        for part, kind in (("model", "a Module"), ("loss", "a Loss"), ("optimizer", "an Optimizer"))
        for v in (None, "adam", 3, [], print, Sequential, SGD, CrossEntropyLoss)
    ),
    _built(
        "a loss of another dtype", _with(loss=lambda b: CrossEntropyLoss(backend=_double(b))),
        "the loss on the model's backend", "float32", "float64",
    ),
    _built(
        "an optimizer of another dtype",
        _with(optimizer=lambda b: SGD(Linear(3, 2, backend=_double(b)).parameters())),
        "the optimizer on the model's backend", "float32", "float64",
    ),
    _built(
        "a loss without reduction", _with(loss=lambda b: CrossEntropyLoss(reduction="none", backend=b)),
        "one value per batch", "CrossEntropyLoss",
    ),
    _built(
        "an optimizer of another model", _with(optimizer=lambda b: _parts(b)[2]),
        "an optimizer of the model's parameters", "SGD(", "of 2 others, without weight, bias",
    ),
]  # fmt: skip


def _foreign_penalty(place: Place) -> object:
    model, loss, optimizer = _parts(place.backend)
    penalty = L2Penalty(_parts(place.backend)[0].parameters(), 0.1)
    return Trainer(place.watch(model), loss, optimizer, penalty=penalty)


def _other_model(place: Place) -> object:
    trainer = Trainer(*_parts(place.backend))
    trainer.model = _parts(place.backend)[0]
    return watched(place, trainer).fit((X, LABELS), epochs=1)


BELONGING = [
    Bad("Trainer", "a penalty on another model", _foreign_penalty,
        ("a penalty on the model's parameters", "on 2 others")),
    Bad("Trainer.fit", "another model, assigned", _other_model, ("of 2 others, without weight, bias",)),
    *(
        Bad(
            "Trainer.predict", name, lambda place, x=x: watched(place, trainer_of(place.backend)).predict(x),
            says
        )
        for name, x, says in (
            ("no samples", X[:0], ("predict: ", "N at least 1", "(0, 3)")),
            ("a number", 3.0, ("predict: ", "N at least 1", "()")),
            ("text", "x", ("predict: ", "numbers")),
            ("None", None, ("predict: ", "numbers")),
            ("ragged rows", [[1.0], [1.0, 2.0]], ("predict: ", "list")),
            ("too few features", X[:, :2], ("Linear(3 -> 8)", "(N, ..., 3)", "(50, 2)")),
            ("integers", X.astype(int), ("Linear(3 -> 8)", "int64")),
        )
    ),
]  # fmt: skip

# -- metrics of a fit, callbacks -----------------------------------------------------------------


def _measured(value: Any) -> Callable[[Place], object]:
    def call(place: Place) -> object:
        trainer = trainer_of(place.backend, metrics={"own": lambda outputs, targets: value})
        return watched(place, trainer).fit((X, LABELS), epochs=1)

    return call


def _called(callback: Callback, metric: Any = None, **columns: Any) -> Callable[[Place], object]:
    def call(place: Place) -> object:
        trainer = trainer_of(
            place.backend, callbacks=[callback], metrics={} if metric is None else {"own": metric}
        )
        return watched(place, trainer).fit((X, LABELS), epochs=1)

    return call


def _worst(outputs: Any, targets: Any) -> float:
    return float(np.abs(outputs).max())


CALLBACKS = [
    *(
        Bad("Trainer.fit", f"a metric that returns {short(v)}", _measured(v),
            ("the metric 'own'", "one number"), once=True)
        for v in (None, "x", [1.0], np.ones(2), 1j, True)
    ),
    *(
        Bad(
            kind.__name__, f"monitor={monitor!r}", _called(kind(monitor)),
            (f"{kind.__name__}: expected monitor to be a column of this fit", *near), OptionError, once=True,
        )
        for kind in (EarlyStopping, BestWeights)
        for monitor, near in (
            ("validation_loss", ()), ("train_los", ("Did you mean 'train_loss'?",)), ("", ()),
            (ESCAPES, (r"\x1b",)),
        )
    ),
    *(
        Bad(
            kind.__name__, "a metric that does not say which values are better",
            _called(kind("train_own"), _worst),
            ("expected mode 'min' or 'max' for 'train_own'", "None"), OptionError, once=True,
        )
        for kind in (EarlyStopping, BestWeights)
    ),
    *(
        Bad(
            kind.__name__, f"{name}={short(value)}", lambda place, k=kind, o={name: value}: k(**o),
            (f"{kind.__name__}: expected {name} to be",), OptionError, once=True,
        )
        for kind, name, values in (
            (EarlyStopping, "patience", (0, -1, *NOT_INTEGERS)),
            *((k, "min_delta", (-1.0, *NOT_NUMBERS)) for k in (EarlyStopping, BestWeights)),
            *(
                (k, "mode", ("least", *(v for v in NOT_NAMES if v is not None))) for k in (EarlyStopping,
                    BestWeights)
            ),
            *((k, "monitor", (None, 3, True, [], ["train_loss"])) for k in (EarlyStopping, BestWeights)),
        )
        for value in values
    ),
    *(
        Bad(
            "ProgressBar", f"console={short(v)}", lambda place, v=v: ProgressBar(v),
            ("ProgressBar: expected a rich Console or none",), OptionError, once=True,
        )
        for v in (30, 0, "x", [], True)
    ),
]  # fmt: skip

ROWS: tuple[Bad, ...] = (*FITS, *FITTING, *OPTIONS, *PARTS, *BELONGING, *CALLBACKS)
