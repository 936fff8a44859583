"""`lamina backends`: the backends of this machine."""

from __future__ import annotations

from ...backends import describe_backends, get_backend
from .app import BackendOption, DtypeOption, JsonOption, command, print_json, say, show_table


@command
def backends(backend: BackendOption = None, dtype: DtypeOption = None, as_json: JsonOption = False) -> None:
    """List the backends, with their versions, devices and threads, and the current one."""
    current = get_backend()
    every = describe_backends()
    if as_json:
        rows = [{"name": d.name, "available": d.available, **d.details, "reason": d.reason} for d in every]
        print_json({"current": current.spec, "dtype": current.default_dtype, "backends": rows})
        return
    heads = ("version", "llvmlite", "device", "threads")
    available = [(d.name, *(str(d.details.get(key, "")) for key in heads)) for d in every if d.available]
    show_table(dict.fromkeys(("backend", *heads), "left"), available)
    for d in every:
        if not d.available:
            say(d.reason, style="dim")
    say(f"current: {current.spec} {current.default_dtype}")
