"""Bad input of the command line: every option and argument of every command."""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Iterator
from unittest import mock

import command

from lamina.backends import BackendError, LaminaError, StateError, select
from lamina.train.files import OutputError
from lamina.train.runs.recipe import OPTIONS, Recipe

from . import Bad, Place
from .lines import NINES, bad_line, refused
from .places import CHANGED, OUT
from .values import ESCAPES, LONG

# -- options that are declared in the recipe -------------------------------------------------------

WHOLE = ("-1", "0", "1.5", "abc", "", "nan", "1e3", "True", NINES, ESCAPES)
REAL = ("-1", "abc", "", "nan", "inf", "-inf", "1e999", "1,5", "True", ESCAPES)
NAMES = ("nonsens", "", "0", "None", ESCAPES, LONG)
HIDDEN = ("12x", "4,,3", "-3", "0,4", "4,0", "1.5", "nan", "4;3", NINES, ESCAPES, "4294967296")
SCHEDULES = (
    "cosin",
    "",
    "step",
    "step:0,1",
    "exponential:nan",
    "cosine+step:3",
    "warmup:9999+cosine",
    ESCAPES,
    LONG,
)
VALUES: dict[str, tuple[str, ...]] = {
    "--hidden": HIDDEN,
    "--schedule": SCHEDULES,
    "--activation": ("reluu", "", ",", "relu,tanh", "relu,reluu", ESCAPES, LONG),
    "--seed": (*(v for v in WHOLE if v != "0"), str(2**64)),
    "--validation": (*REAL, "1", "1.5"),
    "--test": (*REAL, "0", "1"),
    "--label-smoothing": (*REAL, "1.1"),
    "--lr": (*REAL, "0", "1e39"),
    "--clip-norm": (*REAL, "0"),
    "--momentum": (*REAL, "1e39"),
    "--weight-decay": (*REAL, "1e39"),
    "--n": (*WHOLE, str(10**14), str(10**30)),
}
NEEDS = {
    "--target": "words.csv",
    "--test": "words.csv",
    "--task": "words.csv",
    "--momentum": "disc --optimizer sgd",
}
SHARED = {"summary": (), "graph": ("--out=x.png",), "profile": ("--steps=1",)}


def _values(flag: str, name: str) -> tuple[str, ...]:
    option = OPTIONS[name]
    if flag in VALUES:
        return VALUES[flag]
    if option.choices:
        return NAMES
    return WHOLE if "int" in str(Recipe.__dataclass_fields__[name].type) else REAL


def _recipe() -> Iterator[Bad]:
    """Yield each option of `train` with every bad value, and those of the other commands with two."""
    for name, option in OPTIONS.items():
        flag = option.flag
        if (
            option.default is False
            or Recipe.__dataclass_fields__[name].type == "bool | None"
            or name == "target"
        ):
            continue
        source = NEEDS.get(flag, "disc").split()
        for value in _values(flag, name):
            yield bad_line(
                ["train", *source[:1], f"{flag}={value}", *source[1:]],
                flag if flag != "--schedule" else "chedule",
            )
    for command_name, rest in SHARED.items():
        known = {flag for one in command.commands().commands[command_name].params for flag in one.opts}
        for option in OPTIONS.values():
            if option.flag in known and option.choices:
                for value in ("nonsens", ESCAPES):
                    yield bad_line(
                        [command_name, NEEDS.get(option.flag, "disc"), f"{option.flag}={value}", *rest],
                        option.flag,
                    )


