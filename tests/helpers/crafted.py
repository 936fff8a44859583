"""Checkpoints that someone has crafted: with a right checksum, and something wrong."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from lamina.train.files.sealed import MOST_HEADER

BLANK = "0" * 64
Entries = dict[str, Any]


class Parts:
    """A checkpoint's file in parts that can be changed: header entries, description and bytes."""

    def __init__(self, data: bytes) -> None:
        length = int.from_bytes(data[:8], "little")
        self.entries: Entries = json.loads(data[8 : 8 + length])
        self.head: Any = json.loads(self.entries["__metadata__"]["lamina"])
        self.body = data[8 + length :]
        self.text: Callable[[str], str] = lambda text: text
        """Changes the header's text at last."""
        self.length: int | None = None
        """Another length than the header has."""

    @property
    def written(self) -> Any:
        return self.head["description"]

    @property
    def state(self) -> Any:
        return self.head["description"]["state"]

    def array(self, name: str) -> Any:
        """Return an array of the file, which shares no memory with it."""
        entry = self.entries[name]
        kind = {"F32": np.float32, "F64": np.float64, "I64": np.int64, "BOOL": np.bool_}[entry["dtype"]]
        first, last = entry["data_offsets"]
        return np.frombuffer(self.body[first:last], kind).reshape(entry["shape"]).copy()

    def replace(self, name: str, array: Any) -> None:
        """Put another array in the place of one, or add it."""
        kinds = {"float32": "F32", "float64": "F64", "int64": "I64", "bool": "BOOL"}
        arrays = {other: self.array(other) for other in self.entries if other != "__metadata__"}
        arrays[name] = array
        self.body, start = b"", 0
        for other, values in sorted(arrays.items()):
            self.entries[other] = {
                "dtype": kinds[values.dtype.name],
                "shape": list(values.shape),
                "data_offsets": [start, start + values.nbytes],
            }
            self.body += values.tobytes()
            start += values.nbytes

    def data(self) -> bytes:
        """Return the file, with its checksum."""
        if isinstance(self.head, dict):
            self.head["sha256"] = BLANK
        metadata = self.entries.get("__metadata__")
        if isinstance(metadata, dict) and "lamina" in metadata:
            metadata["lamina"] = json.dumps(self.head)
        header = self.text(json.dumps(self.entries)).encode()
        length = len(header) if self.length is None else self.length
        data = length.to_bytes(8, "little") + header + self.body
        digest = hashlib.sha256(data).hexdigest().encode()
        return data.replace(BLANK.encode(), digest, 1)


def entry(name: str, **changes: Any) -> Callable[[Parts], None]:
    return lambda parts: parts.entries[name].update(changes)


def renamed(new: str) -> Callable[[Parts], None]:
    def change(parts: Parts) -> None:
        parts.entries[new] = parts.entries.pop("model.0.weight")

    return change


def put(*path: Any) -> Callable[[Parts], None]:
    """Put the last argument at the place in the description that the others name."""

    def change(parts: Parts) -> None:
        place = parts.written
        for key in path[:-2]:
            place = place[key]
        place[path[-2]] = path[-1]

    return change


def array(name: str, make: Callable[[Any], Any]) -> Callable[[Parts], None]:
    return lambda parts: parts.replace(name, make(parts.array(name)))


def header(change: Callable[[str], str]) -> Callable[[Parts], None]:
    return lambda parts: setattr(parts, "text", change)


def length(value: int) -> Callable[[Parts], None]:
    return lambda parts: setattr(parts, "length", value)


def head(**changes: Any) -> Callable[[Parts], None]:
    return lambda parts: parts.head.update(changes)


def without(*path: str) -> Callable[[Parts], None]:
    def change(parts: Parts) -> None:
        place = parts.written
        for key in path[:-1]:
            place = place[key]
        del place[path[-1]]

    return change


def longer(name: str, extra: int) -> Callable[[Parts], None]:
    """Let an array end later, beyond the file or in the next one."""

    def change(parts: Parts) -> None:
        parts.entries[name]["data_offsets"][1] += extra

    return change


def twice(parts: Parts) -> None:
    """Name an array twice; both entries are right."""
    text = json.dumps(parts.entries["model.0.weight"])
    parts.text = lambda found: found[:-1] + f', "model.0.weight": {text}}}'


