"""`lamina graph`: a network as a picture: its layers, or the operators of a training step."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ...backends import Backend, OptionError, get_backend, use_backend
from ...backends.decorators.autodiff import AutodiffBackend
from ...backends.decorators.drawing import PICTURES, Dot
from ...backends.select import with_decorator
from ..files import atomic_write
from ..pictures.graphs import draw_layers, draw_step
from ..profiling import Work
from ..runs.predictor import Predictor
from .app import BackendOption, DtypeOption, JsonOption, command, print_json, say
from .source import Network, NetworkSource, find_network, network_flags

_SAMPLES = 4
_TEXT = (".gv", ".dot")
Step = Annotated[bool, typer.Option("--step", help="Draw the operators from a batch to its loss.")]
Out = Annotated[
    str,
    typer.Option("--out", help="The picture, .svg, .png or .pdf, its text beside it; .gv is the text alone."),
]


@command
@network_flags
def graph(
    options: dict[str, Any],
    source: NetworkSource = "digits",
    step: Step = False,
    out: Out = "graph.svg",
    backend: BackendOption = None,
    dtype: DtypeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Draw a network: its layers and what flows between them, or with --step what autodiff records."""
    path = Path(out)
    if path.suffix not in (*PICTURES, *_TEXT):
        known = ", ".join((*PICTURES, *_TEXT))
        raise OptionError(f"--out: expected a file that ends in one of {known}, got '{out}'")
    with use_backend(_recorded(get_backend()) if step else get_backend()):
        found = find_network(source, options)
        name = source if found.experiment is None else f"{source} {found.experiment.recipe.model}"
        count = sum(parameter.size for parameter in found.model.parameters())
        title = f"{name}: a training step" if step else f"{name}: {count:,} parameters"
        dot = _step(found, title) if step else draw_layers(found.model, found.input_shape, title)
    _write(dot, path)
    if as_json:
        print_json({"file": str(path), "boxes": len(dot.boxes), "arrows": len(dot.arrows)})
    else:
        say("wrote ", (str(path), "bold"), f": {len(dot.boxes)} boxes, {len(dot.arrows)} arrows")


def _recorded(backend: Backend) -> Backend:
    """Return the stack with `autodiff` in it, which must be the outermost."""
    found = get_backend(with_decorator(backend.spec, "autodiff"), dtype=backend.default_dtype)
    if not isinstance(found, AutodiffBackend):
        raise OptionError(
            f"--step draws what autodiff records, and nothing may stand before that; {backend.spec!r} was "
            f"named: name {with_decorator(backend.raw.spec, 'autodiff')!r}"
        )
    return found


def _step(found: Network, title: str) -> Dot:
    """Return the graph of a step: of the experiment's own data, or of a trained model on random numbers."""
    if found.experiment is not None:
        work = Work.of_experiment(found.experiment, _SAMPLES)
    else:
        assert found.predictor is not None
        fixed = found.predictor.batch_size  # an ONNX file may take batches of one size
        work = Work.of_predictor(found.predictor, fixed if fixed != Predictor.batch_size else _SAMPLES)
    return draw_step(work.model, work.loss, work.samples.x, work.samples.y, title)


def _write(dot: Dot, path: Path) -> None:
    """Write the text, and a picture where one is asked for; say it if that cannot be."""
    text = path if path.suffix in _TEXT else path.with_suffix(".gv")
    atomic_write(text, dot.source.encode())
    if text is not path:
        dot.render(path)