RECIPE = (
    *_recipe(),
    bad_line("train disc --model cn", "--model: expected one of dense, cnn, ", "'cn'. Did you mean 'cnn'?"),
    bad_line("train disc --activation reluu --epochs 1", "--activation: expected one of relu, ",
        "Did you mean 'relu'?"),
    bad_line("train disc --loss cross", "--loss: expected one of ", "Did you mean 'cross_entropy'?"),
    bad_line("train disc --optimizer adm", "--optimizer: expected one of ", "Did you mean 'adam'?"),
    bad_line("train disc --init xavier", "--init: expected one of torch", "Did you mean 'xavier_"),
    bad_line("train disc --output sigmod", "--output: expected one of ", "Did you mean 'sigmoid'?"),
    bad_line("train disc --variant jim", "--variant: expected one of jin, ", "'jim'. Did you mean 'jin'?"),
    bad_line("train disc --schedule cosin --epochs 1", "Did you mean 'cosine'?"),
    bad_line("train disc --lr abc --epochs 1", "Invalid value for '--lr': expected a number, got 'abc'"),
    bad_line("train disc --epochs 1.5 --n 9", "Invalid value for '--epochs': expected an integer, got '1.5'"),
    bad_line("train disc --hidden 4 --activation relu,tanh", "--activation: expected one name, or 1, ", "2"),
    bad_line("train disc --momentum 0.9", "--momentum: expected --optimizer sgd or rmsprop", "adam"),
    bad_line("train disc --loss bce --output tanh", "--output: expected sigmoid with the loss bce", "'tanh'"),
    bad_line("train disc --loss nll --output softmax", "--output: expected log_softmax with the loss nll",
        "'softmax'"),
    bad_line("train disc --loss bce_with_logits --output sigmoid", "--output: expected no activation",
        "'sigmoid'"),
    bad_line("train disc --loss mse --label-smoothing 0.1",
        "--label-smoothing: expected --loss cross_entropy",
        "mse"),
    bad_line("train idx --model cnn --hidden 4", "--hidden: expected --model dense", "cnn"),
    bad_line("train idx --model jin --activation tanh", "--activation: expected --model dense", "jin"),
    bad_line("train idx --model lenet", "--model: lenet: expected images (C, H, W) of at least 12 x 12",
        "(1, 4, 4)"),
    bad_line("train disc --model lenet", "--model: lenet: expected images",
        "samples (2,) from disc (jin); use one of dense"),
    bad_line("train words.csv --model cnn", "--model: cnn: expected images ", "samples (3,) from words.csv"),
    bad_line("train idx --loss bce", "--loss: expected two classes for bce", "3 in"),
    bad_line("train price.csv --loss cross_entropy",
        "--loss: expected mse for the real targets of price.csv"),
    bad_line("train words.csv --target answr", "the target column to be one of a, b, c, answer",
        "'answr'. Did you mean 'answer'?"),
    bad_line("train words.csv --target 7", "a target column from 0 to 3", "7"),
    bad_line(["train", "words.csv", f"--target={ESCAPES}"], "the target column to be one of a, b, c, answer",
        r"\x1b"),
    *(bad_line([c, "words.csv", "--target=answr", *rest], "the target column", "'answr'") for c,
        rest in SHARED.items()),
    *(bad_line([c, "words.csv", f"--hidden={v}", *rest], "--hidden: expected") for c,
        rest in SHARED.items() for v in ("12x", NINES)),
    bad_line("train disc --test 0.3", "test = 0.3: expected a data set of kind CSV, NPZ", "'disc'"),
    bad_line("train disc --header", "header = True: expected a data set of kind CSV", "'disc'"),
    bad_line("train digits --variant jin", "variant = 'jin': expected a data set of kind disc", "'digits'"),
    bad_line("train words.csv --n 9", "n = 9: expected a data set of kind disc, cubes", "'words.csv'"),
    bad_line("train words.csv --validation 0.5 --test 0.5", "validation + test below 1", "0.5 + 0.5"),
    bad_line("train words.csv --no-header", "line 1, column 0", "expected a number", "'a'"),
)  # fmt: skip

# -- sources -------------------------------------------------------------------------------------

