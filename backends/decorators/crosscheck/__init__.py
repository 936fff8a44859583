"""`crosscheck(reference)`: every op runs on two backends and is compared.

The decorator is in backend.py, its options in settings.py. call.py holds one call of an op on the host,
comparison.py compares two results, and repro.py keeps a divergence in a file, which replay.py runs again.
"""

from .backend import CrosscheckBackend, crosscheck_of
from .comparison import Comparison, Table, Tally
from .replay import Replay, replay
from .repro import Repro, load, save
from .settings import Settings

__all__ = [
    "Comparison",
    "CrosscheckBackend",
    "Replay",
    "Repro",
    "Settings",
    "Table",
    "Tally",
    "crosscheck_of",
    "load",
    "replay",
    "save",
]
