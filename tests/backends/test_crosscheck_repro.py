"""The files that crosscheck writes about divergences, and their replay."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lamina.backends import Backend, DataError, DivergenceError, LaminaError, Window
from lamina.backends.decorators.crosscheck import CrosscheckBackend, load, replay

from .test_crosscheck import WIDE, Plain, checked


class AllWrong(Plain):
    """The results of these ops differ from the reference's."""

    def concat(self, tensors: Any, *, axis: int = 0) -> Any:
        return super().concat(tensors[::-1], axis=axis)

    def clip(self, x: Any, low: Any, high: Any) -> Any:
        return super().clip(x, high, low)

    def max_pool(self, x: Any, window: Any) -> Any:
        values, indices = super().max_pool(x, window)
        return values, indices + 1

    def adam_step(self, *tensors: Any, out: Any = None, **options: Any) -> Any:
        return super().adam_step(*tensors, out=out, **options | {"epsilon": 1.0})

    def cells(self, shapes: Any, *, dtype: Any = None) -> Any:
        flat, views = super().cells(shapes, dtype=dtype)
        flat[...] = 1
        return flat, views

    def full(self, shape: Any, value: Any, *, dtype: Any = None) -> Any:
        return super().full(shape, -1, dtype=dtype)

    def take(self, x: Any, indices: Any, *, axis: int) -> Any:
        return super().take(x, indices[::-1], axis=axis)


ADAM: dict[str, Any] = {
    "learning_rate": 0.1,
    "beta1": 0.9,
    "beta2": 0.999,
    "epsilon": 1e-8,
    "correction1": 0.1,
    "correction2": 0.001,
}


def _state(b: Backend) -> list[Any]:
    return [b.from_host([0.5, 2.0]) for _ in range(4)]


WINDOW = Window.of((4, 4), (2, 2), padding=((1, 1), (0, 0)))
CALLS: dict[str, Callable[[Backend], Any]] = {
    "concat": lambda b: b.concat([b.from_host([1.0, np.inf]), b.from_host([3.0])], axis=-1),
    "clip": lambda b: b.clip(b.from_host([1.0, 0.05, np.nan]), 0.1, 0.9),
    "max_pool": lambda b: b.max_pool(b.from_host(np.ones((1, 1, 4, 4))), WINDOW),
    "adam_step": lambda b: b.adam_step(*(p := _state(b)), **ADAM, out=(p[0], *p[2:])),
    "cells": lambda b: b.cells({"a": (2,), "b": ()}),
    "full": lambda b: b.full((2,), float("-inf")),
    "take": lambda b: b.take(b.from_host([1.0, 2.0]), b.from_host([0, 1]), axis=0),
}  # fmt: skip


@pytest.mark.parametrize("op", CALLS)
def test_a_repro_file_holds_the_call(tmp_path: Path, op: str) -> None:
    backend = checked(AllWrong, tmp_path)
    with pytest.raises(DivergenceError) as caught, backend.scope("here"):
        CALLS[op](backend)
    path = caught.value.repro
    assert path is not None
    repro = load(path)
    assert (repro.call.op.name, repro.about["layer"], repro.about["mode"]) == (op, "here", "lockstep")
    assert all(value.dtype.name in ("float32", "int64") for value in repro.primary)
    assert (
        len(repro.primary) == len(repro.reference) == {"max_pool": 2, "adam_step": 3, "cells": 3}.get(op, 1)
    )
    assert not replay(path, AllWrong(), WIDE).passed
    assert replay(path, Plain(), WIDE).passed
    if op == "max_pool":
        assert repro.call.args[1] == WINDOW
    for name in ("arguments: ", "in the file: "):
        assert name in str(replay(path, Plain(), WIDE))


def test_files_do_not_overwrite_each_other(tmp_path: Path) -> None:
    for i in (1, 2):
        with pytest.raises(DivergenceError, match=f"crosscheck-full-{i}.npz"):
            checked(AllWrong, tmp_path).full((1,), 0.0)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_file_that_cannot_be_written_does_not_hide_the_divergence(tmp_path: Path) -> None:
    with pytest.raises(DivergenceError, match=r"no repro file in '.*missing'") as caught:
        checked(AllWrong, tmp_path / "missing").full((1,), 0.0)
    assert caught.value.repro is None


