"""Training steps of one network, by each contender: ours, torch.nn and JAX, from the same weights.

A contender takes a step on each batch of an order of rows: `ready(order, rate)` returns a function that does
so and waits until it is done. All that it calls lies inside: the gather of each batch's rows, the loss, the
backward pass and the update.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, Protocol

import numpy as np

from lamina.backends import Backend, get_backend
from lamina.layers import CrossEntropyLoss, L2Penalty, Module, MSELoss, named_scopes, without_input_gradient
from lamina.layers.random import seeded
from lamina.train.models import Dense
from lamina.train.optimizers import SGD, Adam

EPSILON, MOMENTUM = 1e-5, 0.1
"""BatchNorm's defaults in torch, which ours are too."""
BIAS = 0.5
"""The least initial bias."""


@dataclass(frozen=True)
class Work:
    """A network with ReLU, a batch, a loss and an optimizer.

    Parameters
    ----------
    widths
        Inputs, hidden layers, outputs.
    loss
        "MSE", "sum of squares" or "cross-entropy".
    optimizer
        "SGD" or "Adam".
    penalty
        λ of λ/2 Σ w² over all parameters.
    batch_norm, last_relu
        Whether hidden layers have batch norm before the ReLU, and whether the output has a ReLU.

    """

    widths: tuple[int, ...]
    batch: int
    loss: str
    optimizer: str
    dtype: str
    penalty: float = 0.0
    batch_norm: bool = False
    last_relu: bool = False
    named: str = ""
    """What to call it instead of its widths."""

    def __str__(self) -> str:
        name = self.named or "-".join(map(str, self.widths))
        return f"{name}, {self.optimizer}, {self.loss}, batch {self.batch}, {self.dtype}"

    @property
    def operations(self) -> int:
        """Multiplications and additions in the products of a step; no gradient of the input is computed."""
        products = [i * o for i, o in pairwise(self.widths)]
        return 2 * self.batch * (3 * sum(products) - products[0])

    @property
    def check_rate(self) -> float:
        """The learning rate of the steps whose results must agree."""
        return 1e-3

    @property
    def options(self) -> dict[str, float]:
        """The optimizer's options beside the learning rate."""
        return {}

    @property
    def samples(self) -> int:
        """The rows of the data set."""
        return 1000

    @cached_property
    def data(self) -> tuple[Any, Any]:
        """Inputs and targets; the targets are noise, so that no gradient vanishes."""
        rng = np.random.default_rng(0)
        x = rng.standard_normal((self.samples, self.widths[0])).astype(self.dtype)
        if self.loss == "cross-entropy":
            return x, rng.integers(0, self.widths[-1], self.samples)
        return x, rng.random((self.samples, self.widths[-1])).astype(self.dtype)

    def order(self, steps: int) -> Any:
        """Return the rows of so many batches, shuffled epoch by epoch."""
        rng, rows = np.random.default_rng(1), steps * self.batch
        epochs = -(-rows // self.samples)
        return np.concatenate([rng.permutation(self.samples) for _ in range(epochs)])[:rows]

    def network(self, backend: Backend) -> Module:
        """Return our network, with the same initial weights every time."""
        output = "relu" if self.last_relu else ""
        inputs, *hidden, outputs = self.widths
        with seeded(0):
            dense = Dense((inputs,), tuple(hidden), outputs, output=output, batch_norm=self.batch_norm)
            return dense.build(backend)

    @cached_property
    def weights(self) -> dict[str, Any]:
        """The initial weights, under torch's names.

        Biases are large, so that no unit is dead: the moments of its weights would fade into denormal
        numbers, which are slow.
        """
        state = self.network(get_backend("numpy", dtype=self.dtype)).state_dict()
        return {k: np.abs(v) + BIAS if k.endswith("bias") else v for k, v in state.items()}


class Contender(Protocol):
    """A network in training."""

    def ready(self, order: Any, rate: float) -> Callable[[], None]:
        """Return a function that takes a step on each batch of an order (S B,), at a learning rate."""

    def parameters(self) -> list[Any]:
        """Return the parameters, on the host, in the order of torch.nn's."""


# -- ours ----------------------------------------------------------------------------------------------


class Ours(Contender):
    """Our layers on a backend; `jit` compiles the loop over batches, other backends run it."""

    def __init__(self, work: Work, spec: str) -> None:
        b = self.backend = get_backend(spec, dtype=work.dtype)
        self.work, self.model = work, work.network(b)
        self.model.load_state_dict(work.weights)
        if work.loss == "cross-entropy":
            self.loss: Any = CrossEntropyLoss(backend=b)
        else:
            self.loss = MSELoss("mean" if work.loss == "MSE" else "sum", backend=b)
        self.loss.validate = False  # as in the training loop, which checks the targets once
        kind: Any = {"SGD": SGD, "Adam": Adam}[work.optimizer]
        self.optimizer = kind(self.model.parameters(), lr=1.0, **work.options)
        self.penalty = L2Penalty(self.model.parameters(), work.penalty) if work.penalty else None
        self.data = tuple(b.from_host(x) for x in work.data)
        self.run = b.compile(self.step)

    def step(self, batch: tuple[Any, ...], numbers: Any) -> tuple[Any, ...]:
        x, y = batch
        with named_scopes(self.model):
            self.optimizer.zero_grad()
            prediction = self.model(x)
            value = self.loss(prediction, y)
            with without_input_gradient(self.model):
                self.model.backward(self.loss.backward())
            if self.penalty is not None:
                self.penalty.backward()
            self.optimizer.update(numbers)
        return prediction, value

    def ready(self, order: Any, rate: float) -> Callable[[], None]:
        batch, optimizer = self.work.batch, self.optimizer
        optimizer.groups[0].options["lr"] = rate
        steps = len(order) // batch
        numbers = optimizer.next_scalars(steps)

        def call() -> None:
            self.run(self.data, order, batch_size=batch, numbers=numbers)
            optimizer.steps += steps

        return call

    def parameters(self) -> list[Any]:
        return [self.backend.to_host(p.data) for p in self.model.parameters()]

    def gradients(self) -> list[Any]:
        """Return the gradients of the last step."""
        return [self.backend.to_host(p.grad) for p in self.model.parameters()]


# -- torch.nn ------------------------------------------------------------------------------------------


class Torch(Contender):
    """torch.nn, autograd and torch.optim; compiled: torch.compile makes code of the loss and its gradient."""

    def __init__(self, work: Work, *, compiled: bool = False) -> None:
        torch = self.torch = importlib.import_module("torch")
        if compiled:  # else the ninth network would quietly run as it is
            torch.compiler.reset()
        self.work, self.dtype = work, getattr(torch, work.dtype)
        self.model = self._network(work)
        self._load(work)
        leaves = list(self.model.parameters())
        kind = {"SGD": torch.optim.SGD, "Adam": torch.optim.Adam}[work.optimizer]
        self.optimizer = kind(leaves, lr=1.0, **work.options)
        if work.loss == "cross-entropy":
            criterion = torch.nn.CrossEntropyLoss()
        else:
            criterion = torch.nn.MSELoss(reduction="mean" if work.loss == "MSE" else "sum")

        def loss(x: Any, y: Any) -> Any:
            value = criterion(self.model(x), y)
            if work.penalty:
                value = value + 0.5 * work.penalty * sum(p.square().sum() for p in leaves)
            return value

        self.loss = torch.compile(loss) if compiled else loss
        self.data = tuple(map(torch.tensor, work.data))

    def _load(self, work: Work) -> None:
        self.model.load_state_dict({k: self.torch.tensor(v) for k, v in work.weights.items()})

    def _network(self, work: Work) -> Any:
        nn, chain = self.torch.nn, []
        for i, (inputs, outputs) in enumerate(pairwise(work.widths), start=2):
            last = i == len(work.widths)
            chain.append(nn.Linear(inputs, outputs, dtype=self.dtype))
            if work.batch_norm and not last:
                chain.append(nn.BatchNorm1d(outputs, dtype=self.dtype))
            if not last or work.last_relu:
                chain.append(nn.ReLU())
        return nn.Sequential(*chain)

    def ready(self, order: Any, rate: float) -> Callable[[], None]:
        (x, y), loss, optimizer = self.data, self.loss, self.optimizer
        batches = self.torch.from_numpy(order).reshape(-1, self.work.batch)
        for group in optimizer.param_groups:
            group["lr"] = rate

        def call() -> None:
            for rows in batches:
                optimizer.zero_grad()
                loss(x[rows], y[rows]).backward()
                optimizer.step()

        return call

    def parameters(self) -> list[Any]:
        return [p.detach().numpy() for p in self.model.parameters()]


# -- JAX -----------------------------------------------------------------------------------------------


def jax() -> Any:
    """Return the module, for one thread and for float64 too. Raises ImportError if it is not installed."""
    flags = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    os.environ.setdefault("XLA_FLAGS", flags)
    module = importlib.import_module("jax")
    module.config.update("jax_enable_x64", True)
    return module


State = Any


class Jax(Contender):
    """The same step in JAX: jit of a loop over all batches (`lax.scan`), or of one step.

    The state is (layers, averages of BatchNorm, Adam's moments m and v and its steps).
    """

    def __init__(self, work: Work, *, scan: bool) -> None:
        self.work, self.jax, self.np = work, jax(), importlib.import_module("jax.numpy")
        self.jax.clear_caches()
        self.data = tuple(map(self.np.asarray, work.data))
        self.state = self._initial()
        self.scan = scan
        lax = self.jax.lax
        if scan:
            self.program = self.jax.jit(
                lambda state, batches, rate: lax.scan(lambda s, r: self._step(s, r, rate), state, batches),
                donate_argnums=0,
            )
        else:
            self.program = self.jax.jit(self._step, donate_argnums=0)

    def _initial(self) -> State:
        weights = {k: self.np.array(v) for k, v in self.work.weights.items()}
        layers: list[dict[str, Any]] = []
        averages = []
        for name, value in weights.items():
            path, _, kind = name.rpartition(".")
            if kind == "running_mean":
                averages.append([value, weights[f"{path}.running_var"]])
            elif kind == "weight" and value.ndim == 2:
                layers.append({"w": value, "b": weights[f"{path}.bias"]})
            elif kind == "weight":
                layers[-1] |= {"scale": value, "shift": weights[f"{path}.bias"]}
        adam: tuple[Any, ...] = ()
        if self.work.optimizer == "Adam":
            m, v = (self.jax.tree.map(self.np.zeros_like, layers) for _ in range(2))
            adam = m, v, self.np.zeros((), self.work.dtype)
        return layers, averages, adam

    def _forward(self, layers: Any, averages: Any, x: Any) -> tuple[Any, Any]:
        moved = []
        for i, layer in enumerate(layers):
            x = x @ layer["w"].T + layer["b"]
            last = i == len(layers) - 1
            if "scale" in layer:
                mean, var, n = x.mean(0), x.var(0), len(x)
                x = (x - mean) * self.jax.lax.rsqrt(var + EPSILON) * layer["scale"] + layer["shift"]
                old = averages[i]
                new = mean, var * (n / (n - 1))
                moved.append([o + MOMENTUM * (v - o) for o, v in zip(old, new, strict=True)])
            if not last or self.work.last_relu:
                x = self.jax.nn.relu(x)
        return x, moved

    def _loss(self, layers: Any, averages: Any, x: Any, y: Any) -> Any:
        prediction, averages = self._forward(layers, averages, x)
        if self.work.loss == "cross-entropy":
            log_probabilities = self.jax.nn.log_softmax(prediction)
            value = -log_probabilities[self.np.arange(len(y)), y].mean()
        else:
            squares = (prediction - y) ** 2
            value = squares.mean() if self.work.loss == "MSE" else squares.sum()
        if self.work.penalty:
            leaves = self.jax.tree.leaves(layers)
            value += 0.5 * self.work.penalty * sum((p * p).sum() for p in leaves)
        return value, (averages, prediction)

    def _step(self, state: State, rows: Any, rate: Any) -> tuple[State, Any]:
        layers, averages, moments = state
        x, y = (part[rows] for part in self.data)
        function = self.jax.value_and_grad(self._loss, has_aux=True)
        (value, (averages, prediction)), slopes = function(layers, averages, x, y)
        over = self.jax.tree.map
        if self.work.optimizer == "SGD":
            layers, moments = self._sgd(layers, slopes, moments, rate)
        else:
            m, v, t = moments
            t = t + 1
            m = over(lambda m, g: 0.9 * m + 0.1 * g, m, slopes)
            v = over(lambda v, g: 0.999 * v + 0.001 * g * g, v, slopes)
            first, second = 1 - 0.9**t, 1 - 0.999**t

            def adam(p: Any, m: Any, v: Any) -> Any:
                return p - rate * (m / first) / (self.np.sqrt(v / second) + 1e-8)

            layers, moments = over(adam, layers, m, v), (m, v, t)
        return (layers, averages, moments), (prediction, value)

    def _sgd(self, layers: Any, slopes: Any, moments: Any, rate: Any) -> tuple[Any, Any]:
        return self.jax.tree.map(lambda p, g: p - rate * g, layers, slopes), moments

    def ready(self, order: Any, rate: float) -> Callable[[], None]:
        wait, rate = self.jax.block_until_ready, self.np.asarray(rate, self.work.dtype)
        batches = order.reshape(-1, self.work.batch)
        if self.scan:
            rows = self.np.asarray(batches)

            def whole() -> None:
                self.state, _ = wait(self.program(self.state, rows, rate))

            return whole

        def steps() -> None:
            state = self.state
            for rows in batches:
                state, results = self.program(state, rows, rate)
            self.state, _ = wait((state, results))

        return steps

    def parameters(self) -> list[Any]:
        found = []
        for layer in self.state[0]:
            found += [np.asarray(layer[k]) for k in ("w", "b", "scale", "shift") if k in layer]
        return found


JIT, NUMPY, SCAN = "jit+numpy", "numpy", "JAX scan"
MAKERS: Mapping[str, Callable[[Work], Contender]] = {
    JIT: lambda work: Ours(work, "jit+numpy"),
    NUMPY: lambda work: Ours(work, "numpy"),
    "torch": lambda work: Ours(work, "torch"),
    "torch.nn": Torch,
    "torch.compile": lambda work: Torch(work, compiled=True),
    "JAX jit": lambda work: Jax(work, scan=False),
    SCAN: lambda work: Jax(work, scan=True),
}
"""The contenders by name."""