DATA = (
    ("disk", "expected disc, cubes, digits, ", "'disk'. Did you mean 'disc'?"),
    (ESCAPES, "expected ", r"\x1b"),
    ("absent.csv", "absent.csv: expected a file or folder", "no such one"),
    ("words.cvs", "Did you mean 'words.csv'?"),
    ("other.xlsx", "other.xlsx: expected a .csv, .tsv or .npz file", "'.xlsx'"),
    ("ragged.csv", "ragged.csv, line 2: expected 3 cells as in line 1", "2"),
    ("empty.csv", "empty.csv: expected rows of numbers", "an empty file"),
    ("binary.csv", "binary.csv: expected UTF-8 text"),
    ("text.csv", "text.csv, line 2, column 'b': expected a number", "'x'"),
    ("cut.npz", "cut.npz: expected a file of numpy.savez", "another, or part of one"),
    (
        "idx_cut",
        "train-images-idx3-ubyte: the header says 40 x 4 x 4 of uint8: expected 640 bytes",
        "it is cut off",
    ),
    ("nan.csv", "nan.csv: expected finite inputs", "1 of 303 numbers NaN", "in row 0, column 0 ('a')"),
    (f"{LONG}.csv", "cannot be read: File name too long"),
    (LONG, "cannot be read: File name too long"),
)
MODELS = (
    ("absent.safetensors", "Cannot read model 'absent.safetensors': No such file"),
    ("empty.safetensors", "expected a model file of Lamina"),
    ("text.safetensors", "expected a model file of Lamina"),
    ("cut.safetensors", "'cut.safetensors'"),
    ("flipped.safetensors", "'flipped.safetensors'"),
    (f"{LONG}.safetensors", "File name too long"),
    ("foreign", "run.json': expected format '1'", "'2'; use the Lamina that wrote it"),
    ("unread", "'unread/run.json': expected JSON", "other text at line 1, column 1"),
    ("listed", "'listed/run.json': expected format '1'", "None"),
    *(
        (("absent.onnx", "No such file"), ("empty.onnx", "'empty.onnx'"), ("text.onnx", "'text.onnx'"),
            (f"{LONG}.onnx", "File name too long"))
        if importlib.util.find_spec("onnx")
        else ()
    ),
)  # fmt: skip
SYSTEM = (
    "No such file",
    "File name too long",
    "Permission denied",
    "Not a directory",
    "the folder does not exist",
    "that is a f",
)


def _source(line: list[str], says: tuple[str, ...]) -> Bad:
    system = any(reason in text for text in says for reason in SYSTEM)
    return bad_line(line, *says, form=OutputError if system else LaminaError)


SOURCES = (
    *(_source([c, source, *SHARED.get(c, ())], says) for c in ("train", "summary") for source, *says in DATA),
    *(_source([c, source, *SHARED.get(c, ())], says) for c in ("graph", "profile") for source,
        *says in DATA[:4]),
    *(_source([c, source, *SHARED.get(c, ())], says) for c in ("predict", "summary") for source,
        *says in MODELS),
    *(
        _source([c, source, *SHARED.get(c, ())], says)
        for c in ("graph", "profile", "export")
        for source, *says in MODELS
        if not (c == "export" and ".onnx" in source)
    ),
    bad_line("train nan.csv --check-finite --no-standardize", "expected finite inputs",
        "1 of 303 numbers NaN"),
    bad_line("predict absent",
        "expected a run folder (with model.safetensors) or a .safetensors or .onnx file",
        "'absent'"),
    bad_line("predict idx", "expected a run folder (with model.safetensors)", "'idx'"),
    bad_line(["predict", LONG], "cannot be read: File name too long", form=OutputError),
    bad_line("export absent", "expected a run folder (with model.safetensors) or a .safetensors file",
        "'absent'"),
    bad_line("runs absent", "expected the folder of runs, got 'absent'"),
    bad_line("runs words.csv", "expected the folder of runs, got 'words.csv'"),
    bad_line("export absent.onnx", "expected a run folder (with model.safetensors) or a .safetensors file",
        "'absent.onnx'"),
    *(bad_line([c, "run", "--model=cnn", *rest], "--model: expected a data set",
        "the trained model 'run'") for c,
        rest in SHARED.items()),
    *(
        _source(["predict", "run", source], says)
        for source, *says in (
            ("absent.csv", "absent.csv: expected a .csv", "no such one"),
            ("disc", "expected the training's data set 'words.csv', or a file", "'disc'"),
            ("idx", "expected inputs (N, 3)", "(20, 1, 4, 4)"),
            ("wrong.csv", "expected a column 'b'", "a, bb, c", "Did you mean"),
            ("text.csv", "line 2, column 'b': expected a number", "'x'"),
            ("ragged.csv", "ragged.csv, line 2: expected 3 cells", "2"),
            ("empty.csv", "an empty file"),
            ("binary.csv", "binary.csv: expected UTF-8 text"),
            ("cut.npz", "a file of numpy.savez"),
            ("other.xlsx", "other.xlsx: expected a .csv, .tsv or .npz file", "'.xlsx'"),
            (f"{LONG}.csv", "File name too long"),
            (ESCAPES, r"\x1b"),
        )
    ),
    bad_line("predict run", "expected a file of data", "trained on 'words.csv'"),
    bad_line("predict run --test-set", "--test-set: expected DATA", "none"),
    bad_line("predict run features.csv --no-header", "line 1, column 0", "expected a number", "'a'"),
)  # fmt: skip

