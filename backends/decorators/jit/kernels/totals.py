"""`Totals`: long sums whose terms are sums themselves, in the workspace."""

from __future__ import annotations

from ..ir import INDEX, Code, Value
from ..sizes import LONGEST
from .loops import elementwise
from .rows import zeros
from .span import Array


class Totals:
    """Totals that are added to others before they have too many terms."""

    def __init__(self, code: Code, element: str, count: int, totals: Value, others: Value) -> None:
        self.code, self.element, self.count = code, element, count
        self.totals, self.others = totals, others
        self.terms = code.cell(INDEX)
        code.store(code.number(INDEX, 0), self.terms)
        zeros(code, element, count, others)

    def added(self) -> None:
        """Count a term, and move the totals after LONGEST of them."""
        code = self.code
        terms = code.sum([(code.load(self.terms, INDEX), 1), (1, 1)])
        code.store(terms, self.terms)
        with code.when(code.compare("eq", terms, code.number(INDEX, LONGEST))):
            self.move()

    def move(self) -> None:
        """Add the totals to the others, and begin again at 0."""
        code = self.code
        here, there = (Array(p, self.element, (1,)) for p in (self.totals, self.others))
        elementwise(
            code,
            (self.count,),
            [here, there],
            [here, there],
            lambda code, x, y: [code.number(x.type, 0.0), code.add(x, y)],
        )
        code.store(code.number(INDEX, 0), self.terms)

    def back(self) -> None:
        """Move all to the totals, at the end."""
        code = self.code
        here, there = (Array(p, self.element, (1,)) for p in (self.totals, self.others))
        elementwise(code, (self.count,), [here, there], [here], Code.add)
