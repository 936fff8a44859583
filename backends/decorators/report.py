"""The report of `profile`: rows by layer, pass and op, their sums, and tables."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from typing_extensions import override

from ..notebook import Shown, table

_NUMBERS = ("calls", "time", "share", "FLOPs", "FLOP/s", "bytes", "new", "peak")
_OUTSIDE = "(no layer)"


@dataclass
class Row:
    """The cost of one op in one pass of one layer; a sum has "" for the fields that it sums over.

    `seconds` is time in the ops. `new` counts results with storage of their own, `allocated` its bytes.
    `peak` is the most bytes of live tensors after any of the calls, whichever op made them.
    """

    layer: str = ""
    backward: bool = False
    op: str = ""
    calls: int = 0
    seconds: float = 0.0
    flops: int = 0
    bytes: int = 0
    new: int = 0
    allocated: int = 0
    peak: int = 0

    def copy(self) -> Row:
        """Return a copy."""
        return replace(self)

    def clear(self) -> None:
        """Set all counts to 0."""
        self.calls = self.flops = self.bytes = self.new = self.allocated = self.peak = 0
        self.seconds = 0.0

    def add(self, other: Row) -> None:
        """Add the counts of another row."""
        self.calls += other.calls
        self.seconds += other.seconds
        self.flops += other.flops
        self.bytes += other.bytes
        self.new += other.new
        self.allocated += other.allocated
        self.peak = max(self.peak, other.peak)

    @property
    def flops_per_second(self) -> float:
        """FLOPs per second in the ops; 0 if they took no time."""
        return self.flops / self.seconds if self.seconds else 0.0

    @property
    def intensity(self) -> float:
        """FLOPs per byte moved; 0 if no byte moved."""
        return self.flops / self.bytes if self.bytes else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return the row as a dict for JSON."""
        return asdict(self)


@dataclass(frozen=True, repr=False)
class Report(Shown):
    """The rows, in the order of the layers' first runs; `str()` gives the tables."""

    spec: str
    dtype: str
    rows: tuple[Row, ...]
    """One for each layer path ("" outside all layers), pass and op."""
    steps: tuple[Row, ...] = ()
    """One for all compiled steps of a name, which is its `op`; their ops are in `rows`, too."""

    @property
    def total(self) -> Row:
        """All rows in one."""
        return _summed(self.rows, lambda row: Row())[0] if self.rows else Row()

    def by_layer(self) -> tuple[Row, ...]:
        """Return a row for each layer and pass: forward, then backward; ops outside all layers last."""
        rows = _summed(self.rows, lambda row: Row(row.layer, row.backward))
        order = [*dict.fromkeys(row.layer for row in rows if row.layer), ""]
        return tuple(sorted(rows, key=lambda row: (order.index(row.layer), row.backward)))

    def by_op(self) -> tuple[Row, ...]:
        """Return a row for each op, the slowest first."""
        rows = _summed(self.rows, lambda row: Row(op=row.op))
        return tuple(sorted(rows, key=lambda row: -row.seconds))

    def layer_table(self, *, per: int = 1, kinds: Mapping[str, str] | None = None) -> Table:
        """Return `by_layer` as text.

        per: the number of steps; calls, times, FLOPs and bytes are divided by it. kinds: names of the layers'
        kinds, by path.
        """
        total, cells, before = self.total, [], None
        for row in self.by_layer():
            name = f"{row.layer} {(kinds or {}).get(row.layer, '')}".strip() or _OUTSIDE
            if row.backward:
                name = "  backward" if row.layer == before else f"{name} backward"
            cells.append((name, *_numbers(row, total, per)))
            before = row.layer
        return Table(("layer",), tuple(cells), ("total", *_numbers(total, total, per)))

    def op_table(self, *, per: int = 1) -> Table:
        """Return `by_op` as text."""
        total = self.total
        cells = tuple((row.op, *_numbers(row, total, per)) for row in self.by_op())
        return Table(("op",), cells, ("total", *_numbers(total, total, per)))

    def step_table(self) -> Table:
        """Return the compiled steps as text."""
        total = _summed(self.steps, lambda row: Row())[0]
        return Table(("step",), tuple((row.op, *_numbers(row, total, 1)) for row in self.steps))

    def __str__(self) -> str:
        if not self.rows:
            return f"{self.spec} {self.dtype}: nothing ran"
        return "\n\n".join([f"{self.spec} {self.dtype}", *map(str, self._tables())])

    @override
    def _repr_html_(self) -> str:
        if not self.rows:
            return super()._repr_html_()
        tables = "".join(one._repr_html_() for one in self._tables())
        return f"<p>{html.escape(f'{self.spec} {self.dtype}')}</p>{tables}"

    def _tables(self) -> list[Table]:
        return [self.layer_table(), self.op_table(), *([self.step_table()] if self.steps else [])]


@dataclass(frozen=True, repr=False)
class Table(Shown):
    """Rows of text: names, then numbers; `str()` aligns the columns."""

    names: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    total: tuple[str, ...] = ()
    numbers: tuple[str, ...] = _NUMBERS

    def __str__(self) -> str:
        lines = [(*self.names, *self.numbers), *self.rows, *([self.total] if self.total else [])]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        text = []
        for line in lines:
            cells = [
                cell.ljust(width) if i < len(self.names) else cell.rjust(width)
                for i, (cell, width) in enumerate(zip(line, widths, strict=True))
            ]
            text.append("  ".join(cells).rstrip())
        rule = "-" * max(map(len, text))
        return "\n".join(
            [text[0], rule, *text[1 : 1 + len(self.rows)], *([rule, text[-1]] if self.total else [])]
        )

    @override
    def _repr_html_(self) -> str:
        heads = (*self.names, *self.numbers)
        return table(heads, self.rows, names=len(self.names), total=self.total)


def si(value: float) -> str:
    """Return a number with three digits and a prefix: "12.3 G"."""
    return _scaled(value, 1000.0, ("", " k", " M", " G", " T", " P"))


def size(nbytes: float) -> str:
    """Return bytes in binary units: "12.3 MiB"."""
    return _scaled(nbytes, 1024.0, (" B", " KiB", " MiB", " GiB", " TiB"))


def duration(seconds: float) -> str:
    """Return a time in a suitable unit: "12.3 ms"."""
    return f"{_scaled(seconds * 1e6, 1000.0, (' µs', ' ms', ' s'))}"


def _scaled(value: float, base: float, units: tuple[str, ...]) -> str:
    index = 0
    while abs(value) >= 999.5 and index < len(units) - 1:
        value, index = value / base, index + 1
    digits = 0 if value == int(value) or value >= 99.95 else 1 if value >= 9.995 else 2
    return f"{value:.{digits}f}{units[index]}"


def _share(part: float) -> str:
    return f"{part:.1%}" if part < 0.0995 else f"{part:.0%}"


def _numbers(row: Row, total: Row, per: int) -> tuple[str, ...]:
    return (
        f"{row.calls / per:g}",
        duration(row.seconds / per),
        _share(row.seconds / total.seconds) if total.seconds else "",
        si(row.flops / per),
        si(row.flops_per_second) if row.flops else "",
        size(row.bytes / per),
        size(row.allocated / per),
        size(row.peak),
    )


def _summed(rows: Iterable[Row], group: Callable[[Row], Row]) -> list[Row]:
    """Sum the rows of each group, in the order of its first row; group: gives a row's empty sum."""
    sums: dict[tuple[str, bool, str], Row] = {}
    for row in rows:
        empty = group(row)
        sums.setdefault((empty.layer, empty.backward, empty.op), empty).add(row)
    return list(sums.values())
