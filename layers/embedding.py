"""Embedding: one row of a table for each index."""

from __future__ import annotations

import math

from typing_extensions import override

from ..backends import Backend, DataError, DtypeError, Tensor
from ..backends.options import integer
from ..backends.protocol import Shape
from .initializers import Initializer, Normal
from .module import Module


class Embedding(Module):
    """y = W[x], a row of W (num_embeddings, embedding_dim) for each index.

    Parameters
    ----------
    num_embeddings, embedding_dim
        The extents of W.
    padding_idx
        The index of a row that starts as zeros and gets no gradient.
    weight_init
        Initializer of W; the standard normal distribution, as in torch, if None.
    backend
        The backend that computes; the current one if None.

    """

    refuses_values = True

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        *,
        weight_init: Initializer | None = None,
        backend: str | Backend | None = None,
    ) -> None:
        num_embeddings = integer("Embedding", "num_embeddings", num_embeddings)
        embedding_dim = integer("Embedding", "embedding_dim", embedding_dim)
        if padding_idx is not None:
            ends = {"least": -num_embeddings, "most": num_embeddings - 1}
            padding_idx = integer("Embedding", "padding_idx", padding_idx, **ends) % num_embeddings
        super().__init__(backend)
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        self.padding_idx = padding_idx
        self.validate = True
        """Whether `forward` checks the indices' range on a GPU, which waits for it; a CPU always does."""
        self.weight = self.parameter(
            (num_embeddings, embedding_dim), Normal() if weight_init is None else weight_init
        )
        if self.padding_idx is not None:
            b, rows = self.backend, self.backend.arange(0, num_embeddings)
            padding = b.reshape(b.equal(rows, self.padding_idx), (num_embeddings, 1))
            self.weight.set(b.where(padding, 0.0, self.weight.data))

    @override
    def forward(self, x: Tensor) -> Tensor:
        """x: (*) int64, from 0 to num_embeddings - 1 -> (*, embedding_dim)."""
        b = self.backend
        shape = b.shape(x)
        if b.dtype(x) != "int64":
            raise DtypeError(f"expected int64 indices, got {b.dtype(x)}")
        flat = b.reshape(x, (math.prod(shape),))
        if self.validate and b.device != "cpu":
            self._check_range(flat)
        try:
            rows = b.take(self.weight.data, flat, axis=0)
        except DataError:
            self._check_range(flat)  # says it in the words of the layer
            raise
        self.keep(flat, shape)
        return b.reshape(rows, (*shape, self.embedding_dim))

    def _check_range(self, flat: Tensor) -> None:
        b = self.backend
        if b.shape(flat) == (0,):
            return
        low, high = -b.item(b.max(b.negative(flat))), b.item(b.max(flat))
        if low < 0 or high >= self.num_embeddings:
            raise DataError(
                f"expected indices from 0 to {self.num_embeddings - 1}, got {low if low < 0 else high}"
            )

    @override
    def backward(self, grad_output: Tensor) -> None:
        """dL/dW[i] = Σ g over the places where x = i, 0 for padding_idx. Indices have no gradient."""
        b = self.backend
        flat, shape = self.kept()
        self.check_gradient(grad_output, (*shape, self.embedding_dim))
        g = b.reshape(grad_output, (math.prod(shape), self.embedding_dim))
        if self.padding_idx is not None:
            padding = b.reshape(b.equal(flat, self.padding_idx), (math.prod(shape), 1))
            g = b.where(padding, 0.0, g)
        zeros = b.full(self.weight.shape, 0.0, dtype=b.dtype(g))
        self.weight.accumulate(b.index_add(zeros, flat, g, axis=0, out=zeros))

    @override
    def output_shape(self, shape: Shape) -> Shape:
        return (*shape, self.embedding_dim)

    @override
    def extra_repr(self) -> str:
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}"
