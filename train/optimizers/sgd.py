"""Stochastic gradient descent, with momentum in torch's form or a paper's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from typing_extensions import override

from ...backends import OptionError, Tensor
from ...backends.options import choice
from .group import Group
from .optimizer import Optimizer, Scalars

Form = Literal["heavy_ball", "ema", "lr_inside"]
FORMS = ("heavy_ball", "ema", "lr_inside")


class SGD(Optimizer):
    """p = p - lr v, where v is the gradient or its momentum.

    Parameters
    ----------
    parameters
        `model.parameters()` or groups.
    lr
        The learning rate.
    momentum
        μ. The first v is the undamped gradient in torch's form.
    dampening
        d in v = μ v + (1 - d) g.
    weight_decay
        λ in g + λ p, which replaces the gradient g.
    nesterov
        Step along g + μ v (Sutskever et al. 2013).
    momentum_form
        "heavy_ball" (torch): v = μ v + (1 - d) g. "ema" (Boschin et al.): v = μ v + (1 - μ) g from
        v = 0. "lr_inside" (Chahed et al., eq. 5): v = μ v + lr g and p = p - v.

    """

    averages = ("momentum",)

    def __init__(
        self,
        parameters: Iterable[Any],
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        momentum_form: Form = "heavy_ball",
    ) -> None:
        options = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "momentum_form": momentum_form,
        }
        super().__init__(parameters, options)

    @override
    @classmethod
    def check(cls, options: Mapping[str, Any]) -> None:
        form = choice("SGD", "momentum_form", options["momentum_form"], FORMS)
        if options["nesterov"] and (not options["momentum"] or options["dampening"]):
            raise OptionError(
                "SGD: expected a momentum above 0 and a dampening of 0 with nesterov, "
                f"got {options['momentum']} and {options['dampening']}"
            )
        if form != "heavy_ball" and (options["nesterov"] or options["dampening"]):
            raise OptionError(
                f"SGD: expected neither nesterov nor dampening with momentum_form={form!r}, "
                f"got {options['nesterov']} and {options['dampening']}"
            )

    @override
    @classmethod
    def initial_cells(cls, options: Mapping[str, Any]) -> dict[str, float]:
        return {"momentum": 0.0} if options["momentum"] else {}

    @override
    def group_scalars(self, group: Group, step: Any) -> dict[str, Any]:
        """Return lr and the share of g in v."""
        options, lr = group.options, self.rate(group)
        if not options["momentum"]:
            return {"lr": lr}
        if options["momentum_form"] == "lr_inside":
            return {"lr": 1.0, "share": lr}
        if options["momentum_form"] == "ema":
            return {"lr": lr, "share": 1.0 - options["momentum"]}
        return {"lr": lr, "share": 1.0 - (step > 1) * options["dampening"]}

    @override
    def update_group(self, group: Group, numbers: Scalars) -> dict[str, Tensor]:
        """v = μ v + share g; p = p - lr v (or lr (g + μ v))."""
        b, options = group.backend, group.options
        p, g, lr = group.data, group.decayed(), numbers["lr"]
        if not (momentum := options["momentum"]):
            return {"data": b.sgd_step(p, g, lr, out=p)}
        v = group.cells["momentum"]
        v = b.add_scaled(b.multiply(v, momentum, out=v), g, numbers["share"], out=v)
        direction = b.add_scaled(g, v, momentum) if options["nesterov"] else v
        return {"data": b.sgd_step(p, direction, lr, out=p), "momentum": v}
