"""A fit on a backend that traces its steps is the same fit: numbers, options and modes that change count."""

from __future__ import annotations

import copy
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from trainers import LABELS, X, weights

from lamina.backends import Backend, get_backend
from lamina.backends.decorators.jit.decorator import JitBackend
from lamina.layers import BatchNorm1d, Dropout, Linear, Module, ReLU, Sequential, Tanh, manual_seed
from lamina.layers.losses import BCEWithLogitsLoss, CrossEntropyLoss, L2Penalty, Loss, NLLLoss
from lamina.train import SGD, Adam, Callback, CosineAnnealingLR, Trainer
from lamina.train.loop.dependencies import Identities, Keyed

pytest.importorskip("llvmlite", reason="it compiles the traced steps")


class Every(Callback):
    """Calls a function after each epoch, or after each step."""

    def __init__(self, change: Callable[[Any, int], object]) -> None:
        self.change = change

    def on_epoch_end(self, trainer: Any, row: Any) -> bool:
        self.change(trainer, len(trainer.history))
        return False


class EveryStep(Every):
    def on_step(self, trainer: Any, step: int) -> None:
        self.change(trainer, trainer.optimizer.steps)


def trainer_on(b: Backend, make_loss: Callable[..., Loss] = CrossEntropyLoss, **options: Any) -> Trainer:
    manual_seed(0)
    model = Sequential(
        Linear(3, 8, bias=False, backend=b),  # its bias would have no gradient but noise, which Adam follows
        BatchNorm1d(8, backend=b),
        ReLU(b),
        Dropout(0.3, backend=b),
        Linear(8, 1 if make_loss is BCEWithLogitsLoss else 2, backend=b),
    )
    optimizer = options.pop("optimizer", Adam)(model.parameters(), lr=0.05)
    penalty = L2Penalty(model.parameters(), 1e-3) if options.pop("penalty", False) else None
    return Trainer(model, make_loss(backend=b), optimizer, penalty=penalty, **options)


def set_lr(trainer: Any, k: int) -> None:
    trainer.optimizer.groups[0].options["lr"] = 0.05 / (1 + k)


def set_options(trainer: Any, k: int) -> None:
    trainer.optimizer.groups[0].options["weight_decay"] = 0.1 * k
    trainer.model[3].p = 0.3 + 0.1 * k
    trainer.clip_norm = 1.0 / k


CASES: dict[str, dict[str, Any]] = {
    "a schedule": {"schedule": CosineAnnealingLR(3)},
    "a rate for each step": {"callbacks": [EveryStep(set_lr)]},
    "a rate for each epoch": {"callbacks": [Every(set_lr)], "optimizer": SGD},
    "options of optimizer, layer and trainer": {"callbacks": [Every(set_options)]},
    "a penalty, clipping, a metric": {
        "penalty": True,
        "clip_value": 0.01,
        "metrics": {"largest": lambda outputs, targets: float(outputs.max())},
    },
}


@pytest.mark.parametrize("case", CASES)
def test_a_traced_fit_is_the_eager_one(case: str) -> None:
    backends = (get_backend(text, dtype="float64") for text in ("numpy", "jit+numpy"))
    ours, theirs = (trainer_on(b, **dict(CASES[case])) for b in backends)
    for trainer in (ours, theirs):
        trainer.fit((X, LABELS), (X[:20], LABELS[:20]), epochs=3, batch_size=16)
    close(weights(ours), weights(theirs))
    for name in ours.history.names:
        if name != "seconds":
            close(ours.history.column(name), theirs.history.column(name))
    assert ours.model[3].step == theirs.model[3].step == 12  # type: ignore[index]
    assert ours.optimizer.steps == theirs.optimizer.steps == 12
    close(ours.predict(X, batch_size=7), theirs.predict(X, batch_size=7))
    assert ours.evaluate((X, LABELS)) == pytest.approx(theirs.evaluate((X, LABELS)), rel=1e-9)


def close(ours: Any, theirs: Any) -> None:
    np.testing.assert_allclose(ours, theirs, rtol=1e-8, atol=1e-9)


def test_values_are_checked_though_a_traced_step_reads_none() -> None:
    trainer = trainer_on(get_backend("jit+numpy"), BCEWithLogitsLoss)
    with pytest.raises(
        ValueError, match=r"evaluate: BCEWithLogitsLoss\(\): expected every target within \[0"
    ):
        trainer.evaluate((X, 2.0 * LABELS[:, None]))
    trainer = trainer_on(get_backend("jit+numpy"))
    with pytest.raises(ValueError, match=r"evaluate: CrossEntropyLoss\(\): .* from 0 to 1, got 2|indices"):
        trainer.evaluate((X, LABELS + 1))


