"""Bad inputs of `Trainer.save`, `Trainer.resume`, `Checkpoints` and `lamina train --resume`.

Checkpoints that are damaged or crafted are in `helpers/crafted.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from trainers import LABELS, X, trainer_of

from lamina.backends import DataError, OptionError, get_backend
from lamina.layers import Linear, manual_seed
from lamina.layers.losses import CrossEntropyLoss
from lamina.train import SGD, Checkpoints, Trainer, save_model

from . import Bad, Place
from .lines import bad_line
from .loop import watched
from .places import LONG
from .values import ESCAPES, NOT_INTEGERS, NOT_NAMES, short


def _resume(path: Any, make: Callable[[Place], object] = lambda place: None) -> Callable[[Place], object]:
    """Return a call that resumes from a path, or from a text below the row's folder."""

    def call(place: Place) -> object:
        trainer = watched(place, trainer_of(place.backend))
        make(place)
        where = place.path / path if isinstance(path, str) and path.endswith(".safetensors") else path
        return trainer.resume(where)

    return call


def _written(content: bytes) -> Callable[[Place], object]:
    def make(place: Place) -> object:
        (place.path / "a.safetensors").write_bytes(content)
        return place.watch(place.path / "a.safetensors")

    return make


def _model(place: Place) -> object:
    save_model(place.path / "a.safetensors", Linear(3, 2, backend="numpy"), {})
    return place.watch(place.path / "a.safetensors")


def _other(place: Place) -> object:
    """Resume the checkpoint of another network."""
    b = get_backend("numpy")
    manual_seed(0)
    model = Linear(3, 2, backend=b)
    other = Trainer(model, CrossEntropyLoss(backend=b), SGD(model.parameters()))
    other.save(place.path / "a.safetensors")
    return watched(place, trainer_of(place.backend)).resume(place.watch(place.path / "a.safetensors"))


def _fit(place: Place, **options: Any) -> object:
    """Go on with a fit in another way than it was saved."""
    first = trainer_of(place.backend, callbacks=[Checkpoints(place.path / "c", "1epoch")])
    first.fit((X, LABELS), epochs=2, batch_size=20)
    trainer = trainer_of(place.backend)
    trainer.resume(place.path / "c")
    place.watch(place.path / "c")
    return watched(place, trainer).fit(**{"train": (X, LABELS), "epochs": 2, "batch_size": 20, **options})


PATHS = [
    *(
        Bad(name, f"the path {short(path)}", call, says, once=True)
        for path, says in (
            (None, ("the path of a file",)), (3, ("the path of a file",)), ("a\0b", ("the path of a file",)),
        )
        for name, call in (
            ("Trainer.resume", _resume(path)),
            ("Trainer.save", lambda place, p=path: trainer_of(place.backend).save(p)),
            ("Checkpoints", lambda place, p=path: Checkpoints(p)),
        )
    ),
    Bad("Trainer.save", "a folder that is absent",
        lambda place: trainer_of(place.backend).save(place.path / "absent" / "a"),
        ("the folder does not exist",), once=True),
    Bad("Trainer.save", "a description of objects",
        lambda place: trainer_of(place.backend).save(place.path / "a", {"x": object()}),
        ("Trainer.save: expected a description that JSON can hold", "object"), OptionError, once=True),
    Bad("Checkpoints", "a description of objects", lambda place: Checkpoints("c", description={1, 2}),
        ("Checkpoints: expected a description that JSON can hold", "{1, 2}"), OptionError, once=True),
    *(
        Bad("Trainer.resume", what, call, says, DataError, once=True)
        for what, call, says in (
            ("an absent file", _resume("absent.safetensors"), ("Cannot read checkpoint", "No such file")),
            ("a long name", _resume(f"{LONG}.safetensors"), ("Cannot read checkpoint", "name too long")),
            ("an empty folder", lambda place: trainer_of(place.backend).resume(place.path),
                ("a folder with checkpoints, got one without",)),
            ("no bytes", _resume("a.safetensors", _written(b"")), ("a checkpoint file of Lamina",)),
            ("text", _resume("a.safetensors", _written(b"x" * 99)), ("a checkpoint file of Lamina",)),
            ("a model", _resume("a.safetensors", _model),
                ("expected a checkpoint of format 'checkpoint 1', got '1'",)),
            ("another network", _other, ("cannot be resumed: the network: expected Sequential, got Linear",)),
        )
    ),
    *(
        Bad("Trainer.fit", f"{name}={short(value)}, resumed", lambda place, o={name: value}: _fit(place, **o),
            says, once=True)
        for name, value, says in (
            ("batch_size", 10, ("batch_size of 20", "got 10")),
            ("shuffle", False, ("shuffle of True", "got False")),
            ("drop_last", True, ("drop_last of False", "got True")),
            ("epochs", 1, ("epochs of at least 2", "got 1")),
            ("train", (X[:40], LABELS[:40]), ("training samples of 50", "got 40")),
            ("train", (X + 1, LABELS), ("the data of the fit that was resumed", "others")),
            ("validation", (X, LABELS), ("validation samples of 0", "got 50")),
        )
    ),
]  # fmt: skip