# -- the other commands, backends, what typer says -----------------------------------------------

COMMANDS = [
    name
    for name, one in command.commands().commands.items()
    if any("--backend" in option.opts for option in one.params)
]
STARTS = {
    "train": ["disc"], "predict": ["run", "features.csv"], "graph": ["disc"], "profile": ["disc"],
    "summary": ["disc"],
    "export": ["run"], "reproduce": ["jin"], "check": ["Linear"], "backends": [], "cache": [],
    "runs": ["run"],
}  # fmt: skip


def _flags() -> Iterator[Bad]:
    """Yield every flag with a value, and every option without its value."""
    for name, one in command.commands().commands.items():
        for option in one.params:
            for flag in (*option.opts, *option.secondary_opts):
                if flag.startswith("--"):
                    line = [name, *STARTS[name], f"{flag}=x" if option.is_flag else flag]
                    said = "does not take a value" if option.is_flag else "requires an argument"
                    if flag != "--json":
                        yield bad_line(line, flag, said)


OTHERS = (
    *_flags(),
    *(
        bad_line([c, *STARTS[c], f"--backend={v}"], *says, form=BackendError)
        for c in COMMANDS
        for v, says in (
            ("numpi", ("Unknown backend 'numpi' (from --backend)", "Did you mean 'numpy'?")),
            ("stric+numpy", ("Unknown decorator 'stric'",)),
            (ESCAPES, ("Unknown ", r"\x1b")),
            ("torch:cuda:99", ("Backend 'torch:cuda:99' cannot run",)),
            ("+", ("nknown",)),
            ("crosscheck(numpy)+numpy", ("would compare numpy with itself",)),
        )
    ),
    *(
        bad_line([c, *STARTS[c], f"--dtype={v}"], "Unknown dtype",
            "(from --dtype). Available: float32, float64",
            form=BackendError)
        for c in COMMANDS
        if c not in ("check", "export")
        for v in ("float16", "Float32", ESCAPES)
    ),
    *(
        bad_line([c, *STARTS[c], f"--tolerance={v}"], "--tolerance")
        for c in ("train", "check")
        for v in ("2", "abc", "", "nan")
    ),
    *(
        bad_line([c, *STARTS[c], "--backend=crosscheck(numpy)+torch", f"--tolerance={v}"],
            "tolerance to be a number, above 0")
        for c in ("train", "check")
        for v in ("0", "-1", "nan")
        if importlib.util.find_spec("torch")
    ),
    *(bad_line([c, *STARTS[c], "--keep-going"], "--keep-going: expected a backend with crosscheck",
        "'numpy'") for c in ("train", "check")),
    *(bad_line(["profile", "disc", f"{flag}={v}"], flag) for flag in ("--steps",
        "--batch-size") for v in WHOLE),
    *(bad_line(["reproduce", "jin", f"--seed={v}"], "--seed") for v in WHOLE if v != "0"),
    *(bad_line(["reproduce", "jin", f"--jobs={v}"], "--jobs") for v in WHOLE),
    bad_line("reproduce jim", "expected a paper (chahed, ", "'jim'. Did you mean 'jin'?"),
    bad_line(["reproduce", ESCAPES], "expected a paper", r"\x1b"),
    bad_line("reproduce jin --out idx", "'idx': expected a new folder, or one of `lamina reproduce`",
        "another"),
    bad_line("reproduce jin --out words.csv", "--out: expected a folder", "the existing file 'words.csv'"),
    *(
        bad_line(["reproduce", "jin", f"--out={name}"], f"'{name}' holds another experiment",
            "expected paper 'jin'")
        for name in ("report_number", "report_list", "report_null", "report_options", "report_other")
    ),
    *(
        bad_line(["reproduce", "jin", f"--out={name}"], f"'{name}/experiment.json': expected JSON")
        for name in ("report_empty", "report_text", "report_deep")
    ),
    bad_line("reproduce jin --set loss", "--set: expected NAME=VALUE", "'loss'"),
    bad_line(["reproduce", "jin", "--set="], "--set: expected NAME=VALUE", "''"),
    bad_line("reproduce jin --set gradient=max", "jin: gradient: expected one of sum, mean", "'max'"),
    bad_line("reproduce jin --set los=sum", "option: expected one of ", "'los'"),
    bad_line("reproduce all --set loss=sum", "--set: expected one paper", "all"),
    bad_line("check Lineal", "expected a layer, loss or optimizer (Linear, ",
        "'Lineal'. Did you mean 'Linear'?"),
    bad_line(["check", ""], "expected a layer, loss or optimizer", "''"),
    bad_line(["check", ESCAPES], "expected a layer, loss or optimizer", r"\x1b"),
    bad_line("check own_layers:Times", "own_layers:Times: expected --input with the shape of its input",
        "none"),
    bad_line("check own_layers:Own", "own_layers:Own: expected --input with the shape of its input", "none"),
    bad_line("check own_layers:Tims --input 2", "own_layers:Tims: expected a class of own_layers",
        "none named 'Tims'", "Did you mean 'Times'?"),
    bad_line("check own_layers: --input 2", "own_layers:: expected a module and a class"),
    bad_line("check :Times --input 2", ":Times: expected a module and a class"),
    bad_line("check no_such:Times --input 2", "no_such:Times: expected a module", "none named 'no_such'"),
    bad_line("check own_broken:Times --input 2", "own_broken:Times: expected a module that can be imported",
        "SyntaxError"),
    bad_line(
        "check own_division:Times --input 2", "expected a module that can be imported",
        "ZeroDivisionError: division by zero (own_division.py, line 1: x = 1 / 0)",
    ),
    bad_line("check own_layers:Unmade --input 2",
        "expected Unmade.__init__ to call super().__init__(...) first",
        form=StateError),
    bad_line("check own_layers:Stepper", "a subclass of lamina.Module or lamina.Loss",
        "Stepper, a subclass of SGD"),
    bad_line("check own_layers:number --input 2", "expected a subclass of lamina.Module or lamina.Loss",
        "dict"),
    bad_line("check own_layers:Other --input 2", "expected a subclass of lamina.Module or lamina.Loss",
        "Other"),
    bad_line("check own_layers:Fails --input 2", "own_layers:Fails: expected __init__ to run", "KeyError"),
    bad_line("check own_layers:Times --input 99999999,99999999",
        "--input: expected a shape of at most 100,000,000 numbers"),
    *(
        bad_line(["check", "own_layers:Times", f"--input={v}"], "--input: expected a shape such as 4,3")
        for v in ("2,x", "", "-1", "1.5", "2;3", NINES, ESCAPES)
    ),
    *(
        bad_line(["check", "own_layers:Times", "--input=2", f"--arguments={v}"], "--arguments")
        for v in ("3,", "x", "open('a')", "3, 4, 5", "other=1", "1 +", "((", "*a", ESCAPES)
        if v != "3,"
    ),
    bad_line("check Linear --input 2", "--input", "a class of your own, module:Class", "Linear"),
    bad_line("check Linear --arguments 3", "--arguments", "a class of your own, module:Class", "Linear"),
    bad_line("check Linear --no-range", "--no-range", "a class of your own, module:Class", "Linear"),
    *(
        bad_line(["check", "own_layers:Own", "--input=4,3", f"{flag}={v}"], flag)
        for flag in ("--prediction", "--target")
        for v in ("nonsens", "", ESCAPES)
    ),
    bad_line("check own_layers:Own --input 4 --target labels", "--input (N, classes), such as 4,3", "(4,)"),
    bad_line("check own_layers:Own --input 4 --target one-hot",
        "--target one-hot: expected an --input (N, classes)", "(4,)"),
    bad_line("check Linear --reference numpy", "--reference: expected --replay FILE with it",
        "'numpy' alone"),
    *(
        bad_line(["check", f"--replay={file}"], file[:5], *says, form=form)
        for file, says, form in (
            ("no.npz", ("No such file",), OutputError), (f"{LONG}.npz", ("File name too long",), OutputError),
            ("idx", ("Is a directory",), OutputError), ("arrays.npz", ("expected a file of crosscheck",),
                LaminaError),
            ("cut.npz", ("expected a file of crosscheck",), LaminaError),
            ("words.csv", ("expected a file of crosscheck",), LaminaError),
            ("empty.csv", ("expected a file of crosscheck",), LaminaError),
        )
    ),
    bad_line("check --replay no.npz --keep-going", "--keep-going: expected a run of many ops", "--replay"),
    bad_line("train disc --epoch 3", "No such option: --epoch"),
    bad_line("profile disc --stesp 3", "No such option: --stesp"),
    bad_line("graph disc --stepp", "No such option: --stepp"),
    *(bad_line([c, *STARTS[c], *("more",) * (1 + (c == "backends"))],
        "unexpected extra argument") for c in command.commands().commands),
    *(bad_line([c], "Missing argument") for c in ("predict", "export", "reproduce")),
    bad_line("trian disc", "No such command 'trian'"),
    bad_line("grap disc", "No such command 'grap'"),
)  # fmt: skip