GROUP = ("state", "optimizer", "groups", 0)
POSITION = ("state", "position")
WEIGHT = "model.0.weight"
CRAFTED: dict[str, Callable[[Parts], None]] = {
    "a header of no bytes": length(0),
    "a header of 2**63 bytes": length(2**63),
    "a header that is longer than the file": length(10**7),
    "a header that ends early": length(100),
    "a header that is no JSON": header(lambda text: "x" + text),
    "a header that is a list": header(lambda text: f"[{text}]"),
    "brackets in a header": header(lambda text: text[:-1] + ', "x": ' + "[" * 10**5 + "}"),
    "a header larger than any": header(lambda text: text[:-1] + f', "x": "{"y" * MOST_HEADER}"}}'),
    "a name that comes twice": twice,
    "an overlap": entry(WEIGHT, data_offsets=[0, 448]),
    "a hole": lambda parts: parts.entries.pop(WEIGHT) and None,
    "an array beyond the file": longer(WEIGHT, 10**9),
    "an array that is too long": longer(WEIGHT, 4),
    "a negative offset": entry(WEIGHT, data_offsets=[-4, 444]),
    "offsets in the wrong order": entry(WEIGHT, data_offsets=[448, 0]),
    "offsets of text": entry(WEIGHT, data_offsets=["0", "448"]),
    "another dtype": entry(WEIGHT, dtype="F64"),
    "an unknown dtype": entry(WEIGHT, dtype="Q7"),
    "a shape of 2**80 elements": entry(WEIGHT, shape=[2**40, 2**40]),
    "a shape of -1": entry(WEIGHT, shape=[-1, 7]),
    "a shape of real numbers": entry(WEIGHT, shape=[16.5, 7]),
    "a shape without elements": entry(WEIGHT, shape=[0, 2**62]),
    "the shape transposed": entry(WEIGHT, shape=[7, 16]),
    "a name with dots and slashes": renamed("../../../etc/passwd"),
    "an absolute name": renamed("/etc/passwd"),
    "a name without letters": renamed(""),
    "a name of another layer": renamed("model.9.weight"),
    "one array more": lambda parts: parts.replace("model.extra", np.zeros(3, np.float32)),
    "weights in float64": array(WEIGHT, lambda x: x.astype(np.float64)),
    "fewer weights": array(WEIGHT, lambda x: x[:8]),
    "a counter that is NaN": array("model.3.draws", lambda x: np.float64(math.nan).reshape(())),
    "a counter with an axis": array("model.3.draws", lambda x: x.reshape(1)),
    "no metadata": lambda parts: parts.entries.pop("__metadata__") and None,
    "metadata of text": lambda parts: parts.entries.update(__metadata__="x"),
    "metadata of another program": lambda parts: parts.entries.update(__metadata__={"pt": "x"}),
    "another format": head(format="checkpoint 2"),
    "the format of a model": head(format="1"),
    "a format that is a number": head(format=1),
    "a head without a description": lambda parts: parts.head.pop("description") and None,
    "a description that is a list": head(description=[]),
    "no state": without("state"),
    "no layers": without("modules"),
    "layers of numbers": put("modules", [1, 2, 3]),
    "a version that is a number": put("lamina", 3),
    "steps that are a bare NaN": put("state", "optimizer", "steps", math.nan),
    "steps that are NaN": put("state", "optimizer", "steps", {"$float": "nan"}),
    "steps below 0": put("state", "optimizer", "steps", -1),
    "steps of 2**70": put("state", "optimizer", "steps", 2**70),
    "steps of text": put("state", "optimizer", "steps", "3"),
    "a factor below 0": put("state", "optimizer", "lr_factor", -0.5),
    "an infinite factor": put("state", "optimizer", "lr_factor", {"$float": "inf"}),
    "a group too many": lambda p: p.state["optimizer"]["groups"].append({"options": {}, "cells": {}}),
    "no groups": put("state", "optimizer", "groups", []),
    "an unknown option": put(*GROUP, "options", "speed", 3),
    "a learning rate that is NaN": put(*GROUP, "options", "lr", {"$float": "nan"}),
    "a moment that is a number": put(*GROUP, "cells", "first_moment", 3),
    "a moment that is absent": put(*GROUP, "cells", "first_moment", {"$array": "nowhere"}),
    "an array under two names": put(*GROUP, "cells", "first_moment", {"$array": "state.history.values"}),
    "a key of no meaning": put("state", "stopped", {"$new": 1}),
    "a seed below 0": put("state", "seed", -1),
    "a flag that is a number": put("state", "exploded", 3),
    "a reason that is a number": put("state", "stopped", 3),
    "names of columns that repeat": lambda p: p.state["history"]["names"].__setitem__(1, "epoch"),
    "a history of another shape": array("state.history.values", lambda x: x[:, :-1]),
    "a history of integers": array("state.history.values", lambda x: x.astype(np.int64)),
    "no callbacks": put("state", "callbacks", []),
    "a callback's state of text": lambda p: p.state["callbacks"][0].__setitem__(1, "x"),
    "a patience that is NaN": lambda p: p.state["callbacks"][0][1].update(waited={"$float": "nan"}),
    "a patience below 0": lambda p: p.state["callbacks"][0][1].update(waited=-3),
    "best weights of another shape": array("state.callbacks.1.1.weights.0.weight", lambda x: x[:3]),
    "a stream that is a number": lambda p: p.state["extra"]["3"].update(stream=3),
    "a state of a layer without one": lambda p: p.state["extra"].update({"0": 1}),
    "a step beyond the epoch": put(*POSITION, "step", 22),
    "a step below 0": put(*POSITION, "step", -1),
    "an epoch of no steps": put(*POSITION, "steps", 0),
    "batches of no samples": put(*POSITION, "batch_size", 0),
    "a fit of no epochs": put(*POSITION, "epochs", 0),
    "a fit that begins later": put(*POSITION, "first", 5),
    "a position of text": put("state", "position", "x"),
    "a step that is a flag": put(*POSITION, "step", True),
    "results of fewer steps": put(*POSITION, "results", []),
    "results that are numbers": put(*POSITION, "results", [[1, 2]]),
    "tens of thousands of lists": put("state", "stopped", [[]] * 60_000),
    "tens of thousands of objects": put("state", "stopped", [{"a": 1}] * 60_000),
    "a million of numbers": put("state", "stopped", [0.1] * 1_000_000),
    "a million of texts": put("state", "stopped", [f"{k:02x}" for k in range(256)] * 2000),
    "a million of brackets": put("state", "stopped", [[]] * 10**6),
}
