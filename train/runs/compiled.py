"""What a training compiled, or why it ran eagerly: the facts, and the sentence about them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...backends import Backend
from ...backends.wrapper import stack
from ..loop.trainer import Trainer


def compiles(backend: Backend) -> bool:
    """Return whether `jit` is in a stack."""
    return any(part.name == "jit" for part in stack(backend))


def compiled_facts(trainer: Trainer, *, samples: int, batch_size: int) -> dict[str, Any]:
    """Return what the last fit compiled, and why its training ran eagerly ("" if it did not).

    Without `jit` in the backend there is nothing to tell: no steps, and no reason.
    """
    steps = [
        {
            "step": name,
            "samples": one.rows,
            "kernels": one.kernels,
            "seconds": one.seconds,
            "cached": one.cached,
        }
        for name, found in trainer.compilations.items()
        for one in found
        if not one.reason
    ]
    return {"compiled": steps, "eager": _reason(trainer, samples, batch_size)}


def _reason(trainer: Trainer, samples: int, batch_size: int) -> str:
    """Return why no training step was compiled; "" if one was, or without `jit`."""
    training = trainer.compilations.get("training", ())
    if not compiles(trainer.backend) or not trainer.compilations:
        return ""
    if training:
        return training[0].reason
    if samples < batch_size:
        return f"only whole batches are compiled, and {samples} samples make none of {batch_size}"
    return f"the decorators around jit in {trainer.backend.spec} see each op"


def sentence(facts: Mapping[str, Any]) -> str:
    """Return one line about the facts; "" if there is nothing to tell."""
    if facts["eager"]:
        return f"Trained eagerly, op by op ({facts['eager']})."
    steps = facts["compiled"]
    if not steps:
        return ""
    first = steps[0]
    samples = f"{first['samples']:,} sample{'s' if first['samples'] != 1 else ''}"
    validation = next((one for one in steps if one["step"] == "scoring"), None)
    also = f" and its validation ({_kernels(validation)})" if validation else ""
    cached = " (from the cache)" if all(one["cached"] for one in steps) else ""
    seconds = sum(one["seconds"] for one in steps)
    return f"Compiled the step of {samples} ({_kernels(first)}){also} in {seconds:.2f} s{cached}."


def _kernels(step: Mapping[str, Any]) -> str:
    return f"{step['kernels']} kernel{'s' if step['kernels'] != 1 else ''}"
