"""Dropout: the statistics of its masks, which are the same on every backend, and what it does to a mean."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lamina.backends import Backend, OptionError, get_backend
from lamina.layers import Dropout, Dropout2d, Linear, Sequential, manual_seed

Host = np.ndarray[Any, Any]


def mask(layer: Dropout, *shape: int) -> Host:
    """What ones become."""
    b = layer.backend
    return np.asarray(b.to_host(layer(b.full(shape, 1.0))))


@pytest.mark.parametrize("p", [0.1, 0.5, 0.8])
def test_a_share_of_p_is_zero_and_the_rest_is_scaled(p: float, backend: Backend) -> None:
    y = mask(Dropout(p, backend=backend), 400, 500)
    assert set(np.unique(y)) == {np.float32(0.0), np.float32(1.0) / np.float32(1.0 - p)}
    # Five standard deviations of a binomial share, over all and along either axis.
    for axis, number in ((None, y.size), (0, 400), (1, 500)):
        share = np.mean(y == 0.0, axis=axis)
        assert np.all(np.abs(share - p) < 5.0 * np.sqrt(p * (1.0 - p) / number))


def test_the_mean_stays(backend64: Backend) -> None:
    x = np.random.default_rng(0).standard_normal((300, 400)) + 3.0
    layer = Dropout(0.3, backend=backend64)
    y = np.asarray(backend64.to_host(layer(backend64.from_host(x))))
    deviation = np.sqrt(0.3 / 0.7 * np.mean(x**2) / x.size)
    assert abs(y.mean() - x.mean()) < 5.0 * deviation


def test_neighbours_are_dropped_apart(backend: Backend) -> None:
    dropped = mask(Dropout(0.5, backend=backend), 300, 400) == 0.0
    for one, other in ((dropped[1:], dropped[:-1]), (dropped[:, 1:], dropped[:, :-1])):
        assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 5.0 / np.sqrt(one.size)


@pytest.mark.parametrize("kind", [Dropout, Dropout2d])
def test_masks_are_the_same_bits_on_every_backend(kind: Any, backend: Backend) -> None:
    manual_seed(7)
    layer = kind(0.4, backend=backend)
    manual_seed(7)
    reference = kind(0.4, backend=get_backend("numpy"))
    for _ in range(3):
        assert mask(layer, 5, 4, 3, 2).tobytes() == mask(reference, 5, 4, 3, 2).tobytes()


def test_each_forward_pass_draws_a_new_mask_and_step_draws_one_again(backend: Backend) -> None:
    layer = Dropout(backend=backend)
    masks = [mask(layer, 40, 5) for _ in range(4)]
    assert layer.step == 4
    assert len({m.tobytes() for m in masks}) == 4
    layer.step = 1
    assert [mask(layer, 40, 5).tobytes() for _ in range(3)] == [m.tobytes() for m in masks[1:]]


def test_layers_and_seeds_differ(backend: Backend) -> None:
    manual_seed(3)
    one, two = Dropout(backend=backend), Dropout(backend=backend)
    manual_seed(4)
    three = Dropout(backend=backend)
    assert len({mask(layer, 40, 5).tobytes() for layer in (one, two, three)}) == 3


def test_backward_has_the_mask_of_its_forward_pass(backend: Backend) -> None:
    b = backend
    layer = Dropout(0.3, backend=b)
    x, g = (b.from_host(np.random.default_rng(seed).standard_normal((20, 30))) for seed in (0, 1))
    layer(x)
    y, grad = b.to_host(layer(x)), b.to_host(layer.backward(g))
    scaled = np.where(y == 0.0, np.float32(0.0), np.float32(1.0) / np.float32(0.7))
    np.testing.assert_array_equal(grad, b.to_host(g) * scaled)


@pytest.mark.parametrize("kind", [Dropout, Dropout2d])
def test_evaluation_is_the_identity_and_draws_nothing(kind: Any, backend: Backend) -> None:
    b = backend
    layer = kind(backend=b).eval()
    x = b.from_host(np.random.default_rng(0).standard_normal((2, 3, 4, 5)))
    assert np.array_equal(b.to_host(layer(x)), b.to_host(x))
    assert np.array_equal(b.to_host(layer.backward(x)), b.to_host(x))
    assert layer.step == 0
    assert not np.array_equal(b.to_host(layer.train()(x)), b.to_host(x))


def test_dropout2d_drops_whole_channels(backend: Backend) -> None:
    y = mask(Dropout2d(0.4, backend=backend), 50, 40, 3, 2)
    first = y[:, :, :1, :1]
    assert np.array_equal(y, np.broadcast_to(first, y.shape))
    assert abs(np.mean(first == 0.0) - 0.4) < 5.0 * np.sqrt(0.24 / first.size)


def test_nothing_and_everything(backend: Backend) -> None:
    assert np.all(mask(Dropout(0.0, backend=backend), 9, 9) == 1.0)
    layer = Dropout(1.0, backend=backend)
    assert np.all(mask(layer, 9, 9) == 0.0)
    assert np.all(backend.to_host(layer.backward(backend.full((9, 9), 1.0))) == 0.0)


def test_inside_a_model_one_seed_gives_one_run(backend: Backend) -> None:
    outputs = []
    for _ in range(2):
        manual_seed(5)
        model = Sequential(Linear(4, 8, backend=backend), Dropout(backend=backend))
        outputs.append(backend.to_host(model(backend.full((3, 4), 1.0))).tobytes())
    assert outputs[0] == outputs[1]


def test_the_draws_are_a_cell_that_no_state_dict_holds(backend: Backend) -> None:
    model = Sequential(Linear(4, 8, backend=backend), Dropout(backend=backend))
    x = backend.full((3, 4), 1.0)
    model(x)
    assert list(model.state_dict()) == ["0.weight", "0.bias"]
    assert [name for name, _ in model.named_buffers()] == ["1.draws"]
    model.load_state_dict(model.state_dict())
    layer = model[1]
    assert layer.step == 1
    assert backend.item(layer.draws.data) == 1
    with pytest.raises(OptionError, match="Dropout: expected step to be an integer of at least 0, got -1"):
        layer.step = -1


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))])
def test_a_copy_goes_on_from_the_same_draw(backend: Backend, copied: Callable[[Dropout], Dropout]) -> None:
    layer = Dropout(backend=backend)
    mask(layer, 40, 5)
    twin = copied(layer)
    assert twin.step == 1
    assert not twin.draws.persistent
    assert mask(layer, 40, 5).tobytes() == mask(twin, 40, 5).tobytes()
    mask(layer, 40, 5)
    assert (layer.step, twin.step) == (3, 2)


def test_a_moved_layer_goes_on_from_the_same_draw(backend: Backend) -> None:
    layer = Dropout(backend=backend)
    twin = copy.deepcopy(layer)
    masks = [mask(layer, 40, 5).tobytes() for _ in range(3)]
    mask(twin, 40, 5)
    twin.to("strict+numpy")
    assert [mask(twin, 40, 5).tobytes() for _ in range(2)] == masks[1:]


def test_a_run_draws_a_mask_for_each_batch(backend: Backend) -> None:
    layer = Dropout(backend=backend)
    twin = copy.deepcopy(layer)
    run = backend.compile(lambda batch, numbers: (layer(batch[0]),))
    (y,) = run((backend.full((10, 30), 1.0),), batch_size=4)
    assert np.array_equal(backend.to_host(y), np.concatenate([mask(twin, n, 30) for n in (4, 4, 2)]))
    assert layer.step == 3
