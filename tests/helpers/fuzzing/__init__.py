"""Fuzzing of all that reads a file or a text from outside: the form of a target, and the loop over one.

Each module beside this one makes the inputs of one loader, and has it as its `TARGET`. `fuzz` gives a target
inputs of Hypothesis for some seconds; `watch.py` says what each of them may do.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from .watch import Verdict, watched

_CHUNK = 100
"""Examples of one run of Hypothesis, which cannot end before."""
randoms = st.integers(0, 2**64 - 1).map(random.Random)
"""What makes an example's bytes: to draw each change of Hypothesis takes longer than to read the file."""


@dataclass(frozen=True)
class Example:
    """An input: its bytes, how they are given to the loader,
    and the texts one of which an error must hold."""

    content: bytes
    call: Callable[[], object] = field(repr=False)
    names: tuple[str, ...] = ()
    size: int = 0
    """Bytes by which memory is judged: of the files, decompressed."""
    options: str = ""


@dataclass(frozen=True)
class Target:
    """A loader, and the inputs that it gets.

    Parameters
    ----------
    name
        What is fuzzed.
    examples
        Takes an empty folder for files; returns the strategy of examples.

    """

    name: str
    examples: Callable[[Path], st.SearchStrategy[Example]]


@dataclass
class Outcome:
    """What a run found: the number of examples, those that loaded, and by fault its smallest input."""

    seed: int
    examples: int = 0
    loaded: int = 0
    seconds: float = 0.0
    errors: Counter[str] = field(default_factory=Counter)
    faults: dict[str, tuple[Example, str]] = field(default_factory=dict)

    def add(self, example: Example, verdict: Verdict) -> None:
        """Count an example."""
        self.examples += 1
        self.loaded += verdict.error == ""
        self.errors[verdict.error] += 1
        if verdict.fault:
            known = self.faults.get(verdict.fault)
            if known is None or len(example.content) < len(known[0].content):
                self.faults[verdict.fault] = example, verdict.details

    def __str__(self) -> str:
        return (
            f"{self.examples:,} examples in {self.seconds:.0f} s (seed {self.seed}), {self.loaded:,} loaded, "
            f"{len(self.errors)} kinds of outcome, {len(self.faults)} faults"
        )


def fuzz(target: Target, folder: Path, seconds: float = 0) -> Outcome:
    """Give a target examples for some seconds, other ones each time; for 0 s a few, always the same."""
    outcome = Outcome(random.SystemRandom().randrange(2**32) if seconds else 0)
    examples = target.examples(folder)
    began = time.monotonic()

    def check(example: Example) -> None:
        if not seconds or time.monotonic() - began < seconds:
            outcome.add(example, watched(example.call, example.names, example.size or len(example.content)))

    run: Any = settings(
        max_examples=_CHUNK,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )(given(examples)(check))
    for chunk in count():
        seed(outcome.seed + chunk)(run)()
        if time.monotonic() - began >= seconds:
            break
    outcome.seconds = time.monotonic() - began
    return outcome
