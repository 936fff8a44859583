"""`draw`: the numbers of numpy's own Philox, in any thread and after any other draw."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from lamina.backends.random import draw, generator

KEYS: list[tuple[int, int | str, int]] = [
    (0, "a", 0),
    (2**64 - 1, 5, 2**64 - 1),
    (3, "a", -1),
    (3, -4, 2**70),
]


@pytest.mark.parametrize("size", [1, 3, 4, 1001])
def test_draws_are_those_of_a_new_generator(size: int) -> None:
    """An odd number of values leaves a part of Philox's block of four unused: the next draw starts anew."""
    for key in KEYS * 2:
        uniform, normal = (draw((size,), *key, kind, "float64") for kind in ("uniform", "normal"))  # type: ignore[arg-type]
        assert np.array_equal(uniform, generator(*key).random(size))
        assert np.array_equal(normal, generator(*key).standard_normal(size))


def test_threads_draw_apart() -> None:
    def drawn(step: int) -> Any:
        return [draw((50_000,), 1, "a", step, "normal", "float64").sum() for _ in range(5)]

    alone = [drawn(step) for step in range(8)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(drawn, range(8))) == alone
