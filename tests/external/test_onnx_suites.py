"""ONNX's own tests of operators and of models that torch exported, on every backend."""

from __future__ import annotations

import functools
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from rows import each

from lamina.backends import Backend, get_backend

from .onnx_cases import EXCLUDED, Case, cases

pytest.importorskip("onnx", reason="the suites come with the onnx package")

PAGE = Path(__file__).parents[2] / "docs" / "onnx-conformance.md"
# The number of cases that onnx 1.23 has for the core operators.
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


@functools.cache
def included() -> list[Case]:
    return [case for case in cases() if not case.excluded()]


@each(included, name=lambda case: f"{case.kind}/{case.name}")
def test_case(case: Case, backend: Backend) -> None:
    case.check(get_backend(backend.spec, dtype="float64") if case.is_float64() else backend)


def test_no_core_case_is_lost() -> None:
    counts = Counter(
        case.operators[0] for case in included() if case.kind == "node" and len(case.operators) == 1
    )
    assert {name: counts[name] for name in CORE} == CORE
    assert sum(case.kind != "node" for case in included()) == 117


@pytest.mark.parametrize("name", EXCLUDED)
def test_an_excluded_case_fails(name: str) -> None:
    case: Any = next(case for case in cases() if case.name == name)
    with pytest.raises((AssertionError, ValueError, TypeError)):
        case.check(get_backend("strict+numpy"))


def test_the_page_is_up_to_date() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for case in cases():
        reason = case.excluded()
        if reason and not reason.startswith("Lamina lacks"):
            row = next(line for line in text.splitlines() if line.startswith(f"| {reason} |"))
            assert f"`{case.name}`" in row
