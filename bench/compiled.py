"""The race of `test_compiled.py` and `test_compiled_images.py`: all contenders in one run, on one core."""

from __future__ import annotations

import importlib
import os
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from conftest import settings
from contenders import JIT, NUMPY, SCAN, Contender, Ours, Work
from peak import Peak

from lamina.backends.loop import compilations_of
