"""Batch normalisation (Ioffe & Szegedy 2015, algorithms 1 and 2): over samples and places."""

from __future__ import annotations

from typing import ClassVar

from typing_extensions import override

from ...backends import Backend, ShapeError, Tensor
from ...backends.options import choice, flag, integer, number
from ...backends.protocol import Shape
from ...backends.shapes import count
from ..initializers import Constant
from ..module import Module


class BatchNorm(Module):
    """y = γ x̂ + β, with x̂ = (x - mean) / √(var + ε) for each channel.

    Training uses the mean and (biased) variance of the batch, and updates the running statistics;
    evaluation uses the running statistics.

    Parameters
    ----------
    num_features
        C, the number of channels.
    eps
        ε, inside the root.
    momentum
        Running statistics become (1 - momentum) old + momentum new; None averages all batches so far.
    affine, bias
        Whether to use γ, and β with it.
    track_running_stats
        Whether to keep running statistics; if not, evaluation uses the batch's statistics too.
    momentum_of
        "new": the momentum weights the new value, as in torch. "old": the old one (Jin et al.; ONNX).
    biased_running_variance
        Whether the running variance follows the biased variance (Jin et al.; ONNX), not the unbiased one.
    backend
        The backend that computes; the current one if None.

    """

    sizes: ClassVar[tuple[str, ...]]
    """The texts of the axes that may follow N and C."""

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        bias: bool = True,
        momentum_of: str = "new",
        biased_running_variance: bool = False,
        backend: str | Backend | None = None,
    ) -> None:
        name = type(self).__name__
        momentum_of = choice(name, "momentum_of", momentum_of, ("new", "old"))
        num_features = integer(name, "num_features", num_features)
        super().__init__(backend)
        self.num_features, self.eps = num_features, number(name, "eps", eps, least=0)
        self.momentum = None if momentum is None else number(name, "momentum", momentum, least=0, most=1)
        self.momentum_of = momentum_of
        self.biased_running_variance = flag(name, "biased_running_variance", biased_running_variance)
        affine, bias = flag(name, "affine", affine), flag(name, "bias", bias)
        track_running_stats = flag(name, "track_running_stats", track_running_stats)
        shape = (num_features,)
        self.weight = self.parameter(shape, Constant(1.0)) if affine else None
        self.bias = self.parameter(shape, Constant(0.0)) if affine and bias else None
        self.running_mean = self.buffer(shape, 0.0) if track_running_stats else None
        self.running_var = self.buffer(shape, 1.0) if track_running_stats else None
        self.num_batches_tracked = self.buffer((), 0, dtype="int64") if track_running_stats else None

    @override
    def forward(self, x: Tensor) -> Tensor:
        """x: (N, C, *size) -> (N, C, *size)."""
        b = self.backend
        shape = self.output_shape(b.shape(x))
        axes = (0, *range(2, len(shape)))
        training = self.training  # read once: another thread may call `train()` or `eval()`
        weight, bias = (None if p is None else self._wide(p.data, shape) for p in (self.weight, self.bias))
        if training or self.running_mean is None or self.running_var is None:
            if training and count(shape, axes) < 2:
                raise ShapeError(f"expected more than one value per channel in training, got {tuple(shape)}")
            y, mean, inverse = b.normalize(x, weight, bias, axis=axes, epsilon=self.eps)
            if training:  # last: a pass that fails changes nothing
                self._track(mean, inverse, count(shape, axes))
            self.keep(x, mean, inverse)
            return y
        variance = self._wide(self._like(self.running_var.data, x), shape)
        inverse = b.divide(1.0, b.sqrt(b.add(variance, self.eps)))
        x_hat = b.subtract(x, self._wide(self._like(self.running_mean.data, x), shape))
        x_hat = b.multiply(x_hat, inverse, out=x_hat)
        y = x_hat if weight is None else b.multiply(x_hat, weight)
        self.keep(x_hat, None, inverse)
        return y if bias is None else b.add(y, bias, out=y)

    @override
    def backward(self, grad_output: Tensor) -> Tensor | None:
        """dL/dβ = Σ g, dL/dγ = Σ g x̂, dL/dx = γ s (g - dL/dβ / m - x̂ dL/dγ / m), s = 1 / √(var + ε).

        The sums run over the m samples and places. With running statistics dL/dx = γ s g.
        """
        b = self.backend
        x, mean, inverse = self.kept()
        shape = b.shape(x)
        self.check_gradient(grad_output, shape)
        if mean is None:
            return self._evaluated_grad(grad_output, x, inverse)
        dx, *of_affine = b.normalize_grad(
            grad_output,
            x,
            mean,
            inverse,
            None if self.weight is None else self._wide(self.weight.data, shape),
            axis=(0, *range(2, len(shape))),
            input_gradient=self.input_gradient,
        )
        for parameter, gradient in zip((self.weight, self.bias), of_affine, strict=True):
            if parameter is not None and gradient is not None:
                parameter.accumulate(b.reshape(gradient, (self.num_features,)))
        return dx

    def _evaluated_grad(self, grad: Tensor, x_hat: Tensor, inverse: Tensor) -> Tensor | None:
        b, shape = self.backend, self.backend.shape(x_hat)
        axes, factor = (0, *range(2, len(shape))), inverse
        if self.bias is not None:
            self.bias.accumulate(b.sum(grad, axis=axes))
        if self.weight is not None:
            self.weight.accumulate(b.sum(b.multiply(grad, x_hat), axis=axes))
            factor = b.multiply(inverse, self._wide(self.weight.data, shape))
        return b.multiply(grad, factor) if self.input_gradient else None

    def _track(self, mean: Tensor, inverse: Tensor, m: int) -> None:
        """Update the running statistics by those of a batch with m values per channel."""
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        b = self.backend
        batches = b.add(self.num_batches_tracked.data, 1)
        self.num_batches_tracked.set(batches)
        # Of a variance near 0, which counts for nothing beside ε, rounding may leave a little less.
        variance = b.subtract(b.divide(1.0, b.square(inverse)), self.eps)
        variance = b.maximum(variance, 0.0)
        if not self.biased_running_variance:
            variance = b.multiply(variance, m / (m - 1))
        for running, value in ((self.running_mean, mean), (self.running_var, variance)):
            dtype = b.dtype(running.data)
            new = b.astype(b.reshape(value, (self.num_features,)), dtype)
            change = b.subtract(new, running.data)
            if self.momentum is None:
                running.set(b.add(running.data, b.divide(change, b.astype(batches, dtype))))
            else:
                weight = self.momentum if self.momentum_of == "new" else 1.0 - self.momentum
                running.set(b.add_scaled(running.data, change, weight))

    def _like(self, values: Tensor, x: Tensor) -> Tensor:
        b = self.backend
        return values if b.dtype(values) == b.dtype(x) else b.astype(values, b.dtype(x))

    def _wide(self, values: Tensor, shape: Shape) -> Tensor:
        """(C,) -> (1, C, 1, ...)."""
        return self.backend.reshape(values, (1, self.num_features, *(1,) * (len(shape) - 2)))

    @override
    def output_shape(self, shape: Shape) -> Shape:
        fits = any(len(shape) == 2 + size.count(",") for size in self.sizes)
        if not fits or shape[1] != self.num_features:
            expected = " or ".join(f"(N, {self.num_features}{size})" for size in self.sizes)
            raise self.misfit(expected, shape)
        return shape

    @override
    def extra_repr(self) -> str:
        shown = [str(self.num_features)]
        for name, value, default in (
            ("eps", self.eps, 1e-5),
            ("momentum", self.momentum, 0.1),
            ("affine", self.weight is not None, True),
            ("bias", self.bias is not None, self.weight is not None),
            ("track_running_stats", self.running_mean is not None, True),
            ("momentum_of", self.momentum_of, "new"),
            ("biased_running_variance", self.biased_running_variance, False),
        ):
            if value != default:
                shown.append(f"{name}={value!r}")
        return ", ".join(shown)


class BatchNorm1d(BatchNorm):
    """Batch normalisation over (N, C) or (N, C, L)."""

    sizes = ("", ", L")


class BatchNorm2d(BatchNorm):
    """Batch normalisation over (N, C, H, W)."""

    sizes = (", H, W",)


class BatchNorm3d(BatchNorm):
    """Batch normalisation over (N, C, D, H, W)."""

    sizes = (", D, H, W",)
