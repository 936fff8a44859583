"""`Description`: all that is needed to build a model, also from a saved file."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Protocol

from ...backends import Backend, OptionError, ShapeError
from ...backends.options import choice, integer, shown
from ...layers import Sequential
from .names import INITIALIZERS, OUTPUTS

LARGEST = 2**31 - 1
"""The largest size of an axis or a layer."""


def sizes(owner: str, option: str, value: Any) -> tuple[int, ...]:
    """Return sizes as a tuple of ints; OptionError unless each is an integer from 1 to `LARGEST`."""
    if not isinstance(value, (tuple, list)):
        raise OptionError(f"{owner}: expected {option} to be a tuple of integers, got {shown(value)}")
    return tuple(integer(owner, f"{option}[{i}]", n, most=LARGEST) for i, n in enumerate(value))


class Description(Protocol):
    """A model to build: its kind, its inputs and its outputs."""

    @property
    def kind(self) -> str:
        """Its name in saved files."""

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one sample."""

    @property
    def outputs(self) -> int:
        """The size of the output (N, outputs)."""

    @property
    def output(self) -> str:
        """A name in `OUTPUTS`, the activation after the last layer; "" for none."""

    def build(self, backend: str | Backend | None = None) -> Sequential:
        """Return the network, with new weights."""

    def to_dict(self) -> dict[str, Any]:
        """Return a dict for `model_from_dict`."""


@dataclass(frozen=True)
class ImageModel:
    """Base of the models for images.

    Parameters
    ----------
    input_shape
        The shape (C, H, W) of one image.
    outputs
        The size of the output.
    output
        A name in `OUTPUTS`, the activation after the last layer; "" for none.
    initializer
        A name in `INITIALIZERS`; biases have torch's default, or that of the weights if it is "uniform".

    Raises
    ------
    ShapeError
        If the samples are not images of at least `smallest` x `smallest`.
    OptionError
        If a name is unknown or `outputs` below 1.

    """

    input_shape: tuple[int, ...]
    outputs: int
    output: str = ""
    initializer: str = "torch"
    kind: str = field(default="", init=False)

    smallest: ClassVar[int] = 1
    """The least height and width of an image."""

    def __post_init__(self) -> None:
        if not isinstance(self.output, str) or self.output:
            choice(self.kind, "output", self.output, OUTPUTS)
        choice(self.kind, "initializer", self.initializer, INITIALIZERS)
        try:
            shape = sizes(self.kind, "input_shape", self.input_shape)
        except OptionError:
            shape = ()
        if len(shape) != 3 or min(shape[1:]) < self.smallest:
            least = f" of at least {self.smallest} x {self.smallest}" if self.smallest > 1 else ""
            raise ShapeError(
                f"{self.kind}: expected images (C, H, W){least}, got samples {shown(self.input_shape)}"
            )
        object.__setattr__(self, "input_shape", shape)
        object.__setattr__(self, "outputs", integer(self.kind, "outputs", self.outputs, most=LARGEST))

    def to_dict(self) -> dict[str, Any]:
        """Return a dict for `model_from_dict`."""
        return asdict(self)
