"""`Bound`: the memory of a run."""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina.backends import get_backend
from lamina.backends.decorators.jit.bound import Bound, address_of
from lamina.backends.decorators.jit.compiler import native
from lamina.backends.decorators.jit.decorator import JitBackend
from lamina.backends.meta import Meta


def test_padding_holds_no_denormals() -> None:
    """What an earlier array left in the padding would be computed with: denormals take 30 times as long."""
    backend: Any = JitBackend(get_backend("numpy", dtype="float32"))  # type: ignore[abstract]  # by funnelled
    traced = backend.trace(
        lambda batch, numbers: (backend.matmul(batch[0], batch[1]),), [Meta((17, 17), "float32")] * 2
    )
    code = native(traced.program, ordered=True)
    x, order = np.eye(17, dtype=np.float32), np.arange(17)
    size = code.table.workspace + 64
    for _ in range(20):  # freed memory is given to who asks next
        np.full(size // 4, 1e-40, np.float32)
    y = np.empty((17, 17), np.float32)
    bound = Bound(code, [x, x], order, {}, [y], {}, 1)
    assert not bound.workspace.any()
    assert bound.run()
    np.testing.assert_array_equal(y, x)
    with np.errstate(all="ignore"):
        padding = bound.workspace[: bound.workspace.size // 4 * 4].view(np.float32)
        assert not np.any((padding != 0) & (np.abs(padding) < np.finfo(np.float32).tiny))


def test_addresses() -> None:
    table = np.arange(12.0).reshape(3, 4)
    fixed = table.copy()
    fixed.flags.writeable = False
    for array in (table, table[1:], table[2], fixed, np.zeros((0, 3)), np.array(1.0), table[:, 1:]):
        assert address_of(array) == array.ctypes.data
