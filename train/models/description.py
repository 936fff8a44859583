"""What every description of a model has: enough to build it, here or from a saved file."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Protocol

from ...backends import Backend, OptionError, ShapeError
from ...layers import Sequential
from .names import INITIALIZERS, OUTPUTS, check_name


class Description(Protocol):
    """A model that can be built: its kind, what goes in, what comes out."""

    @property
    def kind(self) -> str:
        """The name under which a saved file knows it."""

    @property
    def input_shape(self) -> tuple[int, ...]:
        """One sample's, without the batch axis."""

    @property
    def outputs(self) -> int:
        """The size of the output (N, outputs)."""

    @property
    def output(self) -> str:
        """A name in `OUTPUTS` after the last layer; "" for nothing."""

    def build(self, backend: str | Backend | None = None) -> Sequential:
        """Return the network, with new weights."""

    def to_dict(self) -> dict[str, Any]:
        """Return what `model_from_dict` takes."""


@dataclass(frozen=True)
class ImageModel:
    """Base of the models for images.

    Parameters
    ----------
    input_shape
        One image's: (C, H, W).
    outputs
        The size of the output.
    output
        A name in `OUTPUTS` after the last layer; "" for nothing.
    initializer
        What the weights hold at first; biases are torch's default, or as the weights under "uniform".

    Raises
    ------
    ShapeError
        If the samples are no images, or smaller than the model's `smallest`.
    OptionError
        For a name that is not known, or sizes below 1.

    """

    input_shape: tuple[int, ...]
    outputs: int
    output: str = ""
    initializer: str = "torch"
    kind: str = field(default="", init=False)

    smallest: ClassVar[int] = 1
    """The least height and width that leave something for the last layer."""

    def __post_init__(self) -> None:
        if self.output:
            check_name("output", self.output, OUTPUTS)
        check_name("initializer", self.initializer, INITIALIZERS)
        shape = tuple(self.input_shape)
        if len(shape) != 3 or min(shape) < 1 or min(shape[1:]) < self.smallest:
            least = f" of at least {self.smallest} x {self.smallest}" if self.smallest > 1 else ""
            raise ShapeError(f"{self.kind} takes images (C, H, W){least}, got samples {shape}")
        if self.outputs < 1:
            raise OptionError(f"{self.kind}: outputs must be at least 1, got {self.outputs}")

    def to_dict(self) -> dict[str, Any]:
        """Return what `model_from_dict` takes."""
        return asdict(self)
