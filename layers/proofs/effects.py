"""What a layer or a loss must leave as it was: its input, the gradient that it is given, and its output.

Values are shared: the same gradient goes to both branches of a residual block, and a layer's output is what
the next one has kept. A pass that writes into one of them is right by itself, and wrong in company.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from ...backends import Tensor
from .. import Loss, Module
from .passes import bring, cotangent, host
from .report import Difference, FaultError, Report

Host = np.ndarray[Any, Any]


def check_layer_effects(layer: Module, x: Host) -> Report:
    """Run a layer there and back; FaultError if the input, the output or the gradient is another afterwards.

    The layer itself is not changed.
    """
    layer = copy.deepcopy(layer)
    b = layer.backend
    with b.session():  # infinities may be meant
        watch = _Watch(layer)
        given = watch.add("the input that it was given", bring(b, x))
        y = watch.add("the output that forward had returned", layer(given))
        watch.look("forward")
        grad_output = watch.add("the gradient that it was given", bring(b, cotangent(b.shape(y))))
        layer.backward(grad_output)
        watch.look("backward")
    return watch.report()


def check_loss_effects(loss: Loss, prediction: Host, target: Host) -> Report:
    """Run a loss there and back; FaultError if what it was given is another afterwards."""
    loss = copy.deepcopy(loss)
    b = loss.backend
    with b.session():
        watch = _Watch(loss)
        given = watch.add("the prediction that it was given", bring(b, prediction))
        goal = watch.add("the target that it was given", bring(b, target))
        value = watch.add("the loss that forward had returned", loss(given, goal))
        watch.look("forward")
        if loss.reduction == "none":
            grad_output = watch.add("the gradient that it was given", bring(b, cotangent(b.shape(value))))
            loss.backward(grad_output)
        else:
            loss.backward()
        watch.look("backward")
    return watch.report()


class _Watch:
    """Tensors, and copies of what was in them."""

    def __init__(self, subject: Module | Loss) -> None:
        self.subject = subject
        self.seen: list[tuple[str, Tensor, Host]] = []

    def add(self, name: str, x: Tensor) -> Tensor:
        self.seen.append((name, x, host(self.subject.backend, x).copy()))
        return x

    def look(self, act: str) -> None:
        """Raise FaultError if one is not as it was."""
        for name, x, before in self.seen:
            after = host(self.subject.backend, x)
            changed = (after != before) & ((after == after) | (before == before))
            if changed.any():
                index = tuple(int(i) for i in np.unravel_index(int(np.argmax(changed)), changed.shape))
                place = f"[{', '.join(map(str, index))}] " if index else "it "
                was, now = before[index] + 0.0, after[index] + 0.0  # no -0
                raise FaultError(f"{act} changed {name}: {place}was {was:.6g} and is {now:.6g}")

    def report(self) -> Report:
        unchanged = [Difference(name, (), 0.0, 0.0, 0.0) for name, _, _ in self.seen]
        return Report(str(self.subject), "what they were", unchanged)
