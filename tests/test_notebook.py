"""The last line of a notebook's cell, or of a prompt, shows a table or a picture."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest

from lamina.backends import OptionError, get_backend
from lamina.backends.notebook import table
from lamina.train.loop.callbacks import ProgressBar

# Each cell, the representation of its last line, and words in it.
CELLS: list[tuple[str, str, tuple[str, ...]]] = [
    (
        """
import numpy as np
import lamina
from lamina.layers import CrossEntropyLoss, Linear, ReLU, Sequential, named_scopes
from lamina.train.data import Dataset
from lamina.train.loop.metrics import confusion_matrix
from lamina.train.loop.trainer import Trainer
from lamina.train import pictures
from lamina.train.optimizers import SGD
from lamina.train.pictures.graphs import draw_layers
from lamina.train.profiling import Roof, draw_roofline

def network(backend):
    return Sequential(Linear(2, 4, backend=backend), ReLU(backend=backend), Linear(4, 2, backend=backend))

b = lamina.get_backend("profile+numpy")
x = np.random.default_rng(0).standard_normal((40, 2))
labels = (x[:, 0] > 0).astype(np.int64)
model = network(b)
model.summary()
""",
        "html",
        ("<th", "Linear(2 -&gt; 4)", "(N, 4)", "total", "22"),
    ),
    ("lamina.check(model, x)", "html", ("Sequential: proven", "differences", "of the bar")),
    (
        """
class Wrong(ReLU):
    def backward(self, g):
        return self.backend.mul(g, 2.0)

lamina.check(Wrong(), x)
""",
        "html",
        ("Wrong(): NOT proven", "use multiply"),
    ),
    (
        """
trainer = Trainer(model, CrossEntropyLoss(backend=b), SGD(model.parameters(), lr=0.1))
trainer.fit((x, labels), epochs=40)
""",
        "html",
        ("train_loss", "...", "39"),
    ),
    ("b.report()", "html", ("profile+numpy float32", "<th", "linear", "FLOP/s")),
    ("b.report().op_table()", "html", ("<th", "linear")),
    ("lamina.variable(x).exp().sum().draw_graph()", "svg", ("<svg", "exp")),
    ("draw_layers(model)", "svg", ("<svg", "ReLU()")),
    ("pictures.learning_curves(trainer.history)", "png", ()),
    ("pictures.confusion_matrix(confusion_matrix(labels, labels), ['left', 'right'])", "png", ()),
    ("pictures.regression_scatter(x[:, 0], x[:, 1])", "png", ()),
    (
        "pictures.decision_boundary(lambda p: p[:, 0], x, labels, classes=['left', 'right'], resolution=20)",
        "png",
        (),
    ),
    (
        "pictures.decision_boundaries({'one': lambda p: p[:, 0]}, x, labels, classes='ab', resolution=20)",
        "png",
        (),
    ),
    ("draw_roofline(b.report(), Roof(1e9, 1e9))", "png", ()),
    (
        "Dataset('mine', x, labels, classes=('a', 'b'))",
        "text",
        ("<data set mine: 40 samples of shape (2,), 2 classes>",),
    ),
]


def run(cell: str, names: dict[str, Any]) -> Any:
    """Run a cell; return the value of its last line, as a notebook does."""
    *body, last = ast.parse(cell).body
    exec(compile(ast.Module(body, []), "cell", "exec"), names)
    assert isinstance(last, ast.Expr)
    return eval(compile(ast.Expression(last.value), "cell", "eval"), names)


def test_every_cell_shows_a_table_or_a_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for cell, kind, words in CELLS:
        value = run(cell, names)
        shown = repr(value) if kind == "text" else getattr(value, f"_repr_{kind}_")()
        assert all(word in shown for word in words), cell
        assert kind != "png" or shown.startswith(b"\x89PNG"), cell
        assert kind == "png" or "object at 0x" not in repr(value), cell
        if kind == "html":
            assert shown.startswith(("<table", "<p>", "<pre>")), cell
            assert "(rows=" not in repr(value), cell  # no text of a dataclass at a prompt, either
            assert "Proof(" not in repr(value), cell
    assert not list(tmp_path.iterdir())


def test_a_crosscheck_shows_a_table() -> None:
    pytest.importorskip("torch", reason="it needs a second backend")
    b = get_backend("crosscheck(torch)+numpy")
    b.exp(b.from_host([1.0, 2.0]))
    report: Any = b.report()  # type: ignore[attr-defined]
    assert repr(report) == str(report)
    assert all(word in report._repr_html_() for word in ("<table", "0 divergences", "exp", "worst in"))


def test_a_progress_bar_takes_a_console() -> None:
    with pytest.raises(OptionError, match="ProgressBar: expected a rich Console or none, got 30"):
        ProgressBar(30)  # type: ignore[arg-type]


def test_a_table_is_escaped() -> None:
    text = table(("<a>", "n"), [("<script>&", "1")], total=("\"'", "2"), caption="<b>")
    assert "<script>" not in text
    for word in ("&lt;a&gt;", "&lt;script&gt;&amp;", "&quot;&#x27;", "&lt;b&gt;", "right"):
        assert word in text
