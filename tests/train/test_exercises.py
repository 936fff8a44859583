"""The named columns catch each exercise, and its solution mends it."""

from __future__ import annotations

import re
import runpy
import shlex
import shutil
import sys
from pathlib import Path

import command as command_line
import pytest

from lamina.layers.proofs.check import ORACLES

FOLDER = Path(__file__).parents[2] / "docs" / "exercises"
FILES = sorted(path.name for path in FOLDER.glob("*.py"))
ROWS = re.findall(
    r"^\| \[(\w+\.py)\].*?\| [123] \| ([a-z, ]+) \| `(.+?)` \|$",
    (FOLDER / "README.md").read_text("utf-8"),
    re.M,
)
SOLUTIONS = dict(
    re.findall(r"^## (\w+\.py)\n(.*?)(?=^## )", (FOLDER / "solutions.md").read_text("utf-8"), re.M | re.S)
)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a copy of the exercises, and forget its modules afterwards."""
    shutil.copytree(FOLDER, tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LAMINA_BACKEND", "numpy")
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    for name in FILES:
        monkeypatch.delitem(sys.modules, Path(name).stem, raising=False)
    return tmp_path


def run(command: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Run a command of the page; return its exit code and output."""
    program, *words = shlex.split(command)
    if program == "lamina":
        sys.modules.pop(words[1].partition(":")[0], None)  # the file may have changed
        result = command_line.run(words)
        return result.exit_code, result.stdout
    with pytest.raises(SystemExit) as exit_:
        runpy.run_path(words[0], run_name="__main__")
    return int(exit_.value.code or 0), capsys.readouterr().out


def objecting(printed: str) -> set[str]:
    """Return the columns that report a fault."""
    columns = set()
    for column, text in re.findall(rf"^  ({'|'.join(ORACLES)}): (.*)$", printed, re.M):
        worst = re.match(r"worst (\S+) of the bar", text)
        if not text.startswith("nothing found") and (worst is None or float(worst[1]) > 1.0):
            columns.add(column)
    return columns


def mend(name: str) -> None:
    """Apply the diffs of the solution: each piece between @@ replaces its old lines with its new ones."""
    path = Path(name)
    text = path.read_text("utf-8")
    pieces = [p for d in re.findall(r"```diff\n(.*?)```", SOLUTIONS[name], re.S) for p in d.split("@@\n")]
    for piece in pieces:
        lines = piece.splitlines(keepends=True)
        old = "".join(line[1:] for line in lines if line[0] != "+")
        new = "".join(line[1:] for line in lines if line[0] != "-")
        assert text.count(old) == 1, f"{name}: the solution does not fit:\n{old}"
        text = text.replace(old, new)
    path.write_text(text, "utf-8")


def test_every_exercise_has_a_row_and_a_solution() -> None:
    assert {name for name, *_ in ROWS} == set(FILES) == set(SOLUTIONS)
    assert 8 <= len(FILES) <= 10


@pytest.mark.parametrize(("name", "columns", "command"), ROWS, ids=[row[2] for row in ROWS])
def test_the_fault_is_caught_and_the_solution_mends_it(
    name: str, columns: str, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, printed = run(command, capsys)
    assert code == 1, printed
    if columns == "itself":
        assert "NOT" in printed
    else:
        assert ": NOT proven" in printed
        assert objecting(printed) == set(columns.split(", "))
    mend(name)
    code, printed = run(command, capsys)
    assert code == 0, printed
    assert objecting(printed) == set()


@pytest.mark.parametrize("name", FILES)
def test_the_solution_shows_the_output(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    printed = "\n".join(run(command, capsys)[1] for of, _, command in ROWS if of == name)
    shown = re.findall(r"```text\n(.*?)```", SOLUTIONS[name], re.S)
    assert shown
    words = " ".join(printed.split())  # independent of the terminal's width
    for line in "".join(shown).splitlines():
        assert " ".join(line.removesuffix("...").split()) in words


@pytest.mark.parametrize(
    "command",
    [
        "lamina check power:Power --arguments 2 --input 4,3",
        "lamina check running_statistics:Normalize --arguments 3 --input 4,3",
    ],
)
def test_a_command_that_an_exercise_calls_proven(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(command, capsys)[0] == 0


def test_usual_initial_values_hide_the_wrong_mask(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = folder / "affine_relu.py"
    text = path.read_text("utf-8")
    path.write_text(text.replace("Uniform(-1.0, 1.0)", "Uniform(0.0, 0.0)"), "utf-8")
    assert run("lamina check affine_relu:AffineReLU --arguments 3 --input 4,3", capsys)[0] == 0


@pytest.mark.parametrize("name", FILES)
def test_an_exercise_is_short_and_states_its_task(name: str) -> None:
    text = (FOLDER / name).read_text("utf-8")
    assert 20 <= len(text.splitlines()) <= 65
    assert "Your task:" in text
    commands = [command for of, _, command in ROWS if of == name]
    assert all(command in text for command in commands)
