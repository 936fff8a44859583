"""RMSprop (Hinton, lecture 6e of "Neural networks for machine learning", 2012)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from typing_extensions import override

from ...backends import Tensor
from .group import Group
from .optimizer import Optimizer, Scalars


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
        Whether v - m² replaces v, where m is the average of g (Graves 2013, eq. 38).
    eps_inside_root
        √(v + ε) instead of √v + ε (Chahed et al., eq. 6).

    """

    averages = ("momentum", "average")

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

    @override
    @classmethod
    def initial_cells(cls, options: Mapping[str, Any]) -> dict[str, float]:
        cells = {"square_average": 0.0}
        if options["momentum"]:
            cells["momentum"] = 0.0
        if options["centered"]:
            cells["average"] = 0.0
        return cells

    @override
    def update_group(self, group: Group, numbers: Scalars) -> dict[str, Tensor]:
        """v and m are averages of g² and g; u = μ u + g / root; p = p - lr u."""
        b, cells, options = group.backend, group.cells, group.options
        p, g, alpha, eps = group.data, group.decayed(), options["alpha"], options["eps"]
        v = cells["square_average"]
        v = b.add_scaled(b.multiply(v, alpha, out=v), b.square(g), 1.0 - alpha, out=v)
        values, variance = {"square_average": v}, v
        if options["centered"]:
            m = cells["average"]
            values["average"] = m = b.add_scaled(b.multiply(m, alpha, out=m), g, 1.0 - alpha, out=m)
            variance = b.subtract(v, b.square(m))
        inside = options["eps_inside_root"]
        root = b.sqrt(b.add(variance, eps)) if inside else b.add(b.sqrt(variance), eps)
        u = b.divide(g, root, out=root)
        if options["momentum"]:
            old = cells["momentum"]
            values["momentum"] = u = b.add(b.multiply(old, options["momentum"], out=old), u, out=old)
        return {"data": b.sgd_step(p, u, numbers["lr"], out=p), **values}
