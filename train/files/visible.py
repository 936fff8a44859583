"""`visible`: text from anywhere, safe to print."""

from __future__ import annotations

import re

# C0, C1, and those that change the direction of text or break lines.
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def visible(text: str, *, lines: bool = False) -> str:
    r"""Return text with control characters as their codes, such as \x1b; with `lines`, line breaks stay.

    An escape sequence in a file could move the cursor, change the title or hide a part of a line.
    """
    return _CONTROLS.sub(lambda found: _code(found.group(), lines), text)


def _code(character: str, lines: bool) -> str:
    return character if lines and character == "\n" else character.encode("unicode_escape").decode()
