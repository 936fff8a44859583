"""Adam (Kingma & Ba 2015, algorithm 1) and AdamW (Loshchilov & Hutter 2019, algorithm 2)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from typing_extensions import override

from ...backends import Tensor
from ...backends.steps import one_minus_power
from .group import Group
from .optimizer import Optimizer, Scalars


class Adam(Optimizer):
    """m = β₁ m + (1 - β₁) g; v = β₂ v + (1 - β₂) g²; p = p - lr m̂ / (√v̂ + ε).

    m̂ = m / (1 - β₁^t) and v̂ = v / (1 - β₂^t) are m and v without the bias of their start at 0.

    Parameters
    ----------
    parameters
        `model.parameters()` or groups.
    lr, betas, eps
        lr, (β₁, β₂), ε. As in torch, ε is outside the root and after the bias correction.
    weight_decay
        λ in g + λ p, which replaces the gradient g.

    """

    averages = ("first_moment",)

    def __init__(
        self,
        parameters: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(parameters, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    @override
    @classmethod
    def initial_cells(cls, options: Mapping[str, Any]) -> dict[str, float]:
        return {"first_moment": 0.0, "second_moment": 0.0}

    @override
    def group_scalars(self, group: Group, step: Any) -> dict[str, Any]:
        """Return lr and the bias corrections 1 - βᵢ^t."""
        beta1, beta2 = group.options["betas"]
        first, second = one_minus_power(beta1, step), one_minus_power(beta2, step)
        return {"lr": self.rate(group), "correction1": first, "correction2": second}

    @override
    def update_group(self, group: Group, numbers: Scalars) -> dict[str, Tensor]:
        """Algorithm 1: the moments of g, their bias corrections and the step of p, in one op."""
        cells, (beta1, beta2) = group.cells, group.options["betas"]
        p, g = self.decay(group, numbers)
        m, v = cells["first_moment"], cells["second_moment"]
        p, m, v = group.backend.adam_step(
            p,
            g,
            m,
            v,
            learning_rate=numbers["lr"],
            beta1=beta1,
            beta2=beta2,
            epsilon=group.options["eps"],
            correction1=numbers["correction1"],
            correction2=numbers["correction2"],
            out=(group.data, m, v),
        )
        return {"data": p, "first_moment": m, "second_moment": v}

    def decay(self, group: Group, numbers: Scalars) -> tuple[Tensor, Tensor]:
        """Return p and g with weight decay: p and g + λ p."""
        return group.data, group.decayed()


class AdamW(Adam):
    """Adam with decoupled weight decay: p is first multiplied by 1 - lr λ, and the moments see g alone.

    Parameters
    ----------
    parameters
        `model.parameters()` or groups.
    lr, betas, eps
        As for Adam.
    weight_decay
        λ.

    """

    def __init__(
        self,
        parameters: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ) -> None:
        super().__init__(parameters, lr, betas, eps, weight_decay)

    @override
    def decay(self, group: Group, numbers: Scalars) -> tuple[Tensor, Tensor]:
        """Return (1 - lr λ) p and g."""
        kept = 1.0 - numbers["lr"] * group.options["weight_decay"]
        return group.backend.multiply(group.data, kept, out=group.data), group.grad
