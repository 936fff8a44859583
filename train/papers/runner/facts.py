"""What a report's numbers came from: the code, the machine and the libraries."""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from .... import __version__
from ....backends import Backend


def facts(backend: Backend) -> dict[str, str]:
    """Return the version of the code, the backend, the machine and the libraries, as texts."""
    details = ", ".join(f"{name} {value}" for name, value in backend.details().items())
    return {
        "lamina": f"{__version__}, commit {commit()}, sources {sources()}",
        "backend": f"{backend.spec} {backend.default_dtype} ({details})",
        "machine": f"{os.cpu_count()} cores, {_processor()}, {platform.system()}",
        "python": f"{platform.python_version()}, numpy {np.__version__}, torch {_torch()}",
    }


@functools.cache
def sources() -> str:
    """Return a digest of Lamina's source files."""
    root = Path(__file__).parents[3]
    digest = hashlib.sha256()
    for folder in ("backends", "layers", "train"):
        for file in sorted((root / folder).rglob("*.py")):
            digest.update(file.relative_to(root).as_posix().encode() + file.read_bytes())
    return digest.hexdigest()[:16]


def commit() -> str:
    """Return the commit of this checkout; "unknown" if the package is not in one."""
    try:
        done = subprocess.run(
            ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--exclude=*"],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return done.stdout.strip()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _torch() -> str:
    try:
        return version("torch")
    except PackageNotFoundError:
        return "not installed"
