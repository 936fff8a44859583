"""Rows for dropout, embeddings and residual blocks."""

from __future__ import annotations

from typing import Any

from ....backends import Backend, Tensor
from ... import (
    BatchNorm2d,
    Conv2d,
    Dropout,
    Dropout2d,
    Embedding,
    Linear,
    Module,
    ReLU,
    Residual,
    Sequential,
    Tanh,
)
from ..case import LayerCase
from .twins import EDGES, torch_twin


def _with_one_mask(kind: type[Dropout], p: float, b: Backend) -> Dropout:
    """Return a dropout with one mask for every forward pass, as finite differences need."""

    class OneMask(kind):  # type: ignore[misc, valid-type]
        def forward(self, x: Tensor) -> Any:
            self.step = 0
            return super().forward(x)

    OneMask.__name__ = kind.__name__
    return OneMask(p, backend=b)


def _block(b: Backend) -> Module:
    return Residual(Linear(3, 4, backend=b), Tanh(backend=b), Linear(4, 3, backend=b))


def _torch_block() -> Any:
    from torch import nn

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 3))

        def forward(self, x: Any) -> Any:
            return self.body(x) + x

    return Block()


def _resnet(b: Backend) -> Module:
    """Return two blocks of a ResNet, the second with a projection."""
    return Sequential(
        Conv2d(1, 2, 1, backend=b),
        Residual(Conv2d(2, 2, 3, padding=1, bias=False, backend=b), ReLU(backend=b)),
        Residual(
            Conv2d(2, 3, 3, stride=2, padding=1, backend=b),
            BatchNorm2d(3, backend=b),
            ReLU(backend=b),
            shortcut=Conv2d(2, 3, 1, stride=2, backend=b),
        ),
    )


REGULARIZATION_CASES: tuple[LayerCase, ...] = (
    LayerCase(
        "Dropout in evaluation",
        lambda b: Dropout(backend=b).eval(),
        (3, 4),
        lambda: torch_twin("Dropout")().eval(),
        special=EDGES,
    ),
    LayerCase("Dropout of nothing", lambda b: Dropout(0.0, backend=b), (3, 4), torch_twin("Dropout", 0.0)),
    LayerCase("Dropout of everything", lambda b: Dropout(1.0, backend=b), (3, 4), torch_twin("Dropout", 1.0)),
    LayerCase("Dropout with one mask", lambda b: _with_one_mask(Dropout, 0.4, b), (4, 5)),
    LayerCase("Dropout2d with one mask", lambda b: _with_one_mask(Dropout2d, 0.4, b), (3, 4, 2, 2)),
    LayerCase(
        "Dropout2d in evaluation",
        lambda b: Dropout2d(backend=b).eval(),
        (2, 2, 2, 2),
        lambda: torch_twin("Dropout2d")().eval(),
    ),
    LayerCase(
        "Embedding", lambda b: Embedding(6, 3, backend=b), (4,), torch_twin("Embedding", 6, 3), integers=6
    ),
    LayerCase(
        "Embedding of a table, with padding",
        lambda b: Embedding(5, 2, padding_idx=-2, backend=b),
        (3, 4),
        torch_twin("Embedding", 5, 2, padding_idx=-2),
        integers=5,
        whole_derivative=False,
    ),
    LayerCase("Residual", _block, (4, 3), _torch_block),
    LayerCase("Sequential of Residual", _resnet, (2, 1, 4, 3), batch_statistics=True),
)
"""Dropout, embeddings and residual blocks, in every mode."""
