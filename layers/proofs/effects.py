"""What a pass must not change: its input, its output, and the gradient of the output.

Values are shared: both branches of a residual block get the same gradient, and the next layer keeps this
layer's output. A pass that writes into one of them is right alone and wrong in a model.
"""

from __future__ import annotations

import numpy as np

from ...backends import Backend, Tensor
from ...backends.host import Host
from .. import Loss, Module
from .report import Difference, FaultError, Report
from .subject import Subject, bring, host


def check_effects(module: Module | Loss, *inputs: Host) -> Report:
    """Run a copy forward and backward; raise FaultError if a pass changed a value that it was passed."""
    subject = Subject(module).copy()
    b = subject.backend
    watch = _Watch(b)
    with b.session():  # infinities may be meant
        tensors = [
            watch.add(f"its {name}", bring(b, x)) for name, x in zip(subject.inputs, inputs, strict=False)
        ]
        y = watch.add(f"the {subject.output} of forward", subject.forward(*tensors))
        watch.look("forward")
        grad_output = watch.add("the gradient of the output", bring(b, subject.cotangent(b.shape(y))))
        subject.backward(grad_output)
        watch.look("backward")
    unchanged = [Difference(name, (), 0.0, 0.0, 0.0) for name, _, _ in watch.values]
    return Report(str(subject), "their first values", unchanged)


class _Watch:
    """Tensors, and copies of their values."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.values: list[tuple[str, Tensor, Host]] = []

    def add(self, name: str, x: Tensor) -> Tensor:
        self.values.append((name, x, host(self.backend, x).copy()))
        return x

    def look(self, act: str) -> None:
        """Raise FaultError if a value changed."""
        for name, x, before in self.values:
            after = host(self.backend, x)
            changed = (after != before) & ((after == after) | (before == before))
            if changed.any():
                index = tuple(int(i) for i in np.unravel_index(int(np.argmax(changed)), changed.shape))
                place = f" at [{', '.join(map(str, index))}]" if index else ""
                was, now = before[index] + 0.0, after[index] + 0.0  # no -0
                raise FaultError(f"{act} changed {name}{place}: expected {was:.6g}, got {now:.6g}")
