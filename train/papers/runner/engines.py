"""The engines of one plan: our layers (compiled or eager), our autodiff, and torch.nn.

All start from the same weights, see the same batches and do the same arithmetic, so their losses can be
compared step by step, and their seconds too.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
from typing_extensions import override

from ....backends import Backend, OptionError, Tensor, get_backend
from ....backends.host import Host
from ....backends.loop import compilations_of
from ....backends.select import with_decorator
from ....layers import Module, inference, mode
from ....layers.losses import L2Penalty
from ...data import batch_count
from ...loop.dependencies import Keyed
from ...loop.passes import Batch, predicting, take_steps
from ...loop.samples import Samples, cuts
from ...loop.trainer import Trainer
from .plan import OPTIMIZERS, Part, Plan, criterion, network


class Learner(Protocol):
    """A network in training."""

    def epoch(self, order: Host, lr_factor: float) -> list[float]:
        """Train on samples in an order (M,), of one epoch or several; return each step's loss."""

    def outputs(self) -> Host:
        """Return the network's outputs for the inputs of all parts, one part after the other."""

    def weights(self) -> dict[str, Host]:
        """Return the network's state under torch's names."""

    @property
    def eager_because(self) -> str:
        """Why a step that should be compiled runs op by op; "" if there is nothing to tell."""

    @property
    def compiling(self) -> float:
        """The seconds that the compilation of the training step took so far."""


class Layers(Learner):
    """Hand-written backward passes, in steps of `Trainer`."""

    def __init__(self, plan: Plan, seed: int, data: Mapping[str, Part], backend: Backend) -> None:
        self.plan, self.backend = plan, backend
        self.model: Module = network(plan, seed, backend)
        loss = criterion(plan, backend)
        optimizer = OPTIMIZERS[plan.optimizer](self.model.parameters(), **plan.options)
        penalty = L2Penalty(self.model.parameters(), plan.penalty) if plan.penalty else None
        self.trainer = Trainer(self.model, loss, optimizer, penalty=penalty)
        self.samples = Samples.of((data["train"].inputs, data["train"].targets), loss)
        self.inputs = backend.from_host(inputs_of(data))
        loss.validate = False  # MSE takes any targets
        step = Keyed(self.step, self.model, loss, optimizer=optimizer)
        self.run, self.predict = backend.compile(step), backend.compile(predicting(self.model))

    @override
    def epoch(self, order: Host, lr_factor: float) -> list[float]:
        self.trainer.optimizer.lr_factor = lr_factor
        size, data = self.plan.batch_size, self.samples.parts
        steps = batch_count(len(order), size)
        with mode(training=True):
            (losses,) = take_steps(self.run, self.trainer.optimizer, steps, data, order, batch_size=size)
        return self.backend.to_host(losses).tolist()  # type: ignore[no-any-return]

    def step(self, batch: Batch, numbers: Mapping[str, float]) -> tuple[Tensor, ...]:
        """Take one step; return the loss before it."""
        numerator, denominator, _ = self.trainer.train_step(batch, numbers)
        return (self.trainer.loss.reduced(numerator, denominator),)

    @override
    def outputs(self) -> Host:
        with mode(training=False), inference():
            (outputs,) = self.predict((self.inputs,), batch_size=self.backend.shape(self.inputs)[0])
        return np.asarray(self.backend.to_host(outputs))

    @override
    def weights(self) -> dict[str, Host]:
        return self.model.state_dict()

    @property
    @override
    def eager_because(self) -> str:
        return next((one.reason for one in compilations_of(self.run) if one.reason), "")

    @property
    @override
    def compiling(self) -> float:
        return sum(one.seconds for one in compilations_of(self.run))


def compiled(plan: Plan, seed: int, data: Mapping[str, Part], backend: Backend) -> Layers:
    """Return the layers on the raw backend with `jit`. Raises BackendError if that cannot run."""
    spec = f"jit+{backend.raw.spec}"
    return Layers(plan, seed, data, get_backend(spec, dtype=backend.default_dtype))


def eager(plan: Plan, seed: int, data: Mapping[str, Part], backend: Backend) -> Layers:
    """Return the layers on the raw backend, op by op."""
    return Layers(plan, seed, data, backend.raw)


def inputs_of(data: Mapping[str, Part]) -> Host:
    """Return the inputs of all parts, one part after the other."""
    return np.concatenate([part.inputs for part in data.values()])


class Graph(Layers):
    """The same layers' forward passes; autodiff computes the gradients."""

    def __init__(self, plan: Plan, seed: int, data: Mapping[str, Part], backend: Backend) -> None:
        recording = get_backend(with_decorator(backend.spec, "autodiff"), dtype=backend.default_dtype)
        super().__init__(plan, seed, data, recording)

    @override
    def step(self, batch: Batch, numbers: Mapping[str, float]) -> tuple[Tensor, ...]:
        trainer, (x, y) = self.trainer, batch
        trainer.optimizer.zero_grad()
        loss: Any = trainer.loss(self.model(x), y)
        loss.backward()
        if trainer.penalty is not None:
            trainer.penalty.backward()
        trainer.optimizer.update(numbers)
        return (loss,)


