"""L2 regularisation (Jin et al., section III): a penalty on large weights."""

from __future__ import annotations

from collections.abc import Iterable

from ...backends import OptionError, Tensor
from ...backends.options import number, shown
from ..parameter import Parameter


class L2Penalty:
    """λ/2 Σ w², added to the loss.

    Its effect equals an optimizer's `weight_decay=λ`, not AdamW's decoupled decay.

    Parameters
    ----------
    parameters
        The penalised parameters: all of a model, or its weights alone.
    coefficient
        λ.

    """

    def __init__(self, parameters: Iterable[Parameter], coefficient: float) -> None:
        self.coefficient = number("L2Penalty", "coefficient", coefficient, least=0)
        self.parameters = list(parameters) if isinstance(parameters, Iterable) else []
        if not self.parameters or not all(isinstance(p, Parameter) for p in self.parameters):
            raise OptionError(
                f"L2Penalty: expected parameters, as model.parameters() gives them, got {shown(parameters)}"
            )

    def __repr__(self) -> str:
        return f"L2Penalty(coefficient={self.coefficient})"

    def __call__(self) -> Tensor:
        """Return λ/2 Σ w², 0-d."""
        b = self.parameters[0].backend
        if self.coefficient == 0.0:  # times infinity, it would be NaN
            return b.full((), 0.0, dtype=b.dtype(self.parameters[0].data))
        squares = [b.sum(b.square(parameter.data)) for parameter in self.parameters]
        total = squares[0]
        for square in squares[1:]:
            total = b.add(total, square)
        return b.multiply(total, 0.5 * self.coefficient)

    def backward(self) -> None:
        """dL/dw = λ w, accumulated into each parameter's gradient."""
        for parameter in self.parameters if self.coefficient else ():
            parameter.accumulate(parameter.backend.multiply(parameter.data, self.coefficient))
