"""Bad inputs of models by name, recipes, model files, predictors and new data for them."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import safetensors.numpy

from lamina.backends import DataError, LaminaError, OptionError, ShapeError, get_backend
from lamina.layers.random import seeded
from lamina.train import CNN, Dense, Jin, LeNet, load_model, save_model
from lamina.train.data import Dataset
from lamina.train.models import model_from_dict
from lamina.train.runs.assemble import describe_model, make_loss
from lamina.train.runs.new_data import read_new_data
from lamina.train.runs.predictor import Predictor
from lamina.train.runs.recipe import Recipe

from . import Bad, Place
from .values import ESCAPES, HUGE, LONG, NOT_FLAGS, NOT_INTEGERS, NOT_NAMES, NOT_NUMBERS, short

MADE: dict[Any, dict[str, Any]] = {
    Dense: {"input_shape": (3,), "hidden": (2,), "outputs": 2},
    CNN: {"input_shape": (1, 8, 8), "outputs": 2},
    LeNet: {"input_shape": (1, 28, 28), "outputs": 2},
    Jin: {"input_shape": (3, 4, 4), "outputs": 2},
}


def _bad(
    subject: str, what: str, call: Callable[[], object], *says: str, error: type[LaminaError] = LaminaError
) -> Bad:
    return Bad(subject, what, lambda place: call(), says, error, once=True)


def _option(kind: Any, name: str, value: Any, *says: str, error: type[LaminaError] = OptionError) -> Bad:
    owner = kind.__name__.lower()
    return _bad(
        owner, f"{name}={short(value)}", lambda: kind(**(MADE[kind] | {name: value})), f"{owner}: expected ",
        *says,
        error=error,
    )  # fmt: skip


# -- models --------------------------------------------------------------------------------------

SIZES = (0, -1, 2**40, HUGE, *NOT_INTEGERS)
NO_SHAPES: tuple[Any, ...] = (None, 3, "3", (0,), (-1,), (2.5,), ("a",), (True,), (2**40,), np.ones(2))
MODELS = [
    *(_option(kind, "outputs", v, "outputs to be an integer of at least 1") for kind in MADE for v in SIZES),
    *(
        _option(kind, name, v, f"{name} to be one of")
        for kind in MADE
        for name in ("output", "initializer")
        for v in ("sofmax", *NOT_NAMES)
        if not (name == "output" and isinstance(v, str) and not v)  # none
    ),
    *(_option(Dense, "input_shape", v, "input_shape") for v in NO_SHAPES),
    *(_option(Dense, "hidden", v, "hidden") for v in (4, *NO_SHAPES)),
    *(
        _option(kind, "input_shape", v, "images (C, H, W)", "samples ", error=ShapeError)
        for kind in (CNN, LeNet, Jin)
        for v in (*NO_SHAPES, (28, 28), (0, 28, 28), (1, 28, 28, 28))
    ),
    *(
        _option(kind, "input_shape", v, f"of at least {least} x {least}", str(v), error=ShapeError)
        for kind, least, shapes in ((LeNet, 12, ((1, 8, 8), (1, 28, 11))), (CNN, 4, ((1, 3, 8),)))
        for v in shapes
    ),
    *(_option(Dense, "activation", v, "activation to be a tuple of names") for v in ("relu", None, 3)),
    *(
        _option(Dense, "activation", v, "activation to be")
        for v in ((["relu"],), (None,), ("relu", "tanh"), (), (ESCAPES,), (LONG,))
    ),
    _option(Dense, "activation", ("reluu",), "one of relu, ", "Did you mean 'relu'?"),
    *(_option(Dense, "biases", v, "biases to be one of torch, zeros") for v in ("zero", 3, ["zeros"])),
    *(_option(kind, "batch_norm", v, "batch_norm to be True or False") for kind in (Dense,
        Jin) for v in NOT_FLAGS),
    *(_option(Jin, "naive", v, "naive to be True or False") for v in NOT_FLAGS),
    *(_option(CNN, "width", v, "width to be an integer of at least 1") for v in SIZES),
    *(_option(CNN, "dropout", v, "dropout to be a finite number, at least 0 and at most 1") for v in (1.5,
        -0.1, *NOT_NUMBERS)),
]  # fmt: skip
DESCRIBED = [
    *(
        _bad("model_from_dict", short(config), lambda c=config: model_from_dict(c), *says, error=error)
        for config, says, error in (
            ({"kind": "quantum"}, ("a model of kind dense, cnn, lenet, resnet, jin", "'quantum'"), DataError),
            ({"kind": ESCAPES}, ("a model of kind", r"\x1b"), DataError),
            *(({"kind": v}, ("a model of kind dense",), DataError) for v in (None, {}, 3, ["dense"], LONG)),
            ({"kind": "lenet"}, ("a description of the model lenet",), DataError),
            *((v, ("the description of a model",), DataError) for v in ([], "dense", None, 3)),
            ({**CNN((1, 8, 8), 2).to_dict(), "depth": 3}, ("a description of the model cnn",), DataError),
            ({**CNN((1, 8, 8), 2).to_dict(), "input_shape": None}, ("images", "samples None"), ShapeError),
            (
                {**LeNet((1, 28, 28), 2).to_dict(), "input_shape": [1, 8, 8]},
                ("at least 12 x 12", "samples (1, 8, 8)"), ShapeError,
            ),
        )
    ),
]  # fmt: skip

# -- recipes -------------------------------------------------------------------------------------

TWO = Dataset("two", np.zeros((4, 3)), np.array([0, 1, 0, 1]), ("no", "yes"))
THREE = Dataset("three", np.zeros((3, 3)), np.arange(3), ("a", "b", "c"))
REALS = Dataset("real", np.zeros((4, 3)), np.zeros((4, 2)))
ONE = Dataset("one", np.zeros((4, 3)), np.zeros(4, int), ("only",))
PICTURES = Dataset("pictures", np.zeros((4, 1, 8, 8)), np.array([0, 1, 0, 1]), ("no", "yes"))


def _settled(name: str, value: Any, flag: str = "", *says: str, **others: Any) -> Bad:
    flag = flag or f"--{name.replace('_', '-')}"
    return _bad(
        "Recipe", f"{name}={short(value)}", lambda: Recipe("disc", **others, **{name: value}).settled(),
        f"{flag}: expected ", *says,
        error=OptionError,
    )  # fmt: skip


def _foreign(name: str, value: Any) -> Bad:
    return _bad(
        "Recipe.from_dict", f"{name}={short(value)}", lambda: Recipe.from_dict({name: value}),
        "expected the options of a recipe", error=DataError,
    )  # fmt: skip


def _loss(what: str, recipe: Recipe, data: Dataset, *says: str) -> Bad:
    return _bad("make_loss", what, lambda: make_loss(recipe, data, get_backend("numpy")), *says)


def _described(model: str, data: Dataset, *says: str) -> Bad:
    def call() -> object:
        recipe = Recipe("my.npz", model=model).settled()
        return describe_model(recipe, data, make_loss(recipe, data, get_backend("numpy")))

    return _bad("describe_model", f"{model} for {data.name}", call, *says, error=OptionError)


RECIPES = [
    *(
        _settled(name, v, "", "an integer of at least 1")
        for name in ("epochs", "batch_size", "patience", "n")
        for v in (0, -1, *NOT_INTEGERS)
        if v is not None
    ),
    *(_settled("seed", v, "", "an integer of at least 0") for v in (-1, 2**64, *NOT_INTEGERS)),
    *(
        _settled(name, v, "", "a finite number", **others)
        for name, small, others in (
            ("lr", (0, -1.0), {}), ("clip_norm", (0, -1.0), {}), ("weight_decay", (-0.1,), {}),
            ("momentum", (-0.9,), {"optimizer": "sgd"}), ("label_smoothing", (3.0, -1), {}),
            ("validation", (1.5, 1, -0.1), {}), ("test", (0.0, 1.0), {}),
        )
        for v in (*small, *NOT_NUMBERS)
        if v is not None
    ),
    *(_settled(name, 1e39, "", "at most 3.4e+38") for name in ("lr", "clip_norm", "weight_decay")),
    *(
        _settled(name, v, flag, "one of")
        for name, flag in (
            ("variant", ""), ("task", ""), ("model", ""), ("output", ""), ("loss", ""), ("optimizer", ""),
            ("initializer", "--init"),
        )
        for v in ("nonsens", *NOT_NAMES)
        if not (v is None and name not in ("task", "initializer"))
    ),
    *(
        _settled(name, v, "", "True or False")
        for name in ("header", "standardize", "check_finite", "best")
        for v in NOT_FLAGS
        if not (v is None and name != "check_finite")
    ),
    *(_settled("hidden", v) for v in (4, "4", (3, 0), (0,), (2.5,), ("a",), (2**40,), (None,))),
    *(_settled("activation", v) for v in ("relu", ("reluu",), (), ("relu", "tanh"), (None,), 3)),
    *(
        _foreign(name, v)
        for name in Recipe().to_dict()
        for v in ([1], -3.5, {"a": 1}, 1e400, [[]], "\x1b", *([] if getattr(Recipe(),
            name) is None else [None]))
        if not (v == "\x1b" and name in ("source", "schedule", "target")) and (name, v) != ("hidden", [1])
    ),
    _foreign("sauce", 1),
    *(
        _bad("Recipe.from_dict", short(v), lambda v=v: Recipe.from_dict(v),
            "expected the options of a recipe", error=DataError)
        for v in ([1, 2], None, "x", 3)
    ),
    _loss("cross_entropy for real targets", Recipe(loss="cross_entropy"), REALS, "--loss: expected mse",
        "real"),
    _loss("bce for three classes", Recipe(loss="bce"), THREE, "--loss: expected two classes for bce",
        "3 in three"),
    _loss("label smoothing of mse", Recipe(loss="mse", label_smoothing=0.1), TWO,
        "--label-smoothing: expected --loss cross_entropy"),
    _loss("one class", Recipe(), ONE, "one: expected at least two classes", "'only' alone"),
    _described("cnn", TWO, "cnn: expected images ", "4 x 4", "samples (3,) from two; use one of dense"),
    _described("lenet", PICTURES, "--model: lenet: ", "12 x 12",
        "from pictures; use one of dense, cnn, resnet, jin"),
    _described("jin_naive", REALS, "--model: jin: expected images (C, H, W)", "samples (3,) from real"),
    *(
        _bad("Recipe", f"{model} with {name}", lambda m=model, n=name,
            v=v: Recipe("digits", model=m, **{n: v}).settled(),
             f"--{name}: expected --model dense", f"{model}, whose layers are fixed", error=OptionError)
        for model in ("cnn", "lenet", "resnet", "jin", "jin_naive")
        for name, v in (("hidden", (7,)), ("activation", ("relu",)))
    ),
]  # fmt: skip

# -- model files and predictors ------------------------------------------------------------------

TINY = Dense((3,), (4,), 2)
DESCRIPTION: dict[str, Any] = {
    "format": "1", "classes": ["no", "yes"], "features": ["a", "b", "c"], "target": None, "scaling": None,
    "target_scaling": None, "threshold": 0.5, "link": "softmax", "recipe": {}, "model": TINY.to_dict(),
}  # fmt: skip
# (key, value) of the wrong values below that are right there.
FITTING: Any = [
    ("classes", None), ("features", None), ("target", None), ("target", "x"), ("scaling", None),
    ("target_scaling", None), ("threshold", 3),
]  # fmt: skip
X = np.random.default_rng(0).normal(size=(9, 3))


@functools.cache
def _tiny() -> Any:
    with seeded(0):
        return TINY.build("numpy")


def _predictor(place: Place, **changes: Any) -> Predictor:
    """Return a predictor of a file with this description; a value of ... removes the entry."""
    whole = {key: value for key, value in (DESCRIPTION | changes).items() if value is not ...}
    save_model(place.path / "m.safetensors", _tiny(), whole)
    return Predictor.load(place.watch(place.path / "m.safetensors"), "numpy")


def _loaded(what: str, *says: str, inputs: Any = X, **changes: Any) -> Bad:
    def call(place: Place) -> object:
        return _predictor(place, **changes)(inputs)

    return Bad("Predictor", what, call, says, once=True)


def _new_data(source: str, *says: str, what: str = "", **options: Any) -> Bad:
    def call(place: Place) -> object:
        files = {
            "text.csv": "a,b,c\n1,x,3\n", "wrong.csv": "a,bb,c\n1,2,3\n", "few.csv": "a,b\n1,2\n",
            "bare.csv": "1,2\n", "a.txt": "x\n",
        }  # fmt: skip
        for name, text in files.items():
            (place.path / name).write_text(text)
        predictor = _predictor(place, recipe=Recipe("train.csv").to_dict())
        place.watch(place.path / "a.txt")
        return read_new_data(predictor, str(place.path / source) if "." in source else source, **options)

    return Bad("read_new_data", what or source, call, says, DataError, once=True)


def _entries() -> Iterator[Bad]:
    for name in DESCRIPTION:
        for value in (3, "x", [3], {"x": [1]}, [], None, True):
            if (name, value) not in FITTING:
                says = (
                    ("cannot be built here",) if name == "model" else ("expected a model of `lamina train`",)
                )
                yield _loaded(f"{name}={short(value)}", *says, **{name: value})
        if name != "format":
            yield _loaded(f"no {name}", "expected ", **{name: ...})


def _model_file(what: str, change: Callable[[bytes], bytes], *says: str) -> Bad:
    def call(place: Place) -> object:
        path = place.path / "m.safetensors"
        save_model(path, _tiny(), DESCRIPTION)
        path.write_bytes(change(path.read_bytes()))
        return load_model(place.watch(path), "numpy")

    return Bad("load_model", what, call, ("m.safetensors'", *says), DataError, once=True)


RUNS = [
    *_entries(),
    _loaded("another format", "expected format '1'", "'2'; use the Lamina that wrote it", format="2"),
    _loaded("three classes", "outputs (N, 3), one for each class", "(9, 2)", classes=["a", "b", "c"]),
    _loaded("a scaling of three targets", "outputs (N, 3) for",
        target_scaling={"mean": [0] * 3, "scale": [1] * 3}),
    _loaded("two feature names", "3 names of features", "2", features=["a", "b"]),
    _loaded("a feature name that is a number", "a list of names", features=["a", 3, "c"]),
    _loaded("a scaling of one feature", "Scaling: expected inputs (N, 1)", "(9, 3)",
        scaling={"mean": [0], "scale": [1]}),
    _loaded("a scaling of text", "Scaling.from_dict: expected", scaling={"mean": [[[[0]]]], "scale": "x"}),
    _loaded("two features", "the model: expected inputs (N, 3)", "(9, 2)", inputs=X[:, :2]),
    _loaded("no samples", "the model: expected inputs (N, 3)", "(0, 3)", inputs=X[:0]),
    _loaded("a number", "the model: expected inputs (N, 3)", "()", inputs=3.0),
    _loaded("inputs of text", "the model: inputs: expected numbers", inputs=X.astype(str)),
    _loaded("no inputs", "the model: inputs: expected numbers", "None", inputs=None),
    *(
        _loaded(f"model.{name}={short(v)}", "cannot be built here", model={**TINY.to_dict(), name: v})
        for name in ("input_shape", "hidden", "activation", "outputs", "output", "initializer", "biases",
            "batch_norm")
        for v in (3.5, {"a": 1}, [[1]], "quantum", [None])
    ),
    _loaded("a model that is larger than the file", "cannot be built here", "'0.weight'",
        model=Dense((3,), (16000, 16000), 2).to_dict()),
    *(
        _loaded(what, "cannot be built here", said, model={**TINY.to_dict(), **changes})
        for what, changes, said in (
            ("a model of another kind", {"kind": "quantum"}, "a model of kind dense"),
            ("an unknown activation", {"activation": ["gelu"]}, "activation to be one of"),
            ("other sizes", {"hidden": [3]}, "'0.weight' to be (3, 3)"),
            ("2**31 - 1 outputs", {"outputs": 2**31 - 1}, "to be (2147483647, 4)"),
            ("10**12 units", {"hidden": [10**12]}, "at most 2147483647"),
        )
    ),
    _loaded("images of 2**31 rows", "cnn: expected images",
            model={**CNN((1, 8, 8), 1).to_dict(), "input_shape": [1, 2**31, 9]}),
    _loaded("the largest images", "cannot be built here", "a shape of at most 68,719,476,736 elements",
            model=CNN((1, 2**31 - 1, 2**31 - 1), 1, width=2**31 - 1).to_dict()),
    _loaded("20,000 layers", "cannot be built here", "weights of 20001 layers",
        model=Dense((3,), (4,) * 20_000, 2).to_dict()),
    _model_file("no bytes", lambda data: b"", "expected a model file of Lamina"),
    Bad("load_model", "a folder", lambda place: load_model(place.path), ("Cannot read model",), DataError,
        once=True),
    _model_file("another program's file", lambda data: safetensors.numpy.save({"weight": np.zeros((1, 2))}),
                "expected a model file of Lamina", "one without its checksum"),
    _model_file("text", lambda data: b"no model", "expected a model file of Lamina"),
    _model_file("half of it", lambda data: data[: len(data) // 2], "checksum"),
    _model_file("a flipped bit", lambda data: data[:-5] + bytes([data[-5] ^ 1]) + data[-4:], "checksum"),
    _model_file("a byte more", lambda data: data + b"\0", "checksum"),
    *(
        Bad(f.__name__, f"the path {short(path)}", lambda place, f=f, p=path: f(p), says, once=True)
        for f in (load_model,)
        for path, says in (
            (None, ("the path of a file",)), (3, ("the path of a file",)), ("a\0b", ("the path of a file",)),
            (LONG, ("File name too long",)), ("absent.safetensors", ("No such file",)),
        )
    ),
    *(
        Bad("save_model", f"the path {short(path)}", lambda place, p=path: save_model(p, _tiny(), {}), says,
            once=True)
        for path, says in (
            (None, ("the path of a file",)), (3, ("the path of a file",)), ("a\0b", ("the path of a file",)),
            (LONG, ("File name too long",)), ("absent/m.safetensors", ("the folder does not exist",)),
        )
    ),
    _new_data("absent.csv", "absent.csv: expected a .csv", "no such one"),
    _new_data("absent.npz", "absent.npz: expected a .csv", "no such one"),
    _new_data("a.txt", "a.txt: expected a .csv, .tsv or .npz file", "'.txt'"),
    _new_data("digits", "expected the training's data set 'train.csv', or a file", "'digits'"),
    _new_data("digits", "expected the training's data set, 'train.csv'", "'digits'", what="digits, test_set",
        test_set=True),
    _new_data("./", "a file train-images", what="a folder without images"),
    _new_data("wrong.csv", "expected a column 'b'", "a, bb, c. Did you mean"),
    _new_data("few.csv", "expected a column 'c'", "a, b"),
    _new_data("bare.csv", "3 columns of features", "2"),
    _new_data("text.csv", "line 2, column 'b': expected a number", "'x'"),
    *(
        Bad("Predictor.check_finite", str(v), lambda place, v=v: _spoiled(place, v).check_finite(),
            (f"finite weights, got {v} in '0.weight'", "--lr"), DataError, once=True)
        for v in (math.nan, math.inf, -math.inf)
    ),
]  # fmt: skip


def _spoiled(place: Place, value: float) -> Predictor:
    predictor = _predictor(place)
    state = predictor.model.state_dict()
    state["0.weight"][0, 0] = value
    predictor.model.load_state_dict(state)
    return predictor


ROWS: tuple[Bad, ...] = (*MODELS, *DESCRIBED, *RECIPES, *RUNS)