def test_the_current_folder_is_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DivergenceError):
        CrosscheckBackend(AllWrong(), WIDE).full((1,), 0.0)
    assert os.listdir(tmp_path) == ["crosscheck-full-1.npz"]


def test_damaged_and_foreign_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DivergenceError) as caught:
        checked(AllWrong, tmp_path).take(*_taken(checked(AllWrong, tmp_path)), axis=0)
    path = caught.value.repro
    assert path is not None
    with pytest.raises(DataError, match="cannot be read: No such file"):
        replay(tmp_path / "none.npz")
    np.savez(tmp_path / "other.npz", x=np.ones(3))
    (tmp_path / "text.npz").write_text("no archive")
    (tmp_path / "empty.npz").write_bytes(b"")
    for name in ("other.npz", "text.npz", "empty.npz"):
        with pytest.raises(DataError, match="damaged, or not written by crosscheck"):
            replay(tmp_path / name)
    whole = path.read_bytes()
    for position in range(0, len(whole), 101):
        flipped = bytearray(whole)
        flipped[position] ^= 4
        path.write_bytes(flipped)
        try:
            again = load(path)
        except DataError:
            continue
        assert again.call.op.name == "take", "the flipped bit is not read"
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="damaged"):
        replay(path)


def _taken(backend: Backend) -> tuple[Any, Any]:
    return backend.from_host([1.0, 2.0]), backend.from_host([0, 1])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"primary": "evil:Evil"}, "Lamina's own, got 'evil:Evil'.*--backend evil"),
        ({"reference": "evil:Evil"}, "reference backend to be one of Lamina's own.*--reference evil:Evil"),
        ({"primary": "strict+evil:Evil"}, "one of Lamina's own, got 'strict"),
        ({"primary": "crosscheck(evil:Evil)+numpy"}, "one of Lamina's own, got 'crosscheck"),
        ({"primary": "evil"}, "one of Lamina's own, got 'evil'"),
        ({"primary": 3}, "expected primary to be text, got 3"),
        ({"layer": ["x"]}, r"expected layer to be text, got \['x'\]"),
        ({"dtype": "float16"}, "Unknown dtype 'float16'"),
        ({"args": [[10**12], 1.0]}, r"full cannot run: .*1,073,741,824 bytes, got a tensor \(10{12},\)"),
        ({"args": [["a"], 1.0]}, "full cannot run"),
        ({"args": {}}, "cannot run"),
        ({"args": 3}, "damaged, or not written by crosscheck"),
        ({"kwargs": []}, "damaged, or not written by crosscheck"),
        ({"op": "eval"}, "damaged, or not written by crosscheck"),
        ({"op": ["full"]}, "damaged, or not written by crosscheck"),
        ({"op": "compile"}, "compile cannot run"),
        ({"op": "scope", "args": ["x"], "kwargs": {}}, "scope cannot run"),
        ({"format": 2}, "expected format 'lamina repro 1', got '2'"),
    ],
)  # fmt: skip
def test_what_a_file_must_not_decide(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], message: str
) -> None:
    (tmp_path / "evil.py").write_text("raise SystemExit('the file ran code')")
    monkeypatch.chdir(tmp_path)
    about = {
        "format": "lamina repro 1", "op": "full", "args": [[2], 1.0], "kwargs": {"dtype": None}, "out": [],
        "layer": "", "primary": "numpy", "reference": "torch", "dtype": "float32", "said": "",
    }  # fmt: skip
    primary = WIDE if "reference" in changes else None
    reference = Plain() if "primary" in changes or "args" in changes or "op" in changes else None
    np.savez(tmp_path / "r.npz", about=np.array(json.dumps(about | changes)))
    with pytest.raises(LaminaError, match=message):
        replay(tmp_path / "r.npz", primary, reference)


def test_an_archive_that_is_small_for_what_it_holds(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "r.npz", about=np.zeros(2**19))
    with pytest.raises(DataError, match=r"expected at most 2,097,152 bytes, or 100 times"):
        load(tmp_path / "r.npz")