class Torch(Learner):
    """torch.nn, autograd and torch.optim, from our layers' initial weights."""

    eager_because = ""
    compiling = 0.0

    def __init__(self, plan: Plan, seed: int, data: Mapping[str, Part], backend: Backend) -> None:
        torch = self.torch = importlib.import_module("torch")
        self.plan, self.dtype = plan, getattr(torch, backend.default_dtype)
        ours = network(plan, seed, get_backend("numpy", dtype=backend.default_dtype))
        layers = [_twin(torch, layer) for layer in ours]
        self.model = torch.nn.Sequential(*layers).to(self.dtype)
        self.model.load_state_dict({k: torch.tensor(v) for k, v in ours.state_dict().items()})
        self.lr = plan.options["lr"]
        self.optimizer = _optimizer(torch, plan, self.model.parameters())
        self.criterion = _criterion(torch, plan.loss)
        self.x = torch.tensor(data["train"].inputs, dtype=self.dtype)
        self.y = torch.tensor(data["train"].targets, dtype=self.dtype)
        self.inputs = torch.tensor(inputs_of(data), dtype=self.dtype)

    @override
    def epoch(self, order: Host, lr_factor: float) -> list[float]:
        self.model.train()
        for group in self.optimizer.param_groups:
            group["lr"] = self.lr * lr_factor
        index = self.torch.tensor(order)
        x, y, losses = self.x[index], self.y[index], []
        for first, last in cuts(len(order), self.plan.batch_size):
            self.optimizer.zero_grad()
            loss = self.criterion(self.model(x[first:last]), y[first:last])
            loss.backward()
            self.optimizer.step()
            losses.append(loss.detach())
        return [float(loss) for loss in losses]

    @override
    def outputs(self) -> Host:
        self.model.eval()
        with self.torch.inference_mode():
            return np.asarray(self.model(self.inputs).numpy())

    @override
    def weights(self) -> dict[str, Host]:
        return {name: value.numpy().copy() for name, value in self.model.state_dict().items()}


ENGINES: dict[str, Callable[[Plan, int, Mapping[str, Part], Backend], Learner]] = {
    "layers": Layers,
    "compiled": compiled,
    "eager": eager,
    "graph": Graph,
    "torch": Torch,
}


_TWINS: dict[str, tuple[str, ...]] = {
    "Linear": ("in_features", "out_features"),
    "ReLU": (),
    "Tanh": (),
    "Sigmoid": (),
    "Softmax": ("dim",),
}
"""Layers that torch.nn has under the same name, with the options to copy."""


def _twin(torch: Any, layer: Module) -> Any:
    """Return torch.nn's layer with the same name and options."""
    name = type(layer).__name__
    if name not in _TWINS:
        raise OptionError(
            f"engine 'torch': expected {', '.join(_TWINS)}, got {layer}; use 'layers' or 'graph'"
        )
    return getattr(torch.nn, name)(*(getattr(layer, option) for option in _TWINS[name]))


def _optimizer(torch: Any, plan: Plan, parameters: Any) -> Any:
    """Return torch's optimizer. Raises OptionError for a convention that torch lacks."""
    options = dict(plan.options)
    momentum_form, eps_inside_root = (
        options.pop("momentum_form", "heavy_ball"),
        options.pop("eps_inside_root", 0),
    )
    # At a constant rate, "lr_inside" takes the same steps as torch: its v is lr times torch's.
    is_torchs = momentum_form == "heavy_ball" or (momentum_form == "lr_inside" and plan.decay == 1.0)
    if eps_inside_root or not is_torchs:
        missing = "eps_inside_root" if eps_inside_root else f"momentum_form={momentum_form!r}"
        raise OptionError(f"torch.optim.{plan.optimizer} has no {missing}; use the engine 'layers'")
    return getattr(torch.optim, plan.optimizer)(parameters, **options)


def _criterion(torch: Any, reduction: str) -> Callable[[Any, Any], Any]:
    """Return the loss in torch's functions."""
    mse = torch.nn.functional.mse_loss
    if reduction in ("mean", "sum"):
        return torch.nn.MSELoss(reduction=reduction)  # type: ignore[no-any-return]
    if reduction == "mean_error":
        return lambda prediction, target: len(target) * (prediction - target).mean(0).square().sum()
    half = 2 if reduction == "half_batchmean" else 1
    return lambda prediction, target: mse(prediction, target, reduction="sum") / (half * len(target))
