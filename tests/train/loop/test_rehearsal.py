"""A fit tries everything that will run before it changes anything."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import pytest

from lamina.backends import Backend, LaminaError, OptionError, ShapeError, get_backend
from lamina.layers import BatchNorm1d, Dropout, Embedding, Linear, Module, ReLU, Sequential
from lamina.layers.losses import CrossEntropyLoss, L2Penalty
from lamina.train import SGD, Trainer

X = np.random.default_rng(0).normal(size=(50, 3))
LABELS = (X[:, 0] > X[:, 1]).astype(np.int64)


def plain(b: Backend) -> Sequential:
    return Sequential(Linear(3, 8, backend=b), ReLU(b), Linear(8, 2, backend=b))


class Even(ReLU):
    """A layer of a user's own that takes batches of even size."""

    def forward(self, x: Any) -> Any:
        if self.backend.shape(x)[0] % 2:
            raise ShapeError("expected an even batch")
        return super().forward(x)


def normalized(b: Backend) -> Sequential:
    return Sequential(Linear(3, 4, backend=b), BatchNorm1d(4, backend=b), Linear(4, 2, backend=b))


def dropped(b: Backend) -> Sequential:
    return Sequential(Linear(3, 4, backend=b), Dropout(backend=b), Even(b), Linear(4, 2, backend=b))


ONE = r"train: BatchNorm.*\(1, 4\)"
NORMALIZED, DROPPED = (normalized, X), (dropped, X)
WORDS = np.zeros((50, 3), dtype=np.int64)


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


def words(row: int, value: int) -> Any:
    changed = WORDS.copy()
    changed[row, 1] = value
    return changed


@pytest.mark.parametrize(
    ("build", "train", "validation", "options", "message"),
    [
        (*NORMALIZED, None, {"batch_size": 7}, f"{ONE}.*, 1 of 50 .*drop_last or another batch_size"),
        (*NORMALIZED, None, {"batch_size": 1}, f"{ONE}.*a batch of 1 sample; use a batch_size of at least 2"),
        (*NORMALIZED, None, {"batch_size": 1, "drop_last": True}, "use a batch_size of at least 2"),
        (*DROPPED, None, {"batch_size": 12, "shuffle": False}, None),
        (*DROPPED, None, {"batch_size": 47}, r"train: Even.*even batch"),
        (*DROPPED, None, {"batch_size": 16, "drop_last": True}, None),
        (*DROPPED, X[:21], {"batch_size": 20}, "validation: Even.*, 1 of 21 samples; use another batch_size"),
        (*NORMALIZED, X[:8], {"batch_size": 7, "drop_last": True}, None),
        (Bag, words(37, 4), None, {}, r"train: Embedding\(4, 2\): expected indices from 0 to 3, got 4"),
        (Bag, words(49, -1), None, {"batch_size": 7, "drop_last": True}, "train: Embedding.* got -1"),
        (Bag, WORDS, words(49, 9), {"batch_size": 20}, r"validation: Embedding\(4, 2\).* got 9"),
        (Bag, WORDS, words(49, 3), {"batch_size": 7, "drop_last": True}, None),
    ],
)  # fmt: skip
def test_everything_that_will_run_is_tried_first(
    backend: Backend,
    build: Any,
    train: Any,
    validation: Any,
    options: dict[str, Any],
    message: str | None,
) -> None:
    model = build(backend)
    trainer = Trainer(model, CrossEntropyLoss(backend=backend), SGD(model.parameters(), lr=0.1))
    before, draws = model.state_dict(), [m.step for _, m in model.named_modules() if isinstance(m, Dropout)]
    pair = None if validation is None else (validation, LABELS[: len(validation)])
    with contextlib.nullcontext() if message is None else pytest.raises(LaminaError, match=message):
        trainer.fit((train, LABELS), pair, epochs=2, **options)
    assert trainer.epoch == (2 if message is None else 0)
    if message is not None:
        assert all(np.array_equal(value, before[name]) for name, value in model.state_dict().items())
        assert draws == [m.step for _, m in model.named_modules() if isinstance(m, Dropout)]


def test_an_optimizer_or_a_penalty_of_another_model_is_refused() -> None:
    b = get_backend("numpy")
    model, other = plain(b), plain(b)
    loss, optimizer = CrossEntropyLoss(backend=b), SGD(other.parameters(), lr=0.1)
    with pytest.raises(OptionError, match=r"got SGD\(.*\) of 4 others, without 0.weight, 0.bias, 2.weight"):
        Trainer(model, loss, optimizer)
    own = SGD(model[2].parameters(), lr=0.1)  # the first layer stays as it is
    with pytest.raises(OptionError, match=r"expected a penalty on the model's parameters, .* on 4 others"):
        Trainer(model, loss, own, penalty=L2Penalty(other.parameters(), 0.1))
    trainer = Trainer(model, loss, own)
    before = model.state_dict()
    trainer.fit((X, LABELS), epochs=1)
    changed = {name for name, value in model.state_dict().items() if not np.array_equal(value, before[name])}
    assert changed == {"2.weight", "2.bias"}
    trainer.model = other
    with pytest.raises(OptionError, match=r"of 2 others, without 0\.weight"):
        trainer.fit((X, LABELS), epochs=1)


@pytest.mark.parametrize(
    ("metric", "kind", "message"),
    [
        (lambda outputs, targets: outputs - targets, ValueError, "broadcast"),
        (lambda outputs, targets: outputs, OptionError, "the metric 'own': expected one number, got array"),
        (lambda outputs, targets: None, OptionError, "got None"),
        (lambda outputs, targets: float(len(outputs) == len(targets) == 48), None, "1"),
        (lambda outputs, targets: np.float32("nan"), None, "nan"),
    ],
)
def test_a_metric_that_fails_does_so_before_the_first_step(metric: Any, kind: Any, message: str) -> None:
    b = get_backend("numpy")
    model = plain(b)
    trainer = Trainer(
        model, CrossEntropyLoss(backend=b), SGD(model.parameters(), lr=0.1), metrics={"own": metric}
    )
    with contextlib.nullcontext() if kind is None else pytest.raises(kind, match=message):
        trainer.fit((X, LABELS), epochs=1, batch_size=16, drop_last=True)
    assert trainer.optimizer.steps == (3 if kind is None else 0)
    if kind is None:
        np.testing.assert_equal(trainer.history[0]["train_own"], float(message))
