"""`lamina graph`: a network's layers or a training step's operators as a picture, or a step as a program."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Annotated, Any

import typer

from ...backends import Backend, OptionError, get_backend, use_backend
from ...backends.decorators.autodiff import AutodiffBackend
from ...backends.drawing import FORMATS, Graph
from ...backends.select import with_decorator
from ..files import atomic_write, new_file
from ..pictures.graphs import draw_layers, draw_step
from ..profiling import Work
from ..profiling.program import step_program
from .app import BackendOption, DtypeOption, Force, JsonOption, command, print_json, say
from .source import Network, NetworkSource, find_network, network_flags

_SAMPLES = 4
_ENDINGS = {f".{kind}": kind for kind in FORMATS} | {".gv": "dot"}
Step = Annotated[bool, typer.Option("--step", help="Draw the operators from a batch to its loss.")]
Program = Annotated[
    bool,
    typer.Option(
        "--program",
        help="Print the program of a training step: as traced, as compiled, and its kernels. Needs llvmlite.",
    ),
]
To = Annotated[
    str | None,
    typer.Option(
        "--to", help="png, svg, pdf, or dot for DOT text (default: by the ending of --out, or png)."
    ),
]
Out = Annotated[
    str | None, typer.Option("--out", help="The file to write (default: graph.png, or graph-2.png, ...).")
]


@command
@network_flags
def graph(
    options: dict[str, Any],
    source: NetworkSource = "digits",
    step: Step = False,
    program: Program = False,
    to: To = None,
    out: Out = None,
    force: Force = False,
    backend: BackendOption = None,
    dtype: DtypeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Draw a network's layers and the shapes between them, or a training step's operators with --step.

    With --program, print the program that a compiled training step is.
    """
    if program:
        given = {"--step": step, "--to": to, "--out": out, "--force": force}
        if others := [name for name, value in given.items() if value]:
            raise OptionError(f"--program: expected no {others[0]}, got both; it prints text: use > FILE")
        _print_program(source, options, as_json)
        return
    kind = _kind(to, out)
    path = _free_name(kind) if out is None else new_file(out, force=force)
    with use_backend(_recorded(get_backend()) if step else get_backend()):
        network = find_network(source, options)
        name = _name(source, network)
        count = sum(parameter.size for parameter in network.model.parameters())
        title = f"{name}: a training step" if step else f"{name}: {count:,} parameters"
        drawn = _step(network, title) if step else draw_layers(network.model, network.input_shape, title)
    atomic_write(path, drawn.to(kind), replace=force)
    boxes, arrows = len(drawn.nodes), len(drawn.edges)
    if as_json:
        print_json({"file": str(path), "boxes": boxes, "arrows": arrows})
    else:
        say("wrote ", (str(path), "bold"), f": {boxes} boxes, {arrows} arrows")


def _name(source: str, network: Network) -> str:
    return source if network.experiment is None else f"{source} {network.experiment.recipe.model}"


def _print_program(source: str, options: dict[str, Any], as_json: bool) -> None:
    """Print the program of a training step of the network, on batches of its training."""
    chosen = get_backend()
    with use_backend(f"jit+{chosen.raw.spec}", dtype=chosen.default_dtype):
        network = find_network(source, options)
        found = step_program(_work(network, None))
    if as_json:
        print_json(found._asdict())
        return
    heads = (
        (_name(source, network), ": a training step as it is traced"),
        ("After the passes", ": primitives and views; cells are read first and written last"),
        ("Its kernels", f", {len(found.kernels)}, and the ops that each computes at once"),
    )
    for (bold, rest), text in zip(
        heads, (found.traced, found.compiled, "\n".join(found.kernels)), strict=True
    ):
        say((bold, "bold"), rest)
        for line in text.splitlines():
            say(line)


def _kind(to: str | None, out: str | None) -> str:
    """Return the format that --to names, or the ending of --out."""
    if to is not None and to not in FORMATS:
        raise OptionError(f"--to: expected one of {', '.join(FORMATS)}, got '{to}'")
    if out is None:
        return to or "png"
    ending = _ENDINGS.get(Path(out).suffix.lower())
    if ending is None and to is None:
        raise OptionError(f"--out: expected a file that ends in one of {', '.join(_ENDINGS)}, got '{out}'")
    if ending is not None and to not in (None, ending):
        raise OptionError(f"--to: expected {ending}, as --out ends, got '{to}' with --out '{out}'")
    return to or str(ending)


def _free_name(kind: str) -> Path:
    names = itertools.chain(["graph"], (f"graph-{k}" for k in itertools.count(2)))
    return next(path for name in names if not (path := Path(f"{name}.{kind}")).exists())


def _recorded(backend: Backend) -> Backend:
    """Return the stack with `autodiff` as its outermost decorator."""
    stack = get_backend(with_decorator(backend.spec, "autodiff"), dtype=backend.default_dtype)
    if not isinstance(stack, AutodiffBackend):
        raise OptionError(
            f"--step: expected a stack that autodiff can begin, got {backend.spec!r}; "
            f"use --backend {with_decorator(backend.raw.spec, 'autodiff')!r}"
        )
    return stack


def _step(network: Network, title: str) -> Graph:
    """Return the graph of a step on a few samples."""
    work = _work(network, _SAMPLES)
    return draw_step(work.model, work.loss, work.samples.x, work.samples.y, title)


def _work(network: Network, samples: int | None) -> Work:
    """Return a training step on the experiment's data, or on random numbers for a trained model."""
    if network.experiment is not None:
        return Work.of_experiment(network.experiment, samples)
    assert network.predictor is not None
    return Work.of_predictor(network.predictor, network.predictor.batch_size or samples)
