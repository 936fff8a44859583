"""x̂ = (x - mean) / √(var + ε) over some axes, and its gradient, shared by every normalisation."""

from __future__ import annotations

from ...backends import Backend, Tensor


def moments(b: Backend, x: Tensor, axes: tuple[int, ...]) -> tuple[Tensor, Tensor, Tensor]:
    """Return (x - mean, mean, biased variance), the last two with extent 1 along axes.

    Two passes: E[x²] - E[x]² cancels if the mean is large.
    """
    centred, mean = b.centre(x, axis=axes)
    return centred, mean, b.mean(b.square(centred), axis=axes, keepdims=True)


def inverse_deviation(b: Backend, variance: Tensor, epsilon: float) -> Tensor:
    """Return 1 / √(var + ε)."""
    return b.divide(1.0, b.sqrt(b.add(variance, epsilon)))


def standardize_grad(
    b: Backend, grad: Tensor, x_hat: Tensor, mean_grad: Tensor, mean_product: Tensor, factor: Tensor
) -> Tensor:
    """Return factor (g - mean(g) - x̂ mean(g x̂)), the gradient of x; g is that of x̂ up to the factor.

    With s = 1 / √(var + ε): dx̂ᵢ/dxⱼ = s (δᵢⱼ - 1/m - x̂ᵢ x̂ⱼ / m), contracted with g.
    """
    along = b.multiply(x_hat, mean_product)
    rest = b.subtract(grad, along, out=along)
    rest = b.subtract(rest, mean_grad, out=rest)
    return b.multiply(rest, factor, out=rest)


def normalized_grad(
    b: Backend, grad: Tensor, x_hat: Tensor, axes: tuple[int, ...], inverse: Tensor
) -> Tensor:
    """Return the gradient of x from that of x̂."""
    mean_product = b.mean(b.multiply(grad, x_hat), axis=axes, keepdims=True)
    mean_grad = b.mean(grad, axis=axes, keepdims=True)
    return standardize_grad(b, grad, x_hat, mean_grad, mean_product, inverse)
