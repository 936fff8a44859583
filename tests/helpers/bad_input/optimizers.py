"""Bad inputs of optimizers: options, parameters, groups, states, clipping."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from lamina.backends import OptionError, ShapeError, StateError, get_backend
from lamina.layers import Linear, Sequential
from lamina.layers.initializers import Constant as Filled
from lamina.layers.parameter import Parameter
from lamina.train.optimizers import (
    SGD,
    Adagrad,
    Adam,
    AdamW,
    Optimizer,
    RMSprop,
    clip_grad_norm,
    clip_grad_value,
)

from . import Bad, Place
from .values import NOT_FLAGS, NOT_NUMBERS, short

Kind = Callable[..., Optimizer]
NAN = math.nan
NUMBERS: dict[Kind, tuple[str, ...]] = {
    SGD: ("lr", "momentum", "dampening", "weight_decay"),
    Adam: ("lr", "eps", "weight_decay"),
    AdamW: ("lr", "eps", "weight_decay"),
    RMSprop: ("lr", "alpha", "eps", "momentum", "weight_decay"),
    Adagrad: ("lr", "lr_decay", "eps", "weight_decay", "initial_accumulator_value"),
}
OTHERS: dict[tuple[Kind, str], list[Any]] = {
    **{
        (kind, "betas"): [(0.9, NAN), 0.9, "ab", None, (0.9, [0.9]), (1, 0), (0.9,)] for kind in (Adam, AdamW)
    },
    (SGD, "nesterov"): NOT_FLAGS,
    (RMSprop, "centered"): NOT_FLAGS,
    (RMSprop, "eps_inside_root"): NOT_FLAGS,
    (SGD, "momentum_form"): ["heavy", 1, None, [], np.ones(2, bool)],
}


def one(place: Place) -> list[Parameter]:
    return [Parameter((2,), Filled(0.0), place.backend)]


# -- options -------------------------------------------------------------------------------------


def _made(kind: Kind, name: str, value: Any) -> Callable[[Place], object]:
    return lambda place: kind(one(place), **{name: value})


def _grouped(kind: Kind, name: str, value: Any) -> Callable[[Place], object]:
    return lambda place: kind([{"params": one(place), name: value}])


def _set(kind: Kind, name: str, value: Any) -> Callable[[Place], object]:
    return lambda place: place.watch(kind(one(place))).groups[0].options.__setitem__(name, value)


def _updated(kind: Kind, name: str, value: Any) -> Callable[[Place], object]:
    return lambda place: place.watch(kind(one(place))).groups[0].options.update({"lr": 0.5, name: value})


def _restored(kind: Kind, name: str, value: Any) -> Callable[[Place], object]:
    def call(place: Place) -> object:
        optimizer = place.watch(kind(one(place)))
        state = optimizer.state_dict()
        state["groups"][0]["options"][name] = value
        return optimizer.load_state_dict(state)

    return call


WAYS = {"": _made, " of a group": _grouped, " set": _set, " updated": _updated, " restored": _restored}


def _options() -> Iterator[Bad]:
    """Yield every way to give an option: to all groups, to one, by assignment, by a saved state."""
    given: Iterable[tuple[Kind, str, Any]] = (
        *(
            (kind, name, value)
            for kind, names in NUMBERS.items()
            for name in names
            for value in (*NOT_NUMBERS, *(() if name == "dampening" else (-1.0, np.float32(-1))))
        ),
        *((kind, name, value) for (kind, name), values in OTHERS.items() for value in values),
    )
    for kind, name, value in given:
        owner = kind.__name__
        for way, call in WAYS.items():
            says = (f"{owner}: expected {name}", "to be ")
            yield Bad(
                owner, f"{name}={short(value)}{way}", call(kind, name, value), says, OptionError, once=True
            )


def _fixed(kind: Kind, made: dict[str, Any], **change: Any) -> Bad:
    """Give an option that decides which cells the group owns another value."""
    (name,) = change

    def call(place: Place) -> object:
        return place.watch(kind(one(place), **made)).groups[0].options.update(change, lr=0.5)

    says = (kind.__name__, f"expected {name} to stay", "make a new optimizer")
    return Bad(kind.__name__, f"{name} changed after {made}", call, says, StateError, once=True)


FIXED = (
    _fixed(SGD, {}, momentum=0.5),
    _fixed(SGD, {"momentum": 0.5}, momentum=0.0),
    _fixed(RMSprop, {}, momentum=0.5),
    _fixed(RMSprop, {}, centered=True),
    _fixed(RMSprop, {"centered": True, "momentum": 0.5}, centered=False),
    _fixed(Adagrad, {}, initial_accumulator_value=1.0),
)


def _refused(kind: Kind, what: str, *says: str, **options: Any) -> Bad:
    return Bad(kind.__name__, what, lambda place: kind(one(place), **options), says, OptionError, once=True)


COMBINED = (
    _refused(SGD, "nesterov without momentum", "a momentum above 0 and a dampening of 0", nesterov=True),
    _refused(SGD, "nesterov and dampening", "0.9 and 0.1", momentum=0.9, dampening=0.1, nesterov=True),
    _refused(SGD, "nesterov and ema", "neither nesterov", momentum=0.9, nesterov=True, momentum_form="ema"),
    _refused(RMSprop, "alpha=1", "alpha to be a finite number, at least 0 and below 1", "1.0", alpha=1.0),
    _refused(Adam, "betas[1]=1", "betas[1] to be", "below 1", "1.0", betas=(0.9, 1.0)),
    Bad(
        "SGD",
        "dampening set beside nesterov",
        lambda place: (
            place.watch(SGD(one(place), momentum=0.9, nesterov=True)).groups[0].options.update(dampening=0.1)
        ),
        ("SGD", "a dampening of 0", "0.1"),
        OptionError,
        once=True,
    ),
    *(
        Bad(
            "Adam",
            f"the unknown option {name!r} set",
            lambda place, name=name: place.watch(Adam(one(place))).groups[0].options.__setitem__(name, 0.1),
            ("Adam: expected the options lr, ", repr(name)),
            OptionError,
            once=True,
        )
        for name in ("lr_decay", "learning_rate", None, 3)
    ),
    Bad(
        "Adam",
        "an option removed",
        lambda place: place.watch(Adam(one(place))).groups[0].options.__delitem__("lr"),
        ("Adam: expected all options to stay",),
        OptionError,
        once=True,
    ),
)


def _rate(place: Place, value: Any) -> None:
    place.watch(SGD(one(place), lr=0.5)).lr_factor = value


def _own_rate(place: Place) -> None:
    place.watch(SGD(one(place), lr=0.5)).lr = 0.1


RATES = (
    *(
        Bad(
            "SGD",
            f"lr_factor={short(value)}",
            lambda place, value=value: _rate(place, value),
            ("SGD: expected lr_factor to be a finite number, at least 0",),
            OptionError,
            once=True,
        )
        for value in (-1.0, *NOT_NUMBERS)
    ),
    Bad(
        "SGD",
        "lr assigned",
        _own_rate,
        ("SGD", "expected groups[0].options['lr'] to be set"),
        StateError,
        once=True,
    ),
    *(
        Bad(
            kind.__name__,
            "lr above the largest float32",
            lambda place, kind=kind: kind(Linear(2, 2, backend=get_backend("numpy")).parameters(), lr=1e39),
            (f"{kind.__name__}: expected lr", "float32", "1e+39"),
            OptionError,
        )
        for kind in NUMBERS
    ),
)

# -- parameters ----------------------------------------------------------------------------------


def _with(give: Callable[[list[Parameter]], object]) -> Callable[[Place, Kind], object]:
    """Return a call that gives parameters to an optimizer, and steps an earlier one after that."""

    def call(place: Place, kind: Kind) -> object:
        p = one(place)
        before = SGD(p)
        try:
            return kind(give(p))
        finally:
            before.step()  # raises if the refused optimizer packed the parameters elsewhere

    return call


PARAMETERS: dict[str, tuple[Callable[[list[Parameter]], object], tuple[str, ...]]] = {
    "no parameters": (lambda p: [], ("at least one parameter", "none")),
    "None": (lambda p: None, ("model.parameters()", "None")),
    "a number": (lambda p: 3, ("model.parameters()", "3")),
    "text": (lambda p: "weight", ("parameters", "'w'")),
    "a list of names": (lambda p: ["weight"], ("parameters", "'weight'")),
    "an array": (lambda p: np.ones(2), ("parameters", "1.0")),
    "a parameter": (lambda p: p[0], ("model.parameters()", "Parameter(2,)")),
    "a module": (lambda p: Linear(2, 2, backend="numpy"), ("model.parameters()", "Linear(2 -> 2)")),
    "a parameter's data": (lambda p: [p[0].data], ("parameters",)),
    "a parameter twice": (lambda p: [*p, *p], ("each parameter once", "Parameter(2,) twice")),
    "a parameter in two groups": (lambda p: [{"params": p}, {"params": p}], ("each parameter once", "twice")),
    "one group": (lambda p: {"params": p}, ("a list of groups", "one group")),
    "a group of an unknown option": (
        lambda p: [{"params": p, "momentun": 0.9}], ("expected the options", "'momentun'"),
    ),
    "a group of an option that is no name": (lambda p: [{"params": p, 3: 0.9}],
        ("expected the options", "3")),
    "a group without parameters": (lambda p: [{"lr": 1.0}], ("a group with 'params'", "lr")),
    "a group of a number": (lambda p: [{1: 2}], ("a group with 'params'", "1")),
    "an empty group": (lambda p: [{"params": []}], ("a group of at least one parameter", "none")),
    "a group of None": (lambda p: [{"params": None}], ("'params' to be parameters", "None")),
    "a group, then a parameter": (lambda p: [{"params": p}, p[0]], ("groups only or parameters only",)),
    "a parameter, then a group": (lambda p: [*p, {"params": p}], ("expected parameters",)),
    "a bad group after a good one": (
        lambda p: [{"params": [*p, Parameter((2,), Filled(0.0), p[0].backend)]},
            {"params": [p[0]], "lr": -1.0}],
        ("expected lr to be", "-1.0"),
    ),
    "a group that repeats a parameter of a larger one": (
        lambda p: [{"params": [*p, Parameter((2,), Filled(0.0), p[0].backend)]}, {"params": p}], ("twice",),
    ),
    "parameters of two backends": (
        lambda p: [*p, Parameter((2,), Filled(0.0), get_backend("numpy", dtype="float64"))],
        ("all parameters on one backend in one dtype", "float64"),
    ),
    "groups of two backends": (
        lambda p: [
            {"params": [*p, Parameter((2,), Filled(0.0), p[0].backend)]},
            {"params": [Parameter((2,), Filled(0.0), get_backend("numpy", dtype="float64"))]},
        ],
        ("all parameters on one backend in one dtype", "float64"),
    ),
}  # fmt: skip
PARAMETER_ROWS = [
    Bad(
        kind.__name__,
        f"parameters: {name}",
        lambda place, kind=kind, give=give: _with(give)(place, kind),
        (f"{kind.__name__}: ", *says),
        once="backend" not in name,
    )
    for kind in NUMBERS
    for name, (give, says) in PARAMETERS.items()
]

# -- states --------------------------------------------------------------------------------------


def _state(what: str, change: Callable[[dict[str, Any]], Any], *says: str, error: Any = StateError) -> Bad:
    """Load an altered state into an optimizer that has made a step."""

    def call(place: Place) -> object:
        b = place.backend
        model = Sequential(Linear(3, 3, backend=b), Linear(3, 3, backend=b))
        optimizer = Adam(model.parameters())
        optimizer.step()
        state = change(optimizer.state_dict())
        place.watch(model)
        return place.watch(optimizer).load_state_dict(state)

    return Bad("Adam", f"a state with {what}", call, ("Adam: ", *says), error)


def _group(**changes: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda s: {**s, "steps": 99, "groups": [{**s["groups"][0], **changes}]}


def _cells(**changes: Any) -> Callable[[dict[str, Any]], Any]:
    def change(state: dict[str, Any]) -> Any:
        return _group(cells={**state["groups"][0]["cells"], **changes})(state)

    return change


STATES = (
    _state("no groups", lambda s: {**s, "groups": []}, "the state of 1 groups", "0"),
    _state("groups that are None", lambda s: {**s, "groups": None}, "the state of 1 groups", "0"),
    _state("a group that is None", lambda s: {**s, "groups": [None]}, "the options"),
    _state("two groups", lambda s: {**s, "groups": s["groups"] * 2}, "the state of 1 groups", "2"),
    _state("groups alone", lambda s: {"groups": s["groups"]}, "lacks steps, lr_factor"),
    _state("the form of a list", lambda s: [s], "a state_dict", "list"),
    _state("the value None", lambda s: None, "a state_dict", "NoneType"),
    *(
        _state(f"steps={short(v)}", lambda s, v=v: {**s, "steps": v}, "steps to be an integer",
            error=OptionError)
        for v in (-1, 1.5, NAN, None, "3", True)
    ),
    *(
        _state(f"lr_factor={short(v)}", lambda s, v=v: {**s, "lr_factor": v}, "lr_factor", error=OptionError)
        for v in (-1.0, NAN, None, "fast")
    ),
    _state("cells that are None", _group(cells=None), "the cells"),
    _state("another optimizer's cells", _group(cells={"momentum": np.zeros(24)}), "the cells", "momentum"),
    _state("a cell of another shape", _cells(first_moment=np.zeros(3)), "first_moment", "(24,)", "(3,)",
        error=ShapeError),
    _state("a cell of text", _cells(first_moment="a"), "first_moment to be an array"),
    _state("a cell of None", _cells(first_moment=None), "first_moment to be an array"),
    _state("a complex cell", _cells(first_moment=np.ones(24) * 1j), "first_moment to be an array"),
    _state("a ragged cell", _cells(first_moment=[[1.0], [1.0, 2.0]]), "first_moment to be an array"),
    _state("the options of SGD", _group(options={"lr": 1.0, "momentum": 0.0}), "the options"),
    _state("lr alone", _group(options={"lr": 1.0}), "the options"),
    _state(
        "a negative lr", lambda s: _group(options={**s["groups"][0]["options"], "lr": -1.0})(s),
        "expected lr to be", "-1.0", error=OptionError,
    ),
)  # fmt: skip


def _other_cells(kind: Kind, cell: str, **options: Any) -> Bad:
    """Load a state whose options need a cell that the optimizer does not have."""

    def call(place: Place) -> object:
        optimizer = place.watch(kind(one(place)))
        state = optimizer.state_dict()
        state["groups"][0]["options"].update(options)
        return optimizer.load_state_dict(state)

    says = (f"{kind.__name__}: ", "options that need ", f"'{cell}'")
    return Bad(
        kind.__name__, f"a state that needs the cell {cell} for {options}", call, says, StateError, once=True
    )


CELLS = (
    _other_cells(SGD, "momentum", momentum=0.5),
    _other_cells(RMSprop, "momentum", momentum=0.5),
    _other_cells(RMSprop, "average", centered=True),
)

# -- clipping ------------------------------------------------------------------------------------

CLIPPING = [
    Bad(
        clip.__name__,
        f"{option}={short(value)}",
        lambda place, clip=clip, value=value: clip(place.watch(SGD(one(place))), value),
        (f"{clip.__name__}: expected {option} to be a number, above 0",),
        OptionError,
        once=True,
    )
    for clip, option in ((clip_grad_norm, "max_norm"), (clip_grad_value, "clip_value"))
    for value in (0.0, -1.0, *(v for v in NOT_NUMBERS if not (isinstance(v, float) and v > 0)))
] + [
    Bad(
        clip.__name__,
        f"an optimizer that is {short(value)}",
        lambda place, clip=clip, value=value: clip(value, 1.0),
        (f"{clip.__name__}: expected an optimizer",),
        OptionError,
        once=True,
    )
    for clip in (clip_grad_norm, clip_grad_value)
    for value in (None, [], "SGD", SGD)
]

ROWS: tuple[Bad, ...] = (
    *_options(), *FIXED, *COMBINED, *RATES, *PARAMETER_ROWS, *STATES, *CELLS, *CLIPPING,
)  # fmt: skip
