"""`lamina backends`: what can run here."""

from __future__ import annotations

from ...backends import describe_backends, get_backend
from .app import BackendOption, DtypeOption, JsonOption, command, print_json, say, show_table


@command
def backends(backend: BackendOption = None, dtype: DtypeOption = None, as_json: JsonOption = False) -> None:
    """List the backends: version, device, threads, and which one is current."""
    current = get_backend()
    found = describe_backends()
    if as_json:
        rows = [{"name": d.name, "available": d.available, **d.details, "reason": d.reason} for d in found]
        print_json({"current": current.spec, "dtype": current.default_dtype, "backends": rows})
        return
    heads = ("version", "device", "threads")
    able = [(d.name, *(str(d.details.get(key, "")) for key in heads)) for d in found if d.available]
    show_table(dict.fromkeys(("backend", *heads), "left"), able)
    for d in found:
        if not d.available:
            say(d.reason, style="dim")
    say(f"current: {current.spec} {current.default_dtype}")
