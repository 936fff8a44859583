"""ONNX's own tests, run on models that `load_onnx` makes: what passes, and what is left out and why.

python -m lamina.train.onnx.conformance > docs/onnx-conformance.md
"""

from __future__ import annotations

import sys
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ...backends import Backend, LaminaError, get_backend
from .library import onnx_library
from .reader import load_onnx, missing_operators
from .registry import OPERATORS

KINDS = {
    "node": "one operator a case (some written out in others)",
    "pytorch-converted": "layers that torch exported",
    "pytorch-operator": "expressions that torch exported",
}
_RANDOM = "its expected output depends on a numpy random mask"
_ERF = "the exact GELU needs the error function, which no backend has"
LEFT_OUT: dict[str, str] = {
    "test_training_dropout": _RANDOM,
    "test_training_dropout_default": _RANDOM,
    "test_training_dropout_default_mask": _RANDOM,
    "test_training_dropout_mask": _RANDOM,
    "test_gelu_default_1": _ERF,
    "test_gelu_default_2": _ERF,
    "test_maxpool_2d_uint8": "integer pooling: max_pool takes floats",
    "test_identity_sequence": "a sequence is no tensor",
    "test_identity_opt": "an optional is no tensor",
}
"""Cases whose operators are all there, and which are left out all the same."""
_NO_BACKEND = "its type {} is one that no backend has"


@dataclass(frozen=True)
class Case:
    """One of ONNX's tests: a model, inputs, and the outputs that are right."""

    kind: str
    name: str
    proto: Any = field(repr=False)
    data: tuple[tuple[list[Any], list[Any]], ...] = field(repr=False)
    rtol: float = 1e-3
    atol: float = 1e-7

    @property
    def operators(self) -> tuple[str, ...]:
        """The operators of its model, in order, each once."""
        return tuple(dict.fromkeys(node.op_type for node in self.proto.graph.node))

    def reason(self) -> str:
        """Return why it is left out; "" if it is not."""
        if missing := missing_operators(self.proto):
            return f"Lamina lacks {', '.join(missing)}"
        if self.name in LEFT_OUT:
            return LEFT_OUT[self.name]
        strange = next((name for name in self._types() if name not in _TYPES), "")
        return _NO_BACKEND.format(strange) if strange else ""

    def wide(self) -> bool:
        """Whether it has float64 in it, and wants a backend of that."""
        return any(
            getattr(value, "dtype", None) == np.float64 for ins, outs in self.data for value in (*ins, *outs)
        )

    def check(self, backend: Backend) -> None:
        """Run the model on a backend; AssertionError where an output differs."""
        graph = self.proto.graph
        held = {tensor.name for tensor in graph.initializer}
        names = [value.name for value in graph.input if value.name not in held]
        # What is a parameter of ours is an input of a graph of one node.
        weights = {
            node.input[i]
            for node in graph.node
            for i in OPERATORS[node.op_type].weights
            if i < len(node.input)
        }
        for inputs, expected in self.data:
            given = dict(zip(names, inputs, strict=True))
            constants = {name: value for name, value in given.items() if name in weights}
            model = load_onnx(self.proto.SerializeToString(), backend=backend, constants=constants)
            free = {name: backend.from_host(value) for name, value in given.items() if name not in constants}
            results = model.run(free)
            for output, right in zip(graph.output, expected, strict=True):
                found = np.asarray(backend.to_host(results[output.name]))
                assert found.shape == right.shape, f"{output.name}: {found.shape}, not {right.shape}"
                assert found.dtype.kind == {"u": "i"}.get(right.dtype.kind, right.dtype.kind), found.dtype
                np.testing.assert_allclose(
                    found.astype(right.dtype), right, rtol=self.rtol, atol=self.atol, err_msg=output.name
                )

    def _types(self) -> Iterator[str]:
        for value in (*self.proto.graph.input, *self.proto.graph.output):
            kind = value.type.tensor_type.elem_type
            yield onnx_library().TensorProto.DataType.Name(kind) if kind else "of no tensor"
        for node in self.proto.graph.node:
            for attribute in node.attribute:
                if node.op_type in ("Cast", "CastLike") and attribute.name == "to":
                    yield onnx_library().TensorProto.DataType.Name(attribute.i)


_TYPES = ("FLOAT", "DOUBLE", "BOOL", *(f"{u}INT{n}" for u in ("", "U") for n in (8, 16, 32, 64)))