def test_a_key_changes_with_what_the_step_reads() -> None:
    b = get_backend("numpy")
    trainer = trainer_on(b)
    model, optimizer = trainer.model, trainer.optimizer
    step: Any = Keyed(lambda batch, numbers: (), model, trainer.loss, optimizer=optimizer)
    first = step.key()
    set_lr(trainer, 1)
    optimizer.steps += 3
    assert step.key() == first
    assert hash(step.key()) == hash(first)
    for change in (
        lambda: setattr(model[3], "p", 0.7),  # type: ignore[index]
        lambda: setattr(model[1], "momentum", 0.7),  # type: ignore[index]
        lambda: setattr(trainer.loss, "reduction", "sum"),
        lambda: setattr(trainer.loss, "weight", b.full((2,), 1.0)),
        lambda: optimizer.groups[0].options.update(weight_decay=0.5),
        lambda: SGD(model[0].parameters()),  # type: ignore[index]  # packs them elsewhere
    ):
        change()
        assert step.key() != first
        first = step.key()


class Scale(Module):
    """Multiplies by what a plain dict and a list in it say."""

    def __init__(self, backend: Backend) -> None:
        super().__init__(backend)
        self.options: dict[str, Any] = {"factors": [2.0]}

    def forward(self, x: Any) -> Any:
        return self.backend.multiply(x, self.options["factors"][0])

    def backward(self, grad_output: Any) -> Any:
        return self.backend.multiply(grad_output, self.options["factors"][0])


def test_what_one_call_compiles_is_there_for_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = trainer_on(get_backend("jit+numpy"))

    def call(trainer: Trainer) -> None:
        trainer.fit((X, LABELS), (X, LABELS), epochs=1, batch_size=4)
        trainer.evaluate((X, LABELS), batch_size=4)
        trainer.predict(X, batch_size=4)

    call(trainer)
    monkeypatch.setattr(JitBackend, "trace", lambda *_: pytest.fail("traced again"))
    call(trainer)
    first = weakref.ref(trainer)
    twin = copy.deepcopy(trainer)  # has cells of its own, and code of its own
    with pytest.raises(pytest.fail.Exception, match="traced again"):
        twin.predict(X, batch_size=4)
    del trainer, twin
    assert first() is None  # it goes without the garbage collector


CHANGES: dict[str, Callable[[Any], object]] = {
    "a layer more": lambda trainer: trainer.model.append(Scale(trainer.backend)),
    "another layer": lambda trainer: trainer.model._layers.update({"2": Tanh(trainer.backend)}),
    "an option": lambda trainer: setattr(trainer.model[1], "momentum", 0.5),
    "an item of a list": lambda trainer: trainer.model[-1].options.update(factors=[3.0]),
    "in place": lambda trainer: trainer.model[-1].options["factors"].__setitem__(0, 3.0),
    "another loss": lambda trainer: setattr(trainer, "loss", NLLLoss(backend=trainer.backend)),
    "clipping": lambda trainer: setattr(trainer, "clip_value", 1e-3),
    "a penalty": lambda trainer: setattr(
        trainer, "penalty", L2Penalty(list(trainer.model.parameters()), 0.1)
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_changes_between_two_calls_counts(change: str) -> None:
    found = []
    for text in ("numpy", "jit+numpy"):
        trainer = trainer_on(get_backend(text, dtype="float64"))
        if change in ("an item of a list", "in place"):
            trainer.model.append(Scale(trainer.backend))  # type: ignore[attr-defined]
        for change_it in (CHANGES[change], lambda trainer: None):
            trainer.fit((X, LABELS), epochs=1, batch_size=10)
            trainer.predict(X, batch_size=10)
            change_it(trainer)
        scores = trainer.evaluate((X, LABELS), batch_size=10)
        found.append([*weights(trainer), *trainer.predict(X, batch_size=10).ravel(), scores["loss"]])
    close(*found)


def test_identities_are_those_of_objects() -> None:
    one, other = [1.0], [1.0]
    assert Identities([one]) == Identities([one])
    assert Identities([one]) != Identities([other])
    assert Identities([one]) != Identities([one, one])
    assert Identities([]) != 0


def test_a_fit_compiles_its_step_and_its_scores_once() -> None:
    trainer = trainer_on(get_backend("jit+numpy"))
    assert trainer.compilations == {}
    trainer.fit((X, LABELS), (X, LABELS), epochs=3, batch_size=4)
    assert {name: [one.rows for one in found] for name, found in trainer.compilations.items()} == {
        "training": [4],
        "scoring": [4],
    }
    eager = trainer_on(get_backend("numpy"))
    eager.fit((X, LABELS), epochs=1, batch_size=4)
    assert eager.compilations == {"training": (), "scoring": ()}
