"""`Parts`: calls kernels, the large ones in parts; and what decides which are large."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ....meta import Meta
from ..ir import Code, Value
from ..parts import in_parts, parts_of
from ..sizes import aligned

MOVE = 4
"""The operations that take as long as to read or write an element of a large tensor."""


def moved(*metas: Meta) -> int:
    """Return the operations that take as long as to read or write each element of some tensors."""
    return MOVE * sum(meta.size for meta in metas)


class Parts:
    """Writes kernels into a function, and notes what their parts need.

    Parameters
    ----------
    code
        The code of the function.
    team
        The address of the team's memory.
    workspace
        Returns the address of memory of so many bytes that one kernel at a time may use.

    """

    def __init__(self, code: Code, team: Value, workspace: Callable[[int], Value]) -> None:
        self.code, self.team, self.workspace = code, team, workspace
        self.operations = 0
        """The operations of all kernels that have parts."""
        self.own = 0
        """The bytes that each helper needs for itself."""

    def kernel(
        self,
        operands: Sequence[Value],
        write: Callable[..., None],
        *,
        work: int = 0,
        units: int = 1,
        space: int = 0,
    ) -> None:
        """Call write(code, *operands, [space]) as a kernel, in parts if it is large.

        Parameters
        ----------
        work
            Its operations.
        units
            Into how many pieces its shared loops can be cut; 1 if `write` shares none.
        space
            The bytes of memory that it needs while it runs. In parts, each helper has its own.

        """
        parts = parts_of(work, units)
        if parts == 1:
            self.code.kernel([*operands, *([self.workspace(space)] if space else [])], write)
            return

        def part(code: Code, *found: Value) -> None:
            write(code, *(found if space else found[:-1]))

        self.operations += work
        self.own = max(self.own, aligned(space) if space else 0)
        own = self.workspace(space) if space else self.team
        in_parts(self.code, self.team, operands, part, parts, own)
