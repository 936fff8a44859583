"""All papers by name, in the order of `lamina reproduce all`."""

from __future__ import annotations

from .reports import boschin, carlier, chahed, felisaz, jin
from .runner import Paper

PAPERS: dict[str, Paper] = {
    module.PAPER.name: module.PAPER for module in (chahed, boschin, jin, felisaz, carlier)
}
"""The five papers: each one's experiments, beside what it reports."""
