"""Seeds: one gives one model on every backend, in every thread, for a block, from the environment."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import lamina.layers.random
from lamina.backends import Backend, OptionError
from lamina.layers import Linear, manual_seed
from lamina.layers.random import seeded

from .test_modules import same, stack


@pytest.fixture(autouse=True)
def _seed() -> None:
    """Let no test depend on how many parameters those before it have drawn."""
    manual_seed(0)


def test_one_seed_gives_one_model_on_every_backend(backend: Backend) -> None:
    manual_seed(11)
    first = stack(backend).state_dict()
    manual_seed(11)
    assert same(stack(backend).state_dict(), first)
    manual_seed(11)
    assert same(stack("numpy").state_dict(), first)
    assert not same(stack("numpy").state_dict(), first)
    manual_seed(12)
    assert not same(stack("numpy").state_dict(), first)


def test_one_seed_holds_in_all_threads() -> None:
    def drawn_elsewhere() -> dict[str, Any]:
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(lambda: stack("numpy").state_dict()).result()

    manual_seed(5)
    first, second = stack("numpy").state_dict(), stack("numpy").state_dict()
    manual_seed(5)
    assert same(drawn_elsewhere(), first)
    assert same(stack("numpy").state_dict(), second)  # one row of streams, whichever thread draws
    with ThreadPoolExecutor(1) as pool:
        pool.submit(manual_seed, 5).result()
    assert same(stack("numpy").state_dict(), first)


def test_a_seed_for_a_block() -> None:
    manual_seed(5)
    first, second = stack("numpy").state_dict(), stack("numpy").state_dict()
    manual_seed(6)
    other = stack("numpy").state_dict()
    manual_seed(5)
    assert same(stack("numpy").state_dict(), first)
    with seeded(6):
        assert same(stack("numpy").state_dict(), other)
        manual_seed(5)
        assert same(stack("numpy").state_dict(), first)
    assert same(stack("numpy").state_dict(), second)


def test_layers_of_one_shape_differ() -> None:
    manual_seed(0)
    one, two = Linear(4, 4, backend="numpy"), Linear(4, 4, backend="numpy")
    assert not same(one.state_dict(), two.state_dict())
    assert one.state_dict()["weight"][0].tobytes() != one.state_dict()["bias"].tobytes()


def test_the_seed_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    def fresh() -> dict[str, Any]:
        with monkeypatch.context() as patch:
            patch.setattr(lamina.layers.random, "_global", [])
            return stack("numpy").state_dict()

    monkeypatch.delenv("LAMINA_SEED", raising=False)
    manual_seed(0)
    assert same(fresh(), stack("numpy").state_dict())
    monkeypatch.setenv("LAMINA_SEED", " ")
    manual_seed(0)
    assert same(fresh(), stack("numpy").state_dict())
    monkeypatch.setenv("LAMINA_SEED", "42")
    manual_seed(42)
    assert same(fresh(), stack("numpy").state_dict())
    for text in ("-1", "1.5", "seven"):
        monkeypatch.setenv("LAMINA_SEED", text)
        with pytest.raises(
            OptionError, match=f"expected LAMINA_SEED to be a whole number of at least 0, got '{text}'"
        ):
            fresh()
