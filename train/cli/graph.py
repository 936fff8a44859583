"""`lamina graph`: a network as a picture: its layers, or the operators of a training step."""

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
from .app import BackendOption, DtypeOption, Force, JsonOption, command, print_json, say
from .source import Network, NetworkSource, find_network, network_flags

_SAMPLES = 4
_ENDINGS = {f".{kind}": kind for kind in FORMATS} | {".gv": "dot"}
Step = Annotated[bool, typer.Option("--step", help="Draw the operators from a batch to its loss.")]
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
    to: To = None,
    out: Out = None,
    force: Force = False,
    backend: BackendOption = None,
    dtype: DtypeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Draw a network's layers and the shapes between them, or a training step's operators with --step."""
    kind = _kind(to, out)
    path = _free_name(kind) if out is None else new_file(out, force=force)
    with use_backend(_recorded(get_backend()) if step else get_backend()):
        network = find_network(source, options)
        recipe = None if network.experiment is None else network.experiment.recipe
        name = source if recipe is None else f"{source} {recipe.model}"
        count = sum(parameter.size for parameter in network.model.parameters())
        title = f"{name}: a training step" if step else f"{name}: {count:,} parameters"
        drawn = _step(network, title) if step else draw_layers(network.model, network.input_shape, title)
    atomic_write(path, drawn.to(kind), replace=force)
    boxes, arrows = len(drawn.nodes), len(drawn.edges)
    if as_json:
        print_json({"file": str(path), "boxes": boxes, "arrows": arrows})
    else:
        say("wrote ", (str(path), "bold"), f": {boxes} boxes, {arrows} arrows")


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
    """Return the graph of a step: on the experiment's data, or on random numbers for a trained model."""
    if network.experiment is not None:
        work = Work.of_experiment(network.experiment, _SAMPLES)
    else:
        assert network.predictor is not None
        work = Work.of_predictor(network.predictor, network.predictor.batch_size or _SAMPLES)
    return draw_step(work.model, work.loss, work.samples.x, work.samples.y, title)
