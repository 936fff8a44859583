"""matplotlib's import, and text that its fonts can draw: names in Japanese need a font that has them."""

from __future__ import annotations

import contextlib
import functools
import os
import sys
from collections.abc import Sequence
from typing import Any

DEFAULT = "DejaVu Sans"
"""Comes with matplotlib."""
OTHERS = (
    *("Noto Sans CJK JP", "Noto Sans JP", "IPAexGothic", "IPAGothic", "TakaoGothic", "VL Gothic"),
    *("Hiragino Sans", "Yu Gothic", "Meiryo", "MS Gothic", "Noto Sans CJK SC", "PingFang SC"),
    *("Microsoft YaHei", "SimHei", "WenQuanYi Zen Hei", "WenQuanYi Micro Hei", "Malgun Gothic"),
    *("Apple SD Gothic Neo", "NanumGothic", "Noto Sans Devanagari", "Noto Sans Thai", "Arial Unicode MS"),
    *("Droid Sans Fallback", "Unifont"),
)
"""Fonts of common systems, for scripts that the default lacks."""


def import_matplotlib() -> Any:
    """Import matplotlib, even if MPLBACKEND names a backend that it does not know: Lamina opens no window."""
    name = None if "matplotlib" in sys.modules else os.environ.pop("MPLBACKEND", None)
    try:
        import matplotlib
    finally:
        if name is not None:
            os.environ["MPLBACKEND"] = name
    if name:
        with contextlib.suppress(ValueError):
            matplotlib.rcParams["backend"] = name  # as the import would have done
    return matplotlib


def families(preferred: Sequence[str] = (DEFAULT,)) -> list[str]:
    """Return font families: the preferred ones, and the installed ones of `OTHERS`."""
    from matplotlib.font_manager import fontManager

    installed = {font.name for font in fontManager.ttflist}
    return [*preferred, *(name for name in OTHERS if name in installed and name not in preferred)]


def drawable(text: str, preferred: Sequence[str] = (DEFAULT,)) -> str:
    """Return text in which each character that no font has is written as its code, such as \\u65e5."""
    if text.isascii() and text.isprintable():
        return text
    known = [_has(character, tuple(preferred)) for character in text]
    return "".join(c if here else _code(c) for c, here in zip(text, known, strict=True))


def _code(character: str) -> str:
    # A surrogate stands for a byte of a file's name that is not UTF-8.
    return character.encode("ascii", "backslashreplace").decode()


@functools.lru_cache(4096)
def _has(character: str, preferred: tuple[str, ...]) -> bool:
    import_matplotlib()
    from matplotlib.font_manager import FontProperties, findfont, get_font

    if not character.isprintable():
        return character == "\n"
    paths = [findfont(FontProperties(family=[name])) for name in families(preferred)]
    return any(get_font(path).get_char_index(ord(character)) for path in paths)
