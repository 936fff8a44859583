"""Numbers that passes and kernels share."""

LONGEST = 8192
"""The most terms of a sum that are added one after the other to one number."""
BYTES = {"float32": 4, "float64": 8, "int64": 8, "bool": 1}
"""The bytes of an element, by dtype."""
ALIGNMENT = 64
"""The bytes of a cache line, at which places in memory begin."""


def aligned(size: int) -> int:
    """Return a number of bytes, up to a whole cache line; at least one."""
    return -(-max(size, 1) // ALIGNMENT) * ALIGNMENT
