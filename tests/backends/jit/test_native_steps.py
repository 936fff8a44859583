"""Native steps compute what the interpreter computes: random ones, and those that made trouble."""

from __future__ import annotations

import pytest
from hazards import HAZARDS, Hazard, check_hazard
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from native import machines
from native_steps import NativeStep, close

from lamina.backends.decorators.jit import compiler
from lamina.backends.decorators.jit.machine import Machine
from lamina.backends.decorators.jit.passes import layout

BARS = {"float64": 1e-12, "float32": 3e-5}


@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 40),
    st.sampled_from(sorted(BARS)),
    st.sampled_from([5, 9, 11, 18, 25]),
    st.sampled_from(machines()[:2]),
    st.booleans(),
    st.sampled_from([0, layout.LARGEST_COPY]),
)
@settings(max_examples=30, deadline=None, derandomize=True, database=None)
def test_random_steps(
    seed: int, length: int, dtype: str, width: int, machine: Machine, ordered: bool, largest: int
) -> None:
    """Three steps in a row, in guarded memory, with NaN and with 1e30 in the workspace.

    Cells are worked on in padded copies, or where they are.
    """
    step = NativeStep(seed, length, dtype=dtype, width=width)
    right = step.interpreted(ordered=ordered)
    shaken = step.interpreted(ordered=ordered, shaken=True)
    # A comparison of nearly equal numbers may turn out either way: such steps prove nothing.
    assume(all(close(one, other, BARS[dtype] / 10) for one, other in zip(shaken, right, strict=True)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layout, "LARGEST_COPY", largest)
        found = step.native(machine, ordered=ordered)
    for one, other in zip(found, right, strict=True):
        assert one.dtype == other.dtype
        assert close(one, other, BARS[dtype])


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("machine", machines()[:2], ids=lambda machine: machine.unit)
@pytest.mark.parametrize("hazard", HAZARDS, ids=lambda hazard: hazard.__name__)
def test_hazards(hazard: Hazard, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiler, "host", lambda: machine)
    check_hazard(hazard)
