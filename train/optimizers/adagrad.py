"""Adagrad (Duchi, Hazan & Singer 2011)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from typing_extensions import override

from ...backends import Tensor
from .group import Group
from .optimizer import Optimizer, Scalars


class Adagrad(Optimizer):
    """s = s + g²; p = p - lr / (1 + (t - 1) η) g / (√s + ε).

    Parameters
    ----------
    parameters
        `model.parameters()` or groups.
    lr, lr_decay, weight_decay, eps
        lr, η, λ in g + λ p, ε.
    initial_accumulator_value
        The initial s.

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

    @override
    @classmethod
    def initial_cells(cls, options: Mapping[str, Any]) -> dict[str, float]:
        return {"sum": options["initial_accumulator_value"]}

    @override
    def group_scalars(self, group: Group, step: Any) -> dict[str, Any]:
        """Return the decayed lr."""
        return {"lr": self.rate(group) / (1.0 + (step - 1) * group.options["lr_decay"])}

    @override
    def update_group(self, group: Group, numbers: Scalars) -> dict[str, Tensor]:
        """s = s + g²; p = p - lr g / (√s + ε)."""
        b, p, g, s = group.backend, group.data, group.decayed(), group.cells["sum"]
        s = b.add(s, b.square(g), out=s)
        root = b.add(b.sqrt(s), group.options["eps"])
        return {"data": b.sgd_step(p, b.divide(g, root, out=root), numbers["lr"], out=p), "sum": s}
