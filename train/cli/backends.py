"""`lamina backends`: what can run here."""

from __future__ import annotations

from rich.table import Table

from ...backends import describe_backends, get_backend
from .app import BackendOption, DtypeOption, JsonOption, command, console, print_json


@command
def backends(backend: BackendOption = None, dtype: DtypeOption = None, as_json: JsonOption = False) -> None:
    """List the backends: version, device, threads, and which one is current."""
    current = get_backend()
    found = describe_backends()
    if as_json:
        rows = [{"name": d.name, "available": d.available, **d.details, "reason": d.reason} for d in found]
        print_json({"current": current.spec, "dtype": current.default_dtype, "backends": rows})
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for head in ("backend", "version", "device", "threads", ""):
        table.add_column(head)
    for d in found:
        cells = [str(d.details.get(key, "")) for key in ("version", "device", "threads")]
        table.add_row(d.name, *cells, "" if d.available else d.reason, style="" if d.available else "dim")
    console.print(table)
    console.print(f"current: {current.spec} {current.default_dtype}", highlight=False)
