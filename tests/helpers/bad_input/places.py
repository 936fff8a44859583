"""Bad input of the command line: data that have changed, and places that cannot be written."""

from __future__ import annotations

import contextlib
import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

from lamina.backends import LaminaError
from lamina.train.files import OutputError

from . import Bad, Place
from .lines import bad_line, refused
from .values import ESCAPES, LONG


def _changed(content: str, *says: str) -> Bad:
    """Return the row of a model's data set whose file has changed since the training."""

    def call(place: Place) -> None:
        @contextlib.contextmanager
        def changed() -> Iterator[None]:
            Path("words.csv").write_text(content)
            place.watch(place.path)
            yield

        refused(place, ["predict", "run", "words.csv", "--test-set"], LaminaError, changed())

    return Bad("predict --test-set", f"a file that is now {content[:9]!r}", call, says, once=True)


CHANGED = (
    _changed(
        "a,bb,c,answer\n" + "1,2,3,yes\n4,5,6,no\n" * 9, "the columns of the training, a, b, c", "a, bb, c"
    ),
    _changed(
        "c,b,a,answer\n" + "1,2,3,yes\n4,5,6,no\n" * 9, "the columns of the training, a, b, c", "c, b, a"
    ),
    _changed("a,b,answer\n" + "1,2,yes\n4,5,no\n" * 9, "the columns of the training, a, b, c", "got a, b:"),
    _changed("", "expected rows", "an empty file"),
    _changed("a,b,c,answer\n", "expected rows of data", "a header alone"),
)

# -- places to write -----------------------------------------------------------------------------

CLOSED = PermissionError(13, "Permission denied")


def _closed(words: list[str], *says: str) -> Bad:
    """Return the row of a folder that may not be written: root may write all."""

    @contextlib.contextmanager
    def closed() -> Iterator[None]:
        with (
            mock.patch.object(Path, "mkdir", side_effect=CLOSED),
            mock.patch.object(os, "access", return_value=False),
        ):
            yield

    def call(place: Place) -> None:
        refused(place, words, OutputError, closed())

    return Bad(f"{words[0]} --out", "a closed folder", call, says, once=True)


OUT = (
    bad_line("train disc --out words.csv", "--out: expected a folder", "the existing file 'words.csv'"),
    bad_line("train disc --out words.csv/x", "--out: cannot write the folder 'words.csv/x': Not a directory",
        form=OutputError),
    bad_line("train disc --out idx", "--out: expected an empty or new folder", "'idx', which is not empty"),
    bad_line(["train", "disc", f"--out={LONG}"], "--out: cannot write the folder ", "File name too long",
        form=OutputError),
    bad_line(["train", "disc", "--out="], "--out: expected"),
    _closed(["train", "disc", "--out=new"], "Permission denied"),
    bad_line("profile words.csv --out idx", "--out: expected an empty or new folder",
        "'idx', which is not empty"),
    bad_line(["profile", "disc", f"--out={LONG}"], "File name too long", form=OutputError),
    _closed(["profile", "disc", "--out=new"], "Permission denied"),
    *(
        bad_line([*line, f"--out={out}"], *says, form=form)
        for line, end in ((["graph", "disc"], "svg"), (["export", "run"], "onnx"),
            (["predict", "run", "features.csv"], "csv"))
        for out, says, form in (
            (f"no/x.{end}", (f"Cannot write 'x.{end}' in folder ", "the folder does not exist"), OutputError),
            (f"words.csv/x.{end}", (f"x.{end}",), OutputError),
            (f"{LONG}.{end}", ("cannot be written: File name too long",), OutputError),
        )
        if not (end == "onnx" and not importlib.util.find_spec("onnx"))
    ),
    bad_line("graph digits --model lenet", "--model: lenet: expected images", "(1, 8, 8)"),
    bad_line("graph disc --step --backend strict+numpy", "--step: expected a stack that autodiff can begin",
        "'strict+numpy'"),
    _closed(["graph", "disc", "--out=x.svg"], "Permission denied"),
    _closed(["predict", "run", "features.csv", "--out=x.csv"], "Permission denied"),
    bad_line("graph disc --out words.csv --to png", "--out: expected a new file",
        "'words.csv', which exists; add --force"),
    bad_line("graph disc --out net.jpg", "--out: expected a file that ends in one of .png, .svg, ",
        "'net.jpg'"),
    bad_line("graph disc --to jpg", "--to: expected one of png, svg, pdf, dot", "'jpg'"),
    bad_line(["graph", "disc", "--to="], "--to: expected one of png, svg, pdf, dot", "''"),
    bad_line(["graph", "disc", f"--to={ESCAPES}"], "--to: expected one of png", r"\x1b"),
    bad_line("graph disc --to svg --out net.png", "--to: expected png, as --out ends", "'svg'"),
    bad_line("graph disc --out idx --to png --force", "Cannot write 'idx'", "that is a folder",
        form=OutputError),
    bad_line("export run --out x.onxx", "--out: expected a file that ends in .onnx", "'x.onxx'"),
    bad_line("predict run features.csv --out words.csv", "--out: expected a new file",
        "'words.csv', which exists"),
    bad_line("predict run features.csv --out idx --force", "that is a folder", form=OutputError),
    bad_line(["reproduce", "jin", f"--out={LONG}"], "File name too long", form=OutputError),
)  # fmt: skip
