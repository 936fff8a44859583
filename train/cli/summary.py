"""`lamina summary`: the layers of a network as a table."""

from __future__ import annotations

from typing import Any

from ...layers import Module
from .app import BackendOption, DtypeOption, JsonOption, command, print_json, show_table
from .source import NetworkSource, find_network, network_flags


@command
@network_flags
def summary(
    options: dict[str, Any],
    source: NetworkSource = "digits",
    backend: BackendOption = None,
    dtype: DtypeOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the layers of a network: output shapes, parameters, and FLOPs of a forward pass of one sample."""
    network = find_network(source, options)
    model, shape = network.model, network.input_shape
    if as_json:
        table = model.summary(shape)
        rows = [vars(row) | {"output_shape": list(row.output_shape)} for row in table.rows]
        print_json({"layers": rows, "parameters": table.parameters, "flops": table.flops})
    else:
        show_summary(model, shape)


def show_summary(model: Module, shape: tuple[int, ...]) -> None:
    """Print a model's summary as a table."""
    summary = model.summary(shape)
    rows: list[tuple[str, ...]] = []
    for row in summary.rows:
        size = ", ".join(["N", *map(str, row.output_shape[1:])])
        rows.append((row.layer, f"({size})", f"{row.parameters:,}", f"{row.flops:,}"))
    heads = {"layer": "left", "output": "left", "parameters": "right", "FLOPs": "right"}
    show_table(heads, rows, total=("total", "", f"{summary.parameters:,}", f"{summary.flops:,}"))
