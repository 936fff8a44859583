"""Adam (Kingma & Ba 2015, algorithm 1) and AdamW (Loshchilov & Hutter 2019, algorithm 2)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ...backends import OptionError, Tensor
from .optimizer import Group, Optimizer, Scalars, decayed


class Adam(Optimizer):
    """p = p - lr m̂ / (√v̂ + ε), m and v the averages of g and g², m̂ and v̂ without their bias.

    Parameters
    ----------
    parameters
        `model.parameters()` or groups.
    lr, betas, eps
        lr, (β₁, β₂), ε. As in torch, ε is outside the root and after the bias correction.
    weight_decay
        λ in g + λ p.

    """

    def __init__(
        self,
        parameters: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(parameters, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    def check(self, options: Mapping[str, Any]) -> None:
        """Raise OptionError for options out of range."""
        super().check(options)
        betas = options["betas"]
        if not isinstance(betas, (tuple, list)) or len(betas) != 2:
            raise OptionError(f"{type(self).__name__}: betas must be two numbers, got {betas!r}")

    def prepare(self, group: Group) -> None:
        """Allocate m and v."""
        group.add_cell("first_moment")
        group.add_cell("second_moment")

    def group_scalars(self, group: Group, step: int) -> Scalars:
        """Return lr and the bias corrections 1 - βᵢ^t."""
        beta1, beta2 = group.options["betas"]
        return {
            "lr": self.rate(group),
            "correction1": 1.0 - beta1**step,
            "correction2": 1.0 - beta2**step,
        }

    def update_group(self, group: Group, scalars: Scalars) -> None:
        """Take one step of algorithm 1."""
        b, cells = group.backend, group.cells
        beta1, beta2 = group.options["betas"]
        own = (group.data, cells["first_moment"], cells["second_moment"])
        data, first, second = b.adam_step(
            self.start(group, scalars),
            self.direction(group),
            *own[1:],
            learning_rate=scalars["lr"],
            beta1=beta1,
            beta2=beta2,
            epsilon=group.options["eps"],
            correction1=scalars["correction1"],
            correction2=scalars["correction2"],
            out=own,
        )
        group.put("first_moment", first)
        group.put("second_moment", second)
        group.put("data", data)

    def start(self, group: Group, scalars: Scalars) -> Tensor:
        """Return where the step starts from: p."""
        return group.data

    def direction(self, group: Group) -> Tensor:
        """Return what the moments average: g + λ p."""
        return decayed(group)


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

    def start(self, group: Group, scalars: Scalars) -> Tensor:
        """Return p (1 - lr λ)."""
        keep = 1.0 - scalars["lr"] * group.options["weight_decay"]
        return group.put("data", group.backend.multiply(group.data, keep, out=group.data))

    def direction(self, group: Group) -> Tensor:
        """Return g."""
        return group.grad