def cases(*kinds: str) -> list[Case]:
    """Return ONNX's cases of some kinds (of all in `KINDS`), those that are left out among them."""
    loader = onnx_library("backend.test.loader")
    found = []
    for kind in kinds or tuple(KINDS):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # numpy's, where the cases are computed: overflow on purpose
            tests = loader.load_model_tests(kind=kind)
        for test in tests:
            proto = test.model or onnx_library().load(str(Path(test.model_dir) / "model.onnx"))
            sets = test.data_sets if test.model else _stored(Path(test.model_dir))
            data = tuple((_arrays(inputs), _arrays(outputs)) for inputs, outputs in sets)
            found.append(Case(kind, test.name, proto, data, test.rtol, test.atol))
    return found


def _arrays(values: list[Any]) -> list[Any]:
    """Return what a case gives as arrays: most are already, a few are still ONNX's own tensors."""
    to_array = onnx_library("numpy_helper").to_array
    tensor = onnx_library().TensorProto
    return [to_array(value) if isinstance(value, tensor) else value for value in values]


def _stored(folder: Path) -> Iterator[tuple[list[Any], list[Any]]]:
    for data in sorted(folder.glob("test_data_set_*")):
        yield _tensors(data, "input"), _tensors(data, "output")


def _tensors(folder: Path, part: str) -> list[Any]:
    files = sorted(folder.glob(f"{part}_*.pb"), key=lambda file: int(file.stem.rpartition("_")[2]))
    tensors = []
    for file in files:
        tensor = onnx_library().TensorProto()
        tensor.ParseFromString(file.read_bytes())
        tensors.append(tensor)
    return tensors


def page(backend: str = "numpy") -> str:
    """Return the page of what passes: a table for each kind, and every case left out."""
    lines = [
        "# ONNX's tests",
        "",
        "What `python -m lamina.train.onnx.conformance` prints: the tests that come with the onnx package,",
        "run on models that `load_onnx` makes of them. The test suite runs the same cases on every backend.",
    ]
    everything = cases()
    for kind, what in KINDS.items():
        lines += ["", f"## {kind}: {what}", "", "| operator | pass | left out |", "|---|--:|--:|"]
        rows: dict[str, list[int]] = defaultdict(lambda: [0, 0])
        mine = [case for case in everything if case.kind == kind]
        inside = [case for case in mine if not missing_operators(case.proto)]
        for case in inside:
            first = case.operators[0] if len(case.operators) == 1 else "several"
            rows[first][1 if case.reason() else 0] += 0 if _fails(case, backend) and not case.reason() else 1
        lines += [f"| {name} | {good} | {out or ''} |" for name, (good, out) in sorted(rows.items())]
        passed, out = (sum(row[i] for row in rows.values()) for i in (0, 1))
        lines += [f"| **all** | **{passed}** | **{out}** |"]
        if lacking := len(mine) - len(inside):
            lines += ["", f"{lacking} more cases have operators that Lamina lacks."]
    lines += ["", "## Left out, though the operators are there", "", "| why | cases |", "|---|---|"]
    lines += _named({case.name: case.reason() for case in everything if not missing_operators(case.proto)})
    lines += ["", "## Operators of these tests that Lamina lacks", ""]
    absent = Counter(name for case in everything for name in missing_operators(case.proto))
    lines += [", ".join(f"{name} {count}" for name, count in sorted(absent.items())) + "."]
    near = {case.name: "ReduceProd" for case in everything if case.operators == ("ReduceProd",)}
    lines += ["", "Of these, near to what is there, and left out for want of a product in the protocol:", ""]
    lines += ["| operator | cases |", "|---|---|", *_named(near)]
    return "\n".join(lines)


def _named(reasons: Mapping[str, str]) -> list[str]:
    """Return a row for each reason, with the cases that it holds for."""
    rows: dict[str, list[str]] = defaultdict(list)
    for name, reason in reasons.items():
        if reason:
            rows[reason].append(f"`{name}`")
    return [f"| {reason} | {', '.join(names)} |" for reason, names in rows.items()]


def _fails(case: Case, backend: str) -> bool:
    if case.reason():
        return False
    try:
        case.check(get_backend(backend, dtype="float64" if case.wide() else "float32"))
    except (AssertionError, LaminaError) as error:
        print(f"{case.name}: {error}", file=sys.stderr)
        return True
    return False


if __name__ == "__main__":
    print(page())
