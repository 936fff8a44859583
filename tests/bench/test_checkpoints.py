"""The bench of checkpoints, on a small network."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the bench compares with torch")


def test_every_flipped_bit_is_found_and_torch_finds_few(tmp_path: Path) -> None:
    import checkpoints

    ours, theirs = checkpoints.rows((4, 8, 2), tmp_path, rounds=1, flips=40)
    assert (ours.name, ours.found, ours.flips) == ("Trainer.save", 40, 40)
    assert theirs.found < theirs.flips
    assert min(ours.save, ours.load, theirs.save, theirs.load) > 0
