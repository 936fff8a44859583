"""`crosscheck(reference)`: every op runs on two backends and is compared.

The decorator is in backend.py. call.py is one call of an op on the host, comparison.py two results side by
side, and repro.py the file that keeps a call whose results differ, which replay.py runs again.
"""

from .backend import CrosscheckBackend, crosscheck_of
from .comparison import Comparison, Table, Tally
from .replay import Replay, replay
from .repro import Repro, load, save

__all__ = [
    "Comparison",
    "CrosscheckBackend",
    "Replay",
    "Repro",
    "Table",
    "Tally",
    "crosscheck_of",
    "load",
    "replay",
    "save",
]
