"""One file of each kind that a user of the command line may have."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from idx_files import write_idx

RNG = np.random.default_rng(0)
X = RNG.normal(size=(100, 3))
WORDS = np.where(X[:, 0] + X[:, 1] > 0, "yes", "no")
PRICE = 1e6 * (X[:, 0] - X[:, 2]) + 5e6


def write_files() -> None:
    """Write the files into the working folder."""
    rows = [",".join(map(repr, map(float, row))) for row in X]
    write = lambda name, head, lines: Path(name).write_text("\n".join([head, *lines]) + "\n")  # noqa: E731
    write("words.csv", "a,b,c,answer", [f"{row},{word}" for row, word in zip(rows, WORDS, strict=True)])
    write(
        "ints.csv", "a,b,c,answer", [f"{row},{int(w == 'yes')}" for row, w in zip(rows, WORDS, strict=True)]
    )
    write("price.csv", "a,b,c,price", [f"{row},{price}" for row, price in zip(rows, PRICE, strict=True)])
    write("features.csv", "a,b,c", rows)
    write("other_order.csv", "c,a,b", [",".join(map(repr, map(float, row[[2, 0, 1]]))) for row in X])
    write("wrong.csv", "a,bb,c", rows)
    write("nan.csv", "a,b,c,answer", ["nan,0,1,no", *(f"{r},{w}" for r, w in zip(rows, WORDS, strict=True))])
    Path("ragged.csv").write_text("1,2,3\n1,2\n3,4,5\n")
    Path("text.csv").write_text("a,b,c\n1,x,3\n1,2,3\n")
    Path("empty.csv").write_text("")
    np.savez("arrays.npz", x=X, y=WORDS)
    Path("cut.npz").write_bytes(Path("arrays.npz").read_bytes()[:500])
    images, labels = RNG.integers(0, 256, (60, 4, 4)).astype(np.uint8), (np.arange(60) % 3).astype(np.uint8)
    for place in ("idx", "idx_cut"):
        Path(place).mkdir()
        for part, piece in (("train", slice(0, 40)), ("t10k", slice(40, 60))):
            write_idx(f"{place}/{part}-images-idx3-ubyte", images[piece])
            write_idx(f"{place}/{part}-labels-idx1-ubyte", labels[piece])
    for name, record in (
        ("foreign", '{"format": "2"}'),
        ("unread", "x"),
        ("listed", "[]"),
        ("earlier", '{"format": "1"}'),
    ):
        Path(name).mkdir()
        Path(name, "model.safetensors").write_text("")
        Path(name, "run.json").write_text(record)
    cut = Path("idx_cut/train-images-idx3-ubyte")
    cut.write_bytes(cut.read_bytes()[:300])
