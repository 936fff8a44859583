"""Adagrad (Duchi, Hazan & Singer 2011)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .optimizer import Group, Optimizer, Scalars, decayed


class Adagrad(Optimizer):
    """s = s + g²; p = p - lr / (1 + (t - 1) η) g / (√s + ε).

    Parameters
    ----------
    parameters
        `model.parameters()` or groups.
    lr, lr_decay, weight_decay, eps
        lr, η, λ in g + λ p, ε.
    initial_accumulator_value
        s at first.

    """

    def __init__(
        self,
        parameters: Iterable[Any],
        lr: float = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
    ) -> None:
        options = {
            "lr": lr,
            "lr_decay": lr_decay,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "eps": eps,
        }
        super().__init__(parameters, options)

    def prepare(self, group: Group) -> None:
        """Allocate s."""
        group.add_cell("sum", group.options["initial_accumulator_value"])

    def group_scalars(self, group: Group, step: int) -> Scalars:
        """Return the decayed lr."""
        return {"lr": self.rate(group) / (1.0 + (step - 1) * group.options["lr_decay"])}

    def update_group(self, group: Group, scalars: Scalars) -> None:
        """Divide the gradient by the root of its summed square."""
        b = group.backend
        g = decayed(group)
        total = group.cells["sum"]
        total = group.put("sum", b.add(total, b.square(g), out=total))
        root = b.add(b.sqrt(total), group.options["eps"])
        group.put("data", b.sgd_step(group.data, b.divide(g, root, out=root), scalars["lr"], out=group.data))
