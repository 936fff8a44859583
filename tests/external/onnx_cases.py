"""ONNX's own tests, run on models that `load_onnx` makes, and the page that counts them.

python tests/external/onnx_cases.py > docs/onnx-conformance.md
"""

from __future__ import annotations

import functools
import os
import pickle
import sys
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from lamina.backends import Backend, LaminaError, get_backend
from lamina.train.onnx import load_onnx
from lamina.train.onnx.library import onnx_library
from lamina.train.onnx.reader import missing_operators
from lamina.train.onnx.registry import OPERATORS

KINDS = {
    "node": "one operator per case (some written as several others)",
    "pytorch-converted": "layers that torch exported",
    "pytorch-operator": "expressions that torch exported",
}
_RANDOM = "its expected output depends on a random mask of numpy's"
EXCLUDED: dict[str, str] = {
    "test_training_dropout": _RANDOM,
    "test_training_dropout_default": _RANDOM,
    "test_training_dropout_default_mask": _RANDOM,
    "test_training_dropout_mask": _RANDOM,
    "test_maxpool_2d_uint8": "integer pooling: max_pool takes floats",
    "test_identity_sequence": "a sequence is not a tensor",
    "test_identity_opt": "an optional is not a tensor",
}
"""Why a case is excluded although Lamina has its operators."""
_TYPES = ("FLOAT", "DOUBLE", "BOOL", *(f"{u}INT{n}" for u in ("", "U") for n in (8, 16, 32, 64)))


@dataclass(frozen=True)
class Case:
    """One of ONNX's tests: a model, inputs and expected outputs."""

    kind: str
    name: str
    proto: Any = field(repr=False)
    data: tuple[tuple[list[Any], list[Any]], ...] = field(repr=False)
    rtol: float = 1e-3
    atol: float = 1e-7

    @property
    def operators(self) -> tuple[str, ...]:
        """The distinct operators of its model, in order."""
        return tuple(dict.fromkeys(node.op_type for node in self.proto.graph.node))

    def excluded(self) -> str:
        """Return the reason why it is excluded, or ""."""
        if missing := missing_operators(self.proto):
            return f"Lamina lacks {', '.join(missing)}"
        if self.name in EXCLUDED:
            return EXCLUDED[self.name]
        unknown = next((name for name in self._types() if name not in _TYPES), "")
        return f"no backend has its type {unknown}" if unknown else ""

    def is_float64(self) -> bool:
        """Return whether it needs a float64 backend."""
        return any(
            getattr(value, "dtype", None) == np.float64
            for inputs, outputs in self.data
            for value in (*inputs, *outputs)
        )

    def check(self, backend: Backend) -> None:
        """Run the model on a backend; AssertionError if an output differs."""
        graph = self.proto.graph
        stored = {tensor.name for tensor in graph.initializer}
        names = [value.name for value in graph.input if value.name not in stored]
        # The cases pass weights as inputs; a layer's weights must be constants.
        weights = {
            node.input[i]
            for node in graph.node
            for i in OPERATORS[node.op_type].weights
            if i < len(node.input)
        }
        for arrays, expected in self.data:
            inputs = dict(zip(names, arrays, strict=True))
            constants = {name: inputs.pop(name) for name in names if name in weights}
            model = load_onnx(self.proto.SerializeToString(), backend=backend, constants=constants)
            results = model.run({name: backend.from_host(value) for name, value in inputs.items()})
            for output, right in zip(graph.output, expected, strict=True):
                ours = np.asarray(backend.to_host(results[output.name]))
                assert ours.shape == right.shape, f"{output.name}: {ours.shape}, expected {right.shape}"
                assert ours.dtype.kind == {"u": "i"}.get(right.dtype.kind, right.dtype.kind), ours.dtype
                np.testing.assert_allclose(
                    ours.astype(right.dtype), right, rtol=self.rtol, atol=self.atol, err_msg=output.name
                )

    def _types(self) -> Iterator[str]:
        for value in (*self.proto.graph.input, *self.proto.graph.output):
            kind = value.type.tensor_type.elem_type
            yield onnx_library().TensorProto.DataType.Name(kind) if kind else "of no tensor"
        for node in self.proto.graph.node:
            for attribute in node.attribute:
                if node.op_type in ("Cast", "CastLike") and attribute.name == "to":
                    yield onnx_library().TensorProto.DataType.Name(attribute.i)


@functools.cache
def cases(*kinds: str) -> list[Case]:
    """Return ONNX's cases of some kinds, by default of all in `KINDS`, including the excluded ones."""
    return [case for kind in kinds or KINDS for case in (_nodes() if kind == "node" else _loaded(kind))]


