"""`lamina cache`: the machine code of compiled programs on this machine."""

from __future__ import annotations

from typing import Annotated

import typer

from ...backends.decorators.jit.objects import LARGEST, OFF, VARIABLE, Objects, folder
from .app import JsonOption, command, print_json, say


@command
def cache(
    clear: Annotated[bool, typer.Option("--clear", help="Delete the compiled programs.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show where compiled programs are kept, how many there are and their size.

    A program that is found there is not compiled again. LAMINA_CACHE names another folder, or is "off".
    """
    place = folder()
    if place is None:
        if as_json:
            print_json({"folder": None, "entries": 0, "bytes": 0, "cleared": False})
        else:
            say(f"The cache is off ({VARIABLE}={OFF}).")
        return
    objects = Objects(place)
    usage = objects.clear() if clear else objects.usage()
    if as_json:
        left = objects.usage()
        print_json({"folder": str(place), "entries": left.entries, "bytes": left.size, "cleared": clear})
        return
    what = f"{usage.entries} compiled program{'' if usage.entries == 1 else 's'}, {usage.size / 2**20:.1f} MB"
    say(f"Deleted {what}, from {place}." if clear else f"{place}: {what} of at most {LARGEST >> 20} MB.")
