"""The `.npz` file of a divergence: a call of an op and its results on two backends."""

from __future__ import annotations

import io
import itertools
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...archive import Archive
from ...errors import DataError, LaminaError
from ...host import Host
from ...ops import OPS
from ...windows import Window
from ...written import move
from .call import Call

_FORMAT = "lamina repro 1"
_TEXTS = ("layer", "primary", "reference", "dtype", "said")


@dataclass(frozen=True)
class Repro:
    """The content of a file: a call, its origin, and both results."""

    call: Call
    about: dict[str, Any]
    """"layer", "primary", "reference", "dtype", "mode", and "said": the message about the difference."""
    primary: list[Host]
    reference: list[Host]


def save(folder: Path, repro: Repro) -> Path:
    """Write a new file into the folder, completely or not at all, and return its path.

    Raises
    ------
    OSError
        If the file cannot be written.

    """
    arrays: dict[str, Host] = {}
    call = repro.call
    about = repro.about | {
        "format": _FORMAT,
        "op": call.op.name,
        "args": [_encoded(value, arrays) for value in call.args],
        "kwargs": {name: _encoded(value, arrays) for name, value in call.kwargs.items()},
        "out": call.out,
    }
    for side, values in (("primary", repro.primary), ("reference", repro.reference)):
        arrays |= {f"{side}.{i}": value for i, value in enumerate(values)}
    data = io.BytesIO()
    write: Any = np.savez  # typed: the stubs take **arrays for its options
    write(data, about=np.array(json.dumps(about)), **arrays)
    temporary = folder / f".lamina-{secrets.token_hex(8)}.tmp"
    try:
        temporary.write_bytes(data.getbuffer())
        names = (f"crosscheck-{call.op.name}-{i}.npz" for i in itertools.count(1))
        path = next(path for name in names if not (path := folder / name).exists())
        move(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def load(path: str | os.PathLike[str]) -> Repro:
    """Read a file that `save` wrote.

    Raises
    ------
    DataError
        If it is missing, damaged, or another file.

    """
    what = f"Repro file '{os.fspath(path)}'"
    try:
        with Path(path).open("rb") as stream, Archive(stream) as file:
            arrays = {name: file.read(name) for name in file.names}
        about = json.loads(str(arrays.pop("about")))
        if about["format"] != _FORMAT:
            raise DataError(f"{what}: expected format '{_FORMAT}', got '{about['format']}'.")
        args = [_decoded(value, arrays) for value in about.pop("args")]
        kwargs = {name: _decoded(value, arrays) for name, value in about.pop("kwargs").items()}
        call = Call(OPS[about["op"]], args, kwargs, about.pop("out"))
        call.op.map_arguments(call.inputs.append, args, kwargs)
        wrong = [name for name in _TEXTS if not isinstance(about[name], str)]
        if wrong:
            raise DataError(f"{what}: expected {wrong[0]} to be text, got {about[wrong[0]]!r:.80}.")
    except MemoryError:
        raise
    except OSError as error:
        raise DataError(f"{what} cannot be read: {error.strerror or error}.") from error
    except Exception as error:  # json and the constructors raise many kinds on damaged values
        if isinstance(error, DataError) and str(error).startswith(what):
            raise
        why = f": {error}" if isinstance(error, LaminaError) else ""
        raise DataError(
            f"{what}: expected a file of crosscheck, got one that is damaged, or not written by "
            f"crosscheck{why}"
        ) from error
    sides = (
        [v for name, v in arrays.items() if name.startswith(side)] for side in ("primary.", "reference.")
    )
    return Repro(call, about, *sides)


def _encoded(value: Any, arrays: dict[str, Host]) -> Any:
    if isinstance(value, np.ndarray):
        arrays[f"argument.{len(arrays)}"] = value
        return {"array": f"argument.{len(arrays) - 1}"}
    if isinstance(value, (tuple, list)):
        return [_encoded(v, arrays) for v in value]
    if isinstance(value, Window):
        return {"window": [value.size, value.kernel_size, value.stride, value.padding, value.dilation]}
    if isinstance(value, Mapping):
        return {"mapping": {str(k): _encoded(v, arrays) for k, v in value.items()}}
    return value.item() if isinstance(value, np.generic) else value


def _decoded(value: Any, arrays: dict[str, Host]) -> Any:
    if isinstance(value, list):
        return tuple(_decoded(v, arrays) for v in value)
    if isinstance(value, dict):
        if "array" in value:
            return arrays[value["array"]]
        if "window" in value:
            return Window.of(*_decoded(value["window"], arrays))
        return {k: _decoded(v, arrays) for k, v in value["mapping"].items()}
    return value
