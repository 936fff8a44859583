"""Data sets as numpy arrays: the papers' tasks, digits, the user's files; splits and batches."""

from .batches import batch_count, batches, order
from .cubes import cubes
from .dataset import Dataset
from .digits import digits, digits_splits
from .disc import DISC_VARIANTS, MOST_DRAWN, Circle, DiscVariant, circle, disc, disc_variant
from .idx import idx_splits, read_idx
from .load import SOURCES, load_splits
from .npz import read_npz
from .partition import partition
from .scaling import Scaling
from .splits import Splits
from .table import read_csv
from .targets import Task, one_hot

__all__ = [
    "DISC_VARIANTS",
    "MOST_DRAWN",
    "SOURCES",
    "Circle",
    "Dataset",
    "DiscVariant",
    "Scaling",
    "Splits",
    "Task",
    "batch_count",
    "batches",
    "circle",
    "cubes",
    "digits",
    "digits_splits",
    "disc",
    "disc_variant",
    "idx_splits",
    "load_splits",
    "one_hot",
    "order",
    "partition",
    "read_csv",
    "read_idx",
    "read_npz",
]
