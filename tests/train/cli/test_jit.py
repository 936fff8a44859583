"""What `lamina train` compiles, and what it says about it."""

from __future__ import annotations

import re
from typing import Any

import pytest

from lamina.backends import BackendError, get_backend, select
from lamina.backends.decorators.jit.emit import roots
from lamina.train.runs.assemble import backend_of
from lamina.train.runs.compiled import sentence
from lamina.train.runs.recipe import Recipe

pytestmark = pytest.mark.without_torch
pytest.importorskip("llvmlite", reason="it compiles the steps")

DISC = "train disc --n 60 --epochs 2 --validation 0.2"
JIT = "--backend jit+numpy"
COMPILED = (
    r"Compiled the step of 20 samples \(\d+ kernels\) and its validation \(\d+ kernels?\) in \d+\.\d\d s"
)


def test_what_was_compiled_is_said_in_one_line(lamina: Any) -> None:
    told = [line for line in lamina(f"{DISC} --batch-size 5 {JIT}").stdout.splitlines() if "ompile" in line]
    assert len(told) == 1
    assert re.fullmatch(COMPILED.replace("20", "5") + r"( \(from the cache\))?\.", told[0]), told


def test_the_second_time_it_comes_from_the_cache(
    lamina: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAMINA_CACHE", str(tmp_path / "cache"))
    line = f"{DISC} --batch-size 5 {JIT} --json"
    first, second = lamina(line).json, lamina(line).json
    assert [step["cached"] for step in first["compiled"]] == [False, False]
    assert [step["cached"] for step in second["compiled"]] == [True, True]
    assert [step["step"] for step in first["compiled"]] == ["training", "scoring"]
    assert all(step["samples"] == 5 and step["kernels"] > 0 for step in first["compiled"])
    assert first["test_loss"] == second["test_loss"]
    assert first["eager"] == ""
    assert sentence(second).endswith("(from the cache).")


def test_compiled_and_eager_training_agree(lamina: Any) -> None:
    line = f"{DISC} --batch-size 5 --json --dtype float64"
    compiled, eager, raw = (
        lamina(f"{line} {more}").json for more in (JIT, f"{JIT} --no-jit", "--backend numpy")
    )
    assert (compiled["backend"], eager["backend"]) == ("jit+numpy", "numpy")
    assert compiled["test_loss"] == pytest.approx(eager["test_loss"], rel=1e-10)
    assert eager["test_loss"] == raw["test_loss"]
    assert eager["compiled"] == raw["compiled"] == []


def test_no_jit_says_nothing_where_nothing_is_compiled(lamina: Any) -> None:
    for backend in ("numpy", "strict+numpy"):
        found = lamina(f"{DISC} --no-jit --backend {backend}")
        assert "ompile" not in found.output
        assert "agerly" not in found.output


CUBES = f"train cubes --n 40 --model jin --epochs 2 --batch-size 8 {JIT}"


def test_images_are_compiled(lamina: Any) -> None:
    found = lamina(f"{CUBES} --json").json
    assert [step["step"] for step in found["compiled"]] == ["training"]
    assert found["eager"] == ""


def test_an_op_without_a_rule_is_named_once(
    lamina: Any, recwarn: pytest.WarningsRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAMINA_CACHE", "off")
    monkeypatch.delitem(roots.ROOTS, "matmul")
    told = [text for text in lamina(CUBES).output.splitlines() if "agerly" in text]
    reason = "matmul: expected an op with a rule for compiled code, got one without"
    assert told == [f"Trained eagerly, op by op ({reason})."]
    assert not recwarn.list
    found = lamina(f"{CUBES} --json")
    assert found.json["compiled"] == []
    assert found.json["eager"] == reason
    assert found.stderr == ""


def test_a_decorator_that_sees_each_op_is_named(lamina: Any) -> None:
    found = lamina(f"{DISC} --backend strict+jit+numpy --json").json
    assert found["eager"] == "the decorators around jit in strict+jit+numpy see each op"


def test_a_batch_of_more_samples_than_there_are(lamina: Any) -> None:
    found = lamina(f"train disc --n 20 --epochs 1 --batch-size 50 {JIT} --json").json
    assert found["eager"] == "only whole batches are compiled, and 20 samples make none of 50"


def test_crosscheck_compares_the_compiled_step(lamina: Any) -> None:
    line = f"{DISC} --batch-size 20 --backend crosscheck(numpy)+jit+numpy"
    found = lamina(f"{line} --json").json
    assert found["divergences"] == 0
    assert {step["step"] for step in found["compiled"]} == {"training", "scoring"}
    assert re.search(COMPILED, lamina(line).stdout)


def test_no_jit_on_a_crosscheck_that_would_compare_numpy_with_itself(lamina: Any) -> None:
    found = lamina(f"{DISC} --no-jit --backend crosscheck(numpy)+jit+numpy", code=2)
    assert "would compare numpy with itself" in found.stderr


def test_a_missing_llvmlite_says_what_to_install(lamina: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(select, "_by_text", {})  # a process keeps the backends that it has made
    monkeypatch.setattr(select, "installed", lambda name: name != "llvmlite")
    found = lamina(f"{DISC} {JIT}", code=2)
    assert "pip install 'lamina[jit]'" in found.stderr
    assert "It was named from --backend." in found.stderr


def test_a_recipe_without_jit_keeps_the_dtype() -> None:
    with select.use_backend("jit+numpy", dtype="float64"):
        assert backend_of(Recipe(no_jit=True)) is get_backend("numpy", dtype="float64")
        assert backend_of(Recipe()).spec == "jit+numpy"


def test_jit_on_a_gpu_is_refused() -> None:
    torch = pytest.importorskip("torch", reason="the GPU is torch's")
    text = "expected a backend on the CPU" if torch.cuda.is_available() else "cannot run: torch.cuda"
    with pytest.raises(BackendError, match=text):
        get_backend("jit+torch:cuda")