INTERVALS = (
    "",
    "10",
    "s",
    "0s",
    "-1s",
    "1.5epochs",
    "0steps",
    "1h",
    "nans",
    "1e9s",
    "9" * 5000 + "s",
    ESCAPES,
)

OPTIONS = [
    *(
        Bad("Checkpoints", f"every={short(value)}", lambda place, v=value: Checkpoints("c", v),
            ("Checkpoints: every: expected 10s, 5epochs or 1000steps",), OptionError, once=True)
        for value in (*INTERVALS, None, 5, 1.5, True, [])
    ),
    *(
        Bad("Checkpoints", f"{name}={short(value)}",
            lambda place, o={name: value}: Checkpoints("c", **{"best": "train_loss", **o}),
            ("Checkpoints: expected ",), OptionError, once=True)
        for name, values in (
            ("keep", (0, -1, *NOT_INTEGERS)),
            ("best", (3, True, [], ["train_loss"])),
            ("mode", ("least", *(v for v in NOT_NAMES if v is not None))),
        )
        for value in values
    ),
    Bad("Checkpoints", "best='train_los'",
        lambda place: trainer_of(place.backend, callbacks=[Checkpoints(place.path, best="train_los")]).fit(
            (X, LABELS), epochs=1),
        ("Checkpoints: expected monitor to be a column", "Did you mean 'train_loss'?"), once=True),
]  # fmt: skip

LINES = [
    *(bad_line(["train", "disc", f"--checkpoint-every={v}"], "--checkpoint-every: expected 10s, ")
        for v in INTERVALS),
    bad_line("train --resume absent", "--resume: expected the folder of a run", "'absent'"),
    bad_line(["train", "--resume", ""], "--resume: expected the folder of a run", "''"),
    bad_line("train --resume words.csv", "--resume: expected the folder of a run", "'words.csv'"),
    bad_line(["train", "--resume", LONG], "--resume: expected the folder of a run"),
    bad_line("train --resume idx", "'idx/run.json'", "expected the record of a run"),
    bad_line("train --resume foreign", "run.json': expected format '1'", "'2'; use the Lamina that wrote it"),
    bad_line("train --resume unread", "'unread/run.json': expected JSON"),
    bad_line("train --resume listed", "'listed/run.json': expected format '1'", "None"),
    bad_line("train --resume earlier", "'earlier/run.json': expected a state and a backend"),
    bad_line("train --resume run --lr 0.5", "--lr: expected 0.003, as in the run 'run'", "got 0.5"),
    bad_line("train --resume run --hidden 3", "--hidden: expected (2,), as in the run 'run'", "got (3,)"),
    bad_line("train --resume run --schedule constant", "--schedule: expected 'cosine', as in the run"),
    bad_line("train --resume run --no-jit", "--no-jit: expected False, as in the run 'run'", "got True"),
    bad_line("train disc --resume run", "the data set: expected 'words.csv', as in the run 'run'", "'disc'"),
    bad_line("train --resume run --out other", "--out: expected none with --resume", "'other'"),
    bad_line("train --resume run --epochs 0", "--epochs: expected an integer of at least 1", "0"),
    bad_line("train --resume ended", "--resume: expected a run that is not finished",
        "'ended': it has 1 of 1 epochs", "lamina train --resume ended --epochs 2"),
    bad_line("train --resume ended --epochs 1", "--resume: expected a run that is not finished"),
]  # fmt: skip

ROWS: tuple[Bad, ...] = (*PATHS, *OPTIONS, *LINES)
