"""Stochastic gradient descent, with momentum in torch's form and in the papers'."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from ...backends import OptionError
from .optimizer import Group, Optimizer, Scalars, decayed

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
        μ. The first v is the gradient itself, undamped, as in torch (but for the other forms).
    dampening
        d in v = μ v + (1 - d) g.
    weight_decay
        λ: g + λ p takes the gradient's place.
    nesterov
        Step along g + μ v (Sutskever et al. 2013).
    momentum_form
        "heavy_ball" (torch): v = μ v + (1 - d) g. "ema" (Boschin et al.): v = μ v + (1 - μ) g from
        v = 0. "lr_inside" (Chahed et al., eq. 5): v = μ v + lr g and p = p - v.

    """

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

    def check(self, options: Mapping[str, Any]) -> None:
        """Raise OptionError for options out of range or at odds."""
        super().check(options)
        form = options["momentum_form"]
        if form not in FORMS:
            raise OptionError(f"SGD: momentum_form must be one of {', '.join(FORMS)}, got {form!r}")
        if options["nesterov"] and (not options["momentum"] or options["dampening"]):
            raise OptionError("SGD: nesterov needs a momentum above 0 and a dampening of 0")
        if form != "heavy_ball" and (options["nesterov"] or options["dampening"]):
            raise OptionError(f"SGD: momentum_form={form!r} goes with neither nesterov nor dampening")

    def prepare(self, group: Group) -> None:
        """Allocate v where there is momentum."""
        if group.options["momentum"]:
            group.add_cell("momentum")

    def group_scalars(self, group: Group, step: int) -> Scalars:
        """Return lr and the share of g that goes into v."""
        options = group.options
        lr = self.rate(group)
        if not options["momentum"]:
            return {"lr": lr}
        if options["momentum_form"] == "lr_inside":
            return {"lr": 1.0, "share": lr}
        if options["momentum_form"] == "ema":
            return {"lr": lr, "share": 1.0 - options["momentum"]}
        return {"lr": lr, "share": 1.0 if step == 1 else 1.0 - options["dampening"]}

    def update_group(self, group: Group, scalars: Scalars) -> None:
        """v = μ v + share g; p = p - lr v (or lr (g + μ v))."""
        b, momentum = group.backend, group.options["momentum"]
        direction = decayed(group)
        if momentum:
            v = group.cells["momentum"]
            fading = b.multiply(v, momentum, out=v)
            v = group.put("momentum", b.add_scaled(fading, direction, scalars["share"], out=v))
            direction = b.add_scaled(direction, v, momentum) if group.options["nesterov"] else v
        group.put("data", b.sgd_step(group.data, direction, scalars["lr"], out=group.data))
