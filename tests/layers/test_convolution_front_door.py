"""README's convolution is the one that opens the package, and computes what `Conv2d` computes."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path
from typing import Any

import numpy as np

from lamina.backends import Backend
from lamina.layers import Conv2d
from lamina.layers.convolution import MyConv2d

README = Path(__file__).parents[2] / "README.md"


class Unannotated(ast.NodeTransformer):
    def visit_arg(self, node: ast.arg) -> ast.arg:
        node.annotation = None
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)


def code(source: str) -> str:
    """Return the class of a source without its annotations."""
    classes = [node for node in ast.parse(source).body if isinstance(node, ast.ClassDef)]
    return ast.unparse(Unannotated().visit(classes[0]))


def test_the_package_opens_with_the_class_of_readme() -> None:
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    (readme,) = [block for block in blocks if "class MyConv2d" in block]
    assert code(readme) == code(inspect.getsource(MyConv2d))


def test_it_computes_what_conv2d_computes(backend64: Backend) -> None:
    b, draw = backend64, np.random.default_rng(0).standard_normal
    x, g = b.from_host(draw((4, 3, 6, 5))), b.from_host(draw((4, 2, 4, 3)))
    idea, conv = MyConv2d(3, 2, 3, b), Conv2d(3, 2, 3, bias=False, backend=b)
    conv.weight.set(idea.weight.data)
    results: list[list[Any]] = []
    for layer in (idea, conv):
        y, grad = layer(x), layer.backward(g)
        results.append([b.to_host(t) for t in (y, grad, layer.weight.grad)])
    for mine, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-12, atol=1e-12)
