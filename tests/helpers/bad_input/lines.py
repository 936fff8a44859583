"""How a row gives a command line: the files that it names, the run in this process, what is checked."""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import command
from user_files import write_files

from lamina.backends import LaminaError, StateError, use_backend
from lamina.train.files import visible
from lamina.train.runs.experiment import Experiment
from lamina.train.runs.folder import record_of, save_run
from lamina.train.runs.recipe import Recipe

from . import Bad, Place

NINES = "9" * 5000
REPORTS = {
    "report_empty": "", "report_text": "x", "report_number": "3", "report_list": "[]", "report_null": "null",
    "report_options": '{"options": 3}', "report_other": '{"paper": "chahed", "options": {}}',
    "report_deep": "[" * 100_000,
}  # fmt: skip
"""Folders of reports, by their heads."""
ENVIRONMENT = {"LAMINA_BACKEND": "numpy", "COLUMNS": "80"}
UNSET = ("LAMINA_DTYPE", "LAMINA_SEED", "LAMINA_THREADS")
MODULE = """
import lamina

class Times(lamina.Module):
    def __init__(self, factor=2.0, backend=None):
        super().__init__(backend)
        self.factor = factor

    def forward(self, x):
        return self.backend.multiply(x, self.factor)

    def backward(self, grad_output):
        return self.backend.multiply(grad_output, self.factor)

class Own(lamina.Loss):
    pass

class Fails(Times):
    def __init__(self, backend=None):
        raise KeyError("weights")

class Unmade(lamina.Module):
    def __init__(self, backend=None):
        self.factor = 2.0

class Stepper(lamina.train.SGD):
    pass

class Other:
    pass

number = dict
"""


class UsageError(StateError):
    """What typer says of a command line: "No such option", "Missing argument"."""


@functools.cache
def shelf() -> Path:
    """Return a folder with a file of each kind, and the folder of a run."""
    folder = Path(tempfile.mkdtemp(prefix="lamina-bad-input-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    with contextlib.chdir(folder), use_backend("numpy"):
        write_files()
        experiment = Experiment.prepare(Recipe("words.csv", epochs=1, hidden=(2,)))
        experiment.run()
        Path("run").mkdir()
        save_run(experiment, Path("run"))
        for name, state in (("run", "interrupted"), ("ended", "done")):
            Path(name).mkdir(exist_ok=True)
            record_of(experiment, state).write(Path(name))  # type: ignore[arg-type]
        model = Path("run/model.safetensors").read_bytes()
        Path("empty.safetensors").write_bytes(b"")
        Path("text.safetensors").write_text("no model\n" * 99)
        Path("cut.safetensors").write_bytes(model[: len(model) // 2])
        Path("flipped.safetensors").write_bytes(model[:-9] + bytes([model[-9] ^ 1]) + model[-8:])
        for name, head in REPORTS.items():
            Path(name).mkdir()
            Path(name, "experiment.json").write_text(head)
        Path("text.onnx").write_text("no model\n" * 99)
        Path("empty.onnx").write_bytes(b"")
        Path("binary.csv").write_bytes(bytes(range(256)))
        Path("other.xlsx").write_bytes(b"PK")
        Path("own_layers.py").write_text(MODULE)
        Path("own_broken.py").write_text("def broken(:\n")
        Path("own_division.py").write_text("x = 1 / 0\n")
    return folder


@contextlib.contextmanager
def _environment(**changes: str) -> Iterator[None]:
    with mock.patch.dict(os.environ, {**ENVIRONMENT, **changes}):
        for name in UNSET:
            if name not in changes:
                os.environ.pop(name, None)
        yield


def _needed(words: list[str]) -> set[str]:
    """Return the files of the shelf that a command line names."""
    text = " ".join(words)
    return {name for name in os.listdir(shelf()) if name.partition(".")[0] in text}


def refused(
    place: Place,
    words: list[str],
    form: type[LaminaError] = LaminaError,
    inside: contextlib.AbstractContextManager[object] = contextlib.nullcontext(),  # noqa: B008
    **environment: str,
) -> None:
    """Run a command line in a folder with the files that it names; raise what it says.

    It must end with exit code 2, say so on standard error alone, and print the same as JSON with --json.
    """
    for name in _needed(words):
        source = shelf() / name
        (shutil.copytree if source.is_dir() else shutil.copyfile)(source, place.path / name)
    place.watch(place.path)
    with contextlib.chdir(place.path), _environment(**environment), inside:
        result = command.run(words)
        as_json = command.run([words[0], "--json", *words[1:]])
    assert (result.exit_code, as_json.exit_code) == (2, 2), (result, as_json)
    assert not result.stdout, result.stdout
    assert "Traceback" not in result.stderr
    found = json.loads(as_json.stdout)
    assert list(found) == ["error"], found
    assert not as_json.stderr
    message, usage = _flat(result.stderr), "╭─ Error" in result.stderr
    assert usage or _flat(visible(found["error"])) == message.removeprefix("Error: "), (message, found)
    assert not set(result.stderr) & set("\x1b\x07\x9b\u202e"), "an escape sequence"
    raise (UsageError if usage else form)(message)


def _flat(text: str) -> str:
    return " ".join(text.replace("│", " ").split())


def bad_line(line: str | list[str], *says: str, form: type[LaminaError] = LaminaError, what: str = "") -> Bad:
    """Return the row of a command line; its subject is the command with the first option, or the argument."""
    words = line.split() if isinstance(line, str) else line
    flags = [word.partition("=")[0] for word in words if word.startswith("--")]
    subject = " ".join([words[0], *flags[:1]]) if words else "lamina"
    shown = what or " ".join(word if len(word) < 40 else f"{word[:9]}...{word[-9:]}" for word in words)
    return Bad(
        subject,
        shown.encode("unicode_escape").decode(),
        lambda place: refused(place, words, form),
        says,
        LaminaError,
        once=True,
    )