def _nodes() -> list[Case]:
    """Return the cases of nodes, for which ONNX computes seconds; a file keeps them for the next run."""
    place = Path(os.environ.get("LAMINA_CACHE", "off"))
    file = place / f"onnx-{onnx_library().__version__}-numpy-{np.__version__}"
    if place.is_absolute() and file.exists():
        rows = pickle.loads(file.read_bytes())
        model = onnx_library().ModelProto.FromString
        return [Case("node", name, model(proto), *rest) for name, proto, *rest in rows]
    found = _loaded("node")
    if place.is_absolute():
        rows = [
            (case.name, case.proto.SerializeToString(), case.data, case.rtol, case.atol) for case in found
        ]
        place.mkdir(parents=True, mode=0o700, exist_ok=True)
        own = file.with_name(f"{file.name}.{os.getpid()}")
        own.write_bytes(pickle.dumps(rows))
        own.replace(file)
    return found


def _loaded(kind: str) -> list[Case]:
    result = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some cases overflow in numpy on purpose
        tests = onnx_library("backend.test.loader").load_model_tests(kind=kind)
    for test in tests:
        proto = test.model or onnx_library().load(str(Path(test.model_dir) / "model.onnx"))
        pairs = test.data_sets if test.model else _stored(Path(test.model_dir))
        data = tuple((_arrays(inputs), _arrays(outputs)) for inputs, outputs in pairs)
        result.append(Case(kind, test.name, proto, data, test.rtol, test.atol))
    return result


def _arrays(values: list[Any]) -> list[Any]:
    """Return values with ONNX's tensors replaced by arrays."""
    to_array = onnx_library("numpy_helper").to_array
    tensor = onnx_library().TensorProto
    return [to_array(value) if isinstance(value, tensor) else value for value in values]


def _stored(folder: Path) -> Iterator[tuple[list[Any], list[Any]]]:
    for data in sorted(folder.glob("test_data_set_*")):
        yield _tensors(data, "input"), _tensors(data, "output")


def _tensors(folder: Path, part: str) -> list[Any]:
    files = sorted(folder.glob(f"{part}_*.pb"), key=lambda file: int(file.stem.rpartition("_")[2]))
    return [onnx_library().TensorProto.FromString(file.read_bytes()) for file in files]


# -- the page --------------------------------------------------------------------------------------


def page(backend: str = "numpy") -> str:
    """Return the page: for each kind a table of passed and excluded cases, then every exclusion."""
    lines = [
        "# ONNX's tests",
        "",
        "Written by `python tests/external/onnx_cases.py`: the tests of the onnx package, run on the models",
        "that `load_onnx` makes of them. The test suite runs the same cases on every backend.",
    ]
    every = cases()
    for kind, title in KINDS.items():
        known = [case for case in every if case.kind == kind and not missing_operators(case.proto)]
        lines += ["", f"## {kind}: {title}", "", "| operator | pass | excluded |", "|---|--:|--:|"]
        counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
        for case in known:
            row = counts[case.operators[0] if len(case.operators) == 1 else "several"]
            if case.excluded():
                row[1] += 1
            else:
                row[0] += _passes(case, backend)
        lines += [f"| {name} | {passed} | {out or ''} |" for name, (passed, out) in sorted(counts.items())]
        passed, out = (sum(row[i] for row in counts.values()) for i in (0, 1))
        lines += [f"| **all** | **{passed}** | **{out}** |"]
        if unknown := sum(case.kind == kind for case in every) - len(known):
            lines += ["", f"{unknown} more cases use operators that Lamina lacks."]
    lines += ["", "## Excluded, although Lamina has the operators", "", "| reason | cases |", "|---|---|"]
    lines += _rows({case.name: case.excluded() for case in every if not missing_operators(case.proto)})
    lines += ["", "## Operators that Lamina lacks, with their numbers of cases", ""]
    absent = Counter(name for case in every for name in missing_operators(case.proto))
    lines += [", ".join(f"{name} {count}" for name, count in sorted(absent.items())) + "."]
    near = {case.name: "ReduceProd" for case in every if case.operators == ("ReduceProd",)}
    lines += ["", "One of them is close to Lamina's operators; it needs a product in the protocol:", ""]
    lines += ["| operator | cases |", "|---|---|", *_rows(near)]
    return "\n".join(lines)


def _rows(reasons: Mapping[str, str]) -> list[str]:
    """Return a row for each reason with its cases."""
    rows: dict[str, list[str]] = defaultdict(list)
    for name, reason in reasons.items():
        if reason:
            rows[reason].append(f"`{name}`")
    return [f"| {reason} | {', '.join(names)} |" for reason, names in rows.items()]


def _passes(case: Case, backend: str) -> bool:
    try:
        case.check(get_backend(backend, dtype="float64" if case.is_float64() else "float32"))
    except (AssertionError, LaminaError) as error:
        print(f"{case.name}: {error}", file=sys.stderr)
        return False
    return True


if __name__ == "__main__":
    print(page())
