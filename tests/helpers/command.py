"""The command line in this process. typer's own runner builds the commands anew for each line, 23 ms."""

from __future__ import annotations

import contextlib
import functools
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from typer.main import get_command

from lamina.train.cli import app, load


@dataclass
class Result:
    """What a command line left."""

    exit_code: int
    stdout: str
    stderr: str
    json: Any = None
    """The object that --json printed."""

    @property
    def output(self) -> str:
        return self.stdout + self.stderr


@functools.cache
def commands() -> Any:
    """Return the group of all commands."""
    load()
    return get_command(app)


def run(words: Sequence[str]) -> Result:
    """Run a command line; a defect raises."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            commands().main(args=list(words), prog_name="lamina")
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
    return Result(code, out.getvalue(), err.getvalue())
