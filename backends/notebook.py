"""How results show themselves as the last line of a notebook's cell or of a prompt."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence


class Shown:
    """A result whose repr is its text. A notebook shows the text too, unless a class has a table."""

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"


def table(
    heads: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    names: int = 1,
    total: Sequence[str] = (),
    caption: str = "",
) -> str:
    """Return an HTML table of texts, which are escaped; the columns after the first `names` are numbers."""
    parts = ["<table>"]
    if caption:
        parts.append(f"<caption>{html.escape(caption)}</caption>")
    parts.append(_row("th", heads, names))
    parts += [_row("td", row, names) for row in rows]
    if total:
        parts.append(_row("th", total, names))
    return "".join([*parts, "</table>"])


def _row(tag: str, cells: Sequence[str], names: int) -> str:
    sides = ["left" if i < names else "right" for i in range(len(cells))]
    return f"<tr>{''.join(map(_cell, [tag] * len(cells), cells, sides))}</tr>"


def _cell(tag: str, text: str, side: str) -> str:
    return f'<{tag} style="text-align: {side}">{html.escape(text)}</{tag}>'
