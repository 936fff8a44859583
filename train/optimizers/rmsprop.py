"""RMSprop (Hinton, lecture 6e of "Neural networks for machine learning", 2012)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .optimizer import Group, Optimizer, Scalars, decayed


class RMSprop(Optimizer):
    """v = α v + (1 - α) g²; p = p - lr g / (√v + ε).

    Parameters
    ----------
    parameters
        `model.parameters()` or groups.
    lr, alpha, eps, weight_decay
        lr, α, ε, and λ in g + λ p.
    momentum
        μ: step along u = μ u + g / (√v + ε) instead.
    centered
        Whether v's place is taken by v - m², m the average of g (Graves 2013, eq. 38).
    eps_inside_root
        √(v + ε) in place of √v + ε (Chahed et al., eq. 6).

    """

    def __init__(
        self,
        parameters: Iterable[Any],
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
        *,
        eps_inside_root: bool = False,
    ) -> None:
        options = {
            "lr": lr,
            "alpha": alpha,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "centered": centered,
            "eps_inside_root": eps_inside_root,
        }
        super().__init__(parameters, options)

    def prepare(self, group: Group) -> None:
        """Allocate v, and where asked for u and m."""
        group.add_cell("square_average")
        if group.options["momentum"]:
            group.add_cell("momentum")
        if group.options["centered"]:
            group.add_cell("average")

    def update_group(self, group: Group, scalars: Scalars) -> None:
        """Divide the gradient by the root of its averaged square."""
        b, options = group.backend, group.options
        alpha, eps = options["alpha"], options["eps"]
        g = decayed(group)
        v = group.cells["square_average"]
        v = group.put(
            "square_average", b.add_scaled(b.multiply(v, alpha, out=v), b.square(g), 1.0 - alpha, out=v)
        )
        if options["centered"]:
            m = group.cells["average"]
            m = group.put("average", b.add_scaled(b.multiply(m, alpha, out=m), g, 1.0 - alpha, out=m))
            v = b.subtract(v, b.square(m))
        root = b.sqrt(b.add(v, eps)) if options["eps_inside_root"] else b.add(b.sqrt(v), eps)
        direction = b.divide(g, root, out=root)
        if options["momentum"]:
            u = group.cells["momentum"]
            direction = group.put(
                "momentum", b.add(b.multiply(u, options["momentum"], out=u), direction, out=u)
            )
        group.put("data", b.sgd_step(group.data, direction, scalars["lr"], out=group.data))
