"""ONNX's own tests: of single operators, and of models that torch exported, on every backend."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from lamina.backends import Backend, get_backend
from lamina.train.onnx import conformance

pytest.importorskip("onnx", reason="the suites come with the onnx package")

EVERY = conformance.cases()
INSIDE = [case for case in EVERY if not case.reason()]
PAGE = Path(__file__).parents[2] / "docs" / "onnx-conformance.md"
# The operators that the issue of convolutions names: as many primary cases as onnx 1.23 has.
CORE = {
    "Conv": 6,
    "AveragePool": 20,
    "MaxPool": 18,
    "GlobalAveragePool": 2,
    "GlobalMaxPool": 2,
    "BatchNormalization": 4,
    "Gemm": 11,
    "MatMul": 7,
    "Softmax": 7,
    "LogSoftmax": 7,
    "SoftmaxCrossEntropyLoss": 34,
    "NegativeLogLikelihoodLoss": 18,
    "Dropout": 8,
    "Col2Im": 5,
    "Flatten": 9,
    "ConvTranspose": 11,
    "LayerNormalization": 19,
    "ReduceSum": 12,
    "ReduceMean": 8,
    "ReduceMax": 11,
    "ReduceMin": 10,
}


@pytest.mark.parametrize("case", INSIDE, ids=[f"{case.kind}/{case.name}" for case in INSIDE])
def test_case(case: conformance.Case, backend: Backend) -> None:
    case.check(get_backend(backend.spec, dtype="float64") if case.wide() else backend)


def test_the_core_is_whole() -> None:
    """No case leaves the suite unseen: each operator has as many as it had."""
    found = Counter(case.operators[0] for case in INSIDE if case.kind == "node" and len(case.operators) == 1)
    assert {name: found[name] for name in CORE} == CORE
    assert sum(case.kind != "node" for case in INSIDE) == 117


@pytest.mark.parametrize("name", conformance.LEFT_OUT)
def test_what_is_left_out_would_fail(name: str) -> None:
    """Strict: a case that starts to pass must not stay on the list."""
    case: Any = next(case for case in EVERY if case.name == name)
    with pytest.raises((AssertionError, ValueError, TypeError)):
        case.check(get_backend("strict+numpy"))


def test_the_page_is_up_to_date() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for case in EVERY:
        if case.reason() and not case.reason().startswith("Lamina lacks"):
            row = next(line for line in text.splitlines() if line.startswith(f"| {case.reason()} |"))
            assert f"`{case.name}`" in row