def _variable(name: str, value: str, *says: str, form: type[LaminaError] = LaminaError) -> Bad:
    def call(place: Place) -> None:
        with mock.patch.multiple(select, _instances={}, _by_text={}):
            refused(place, ["train", "disc", "--epochs=1"], form, contextlib.nullcontext(), **{name: value})

    return Bad(name, value.encode("unicode_escape").decode(), call, says, once=True)


VARIABLES = (
    _variable("LAMINA_BACKEND", "numpi", "Unknown backend 'numpi' (from LAMINA_BACKEND)",
        "Did you mean 'numpy'?", form=BackendError),
    _variable("LAMINA_BACKEND", "torch:cuda:99", "Backend 'torch:cuda:99' cannot run", form=BackendError),
    _variable("LAMINA_BACKEND", ESCAPES, "Unknown", r"\x1b", form=BackendError),
    *(_variable("LAMINA_SEED", v, "--seed") for v in ("abc", "-1", "1.5", NINES)),
    *(_variable("LAMINA_THREADS", v, "LAMINA_THREADS") for v in ("two", "0", "-1", "1.5")),
    *(_variable("LAMINA_DTYPE", v, "Unknown dtype", "(from LAMINA_DTYPE)",
        form=BackendError) for v in ("half", ESCAPES)),
)  # fmt: skip

ROWS: tuple[Bad, ...] = (*RECIPE, *SOURCES, *CHANGED, *OUT, *OTHERS, *VARIABLES)
