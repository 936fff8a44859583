"""Graphs: DOT text, folding, the layout's guarantees on random graphs, pictures."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lamina.backends.drawing import COLOURS, Graph, Group
from lamina.backends.drawing.layout import BESIDE, LABEL, Cell, Layout, layout


def test_labels_are_escaped() -> None:
    graph = Graph()
    first = graph.add('<a & "b">\n\x00', "unary")
    graph.connect(first, graph.add("", "none", "f"), '"\\')
    assert "label=<&lt;a &amp; &quot;b&quot;&gt;<BR/>" in graph.source
    assert 'label=" \\"\\\\"' in graph.source
    assert "\x00" not in graph.source


def test_groups_are_nested_clusters() -> None:
    graph = Graph(groups={"0": Group("outer"), "0.1": Group("inner")})
    for group in ("", "0", "0.1"):
        graph.add(f"in {group}", group=group)
    lines = [line.strip() for line in graph.source.splitlines()]
    order = ["n0", 'label="outer"', "n1", 'label="inner"', "n2"]
    places = [next(i for i, line in enumerate(lines) if line.split(" ")[0] == word) for word in order]
    assert places == sorted(places)
    assert lines[-4:] == [lines[-4], "}", "}", "}"]


def test_an_edge_is_drawn_once_and_never_to_its_own_source() -> None:
    graph = Graph()
    a, b = graph.add("a"), graph.add("b")
    for source, target in ((a, b), (a, b), (a, a)):
        graph.connect(source, target)
    assert len(graph.edges) == 1


def test_folding_replaces_the_innermost_groups_first() -> None:
    graph = Graph("t", groups={"0": Group("outer", "outer box", "unary"), "0.1": Group("inner", "inner box")})
    nodes = [graph.add(str(i), "move", group) for i, group in enumerate(["", "0", "0.1", "0.1", ""])]
    for a, b in itertools.pairwise(nodes):
        graph.connect(a, b)
    assert graph.folded(5) is graph
    once, twice = graph.folded(4), graph.folded(3)
    assert [(n.label, n.kind, n.group) for n in once.nodes][2] == ("inner box", "move", "0")
    assert [edge[:2] for edge in once.edges] == [(0, 1), (1, 2), (2, 3)]
    assert [(n.label, n.kind, n.group) for n in twice.nodes][1] == ("outer box", "unary", "")
    assert twice.groups == {}
    assert len(graph.folded(1).nodes) == 3, "nodes outside groups stay"


# -- the layout --------------------------------------------------------------------------------------

GROUPS = ["", "a", "b", "a.c", "a.d", "a.c.e"]


@st.composite
def graphs(draw: Any) -> tuple[Graph, list[Any], list[Any]]:
    """Draw a graph, cycles and lone nodes included, with the sizes of its boxes and labels."""
    n = draw(st.integers(1, 14))
    graph = Graph(groups={path: Group(path) for path in GROUPS[1:]})
    for _ in range(n):
        graph.add("", draw(st.sampled_from(["", "input"])), draw(st.sampled_from(GROUPS)))
    for a, b in draw(st.lists(st.tuples(*[st.integers(0, n - 1)] * 2), max_size=20)):
        graph.connect(a, b)
    size = st.tuples(st.floats(10, 200), st.floats(10, 60))
    label = st.one_of(st.just((0.0, 0.0)), st.just((40.0, 9.0)))
    return graph, [draw(size) for _ in range(n)], [draw(label) for _ in graph.edges]


def boxes(places: Layout) -> list[tuple[float, float, float, float]]:
    return [(c.x - c.left, c.x + c.right, c.y - c.height / 2, c.y + c.height / 2) for c in places.nodes]


def apart(a: Any, b: Any) -> bool:
    """Return whether two rectangles (left, right, top, bottom) are clear of each other."""
    return bool(a[1] < b[0] or b[1] < a[0] or a[3] < b[2] or b[3] < a[2])


@settings(max_examples=60, deadline=None)
@given(graphs())
def test_no_two_things_overlap(case: Any) -> None:
    graph, sizes, labels = case
    places = layout(graph, sizes, labels, dict.fromkeys(graph.groups, 50.0))
    rectangles = boxes(places)
    texts = [
        (chain[1].x, chain[1].x + LABEL + label[0], chain[1].y - 4, chain[1].y + 4)
        for chain, label in zip(places.chains, labels, strict=True)
        if label[0]
    ]
    for a, b in itertools.combinations(rectangles + texts, 2):
        assert apart(a, b)
    frames = {path: (f.left, f.right, f.top, f.bottom) for path, f in places.frames.items()}
    for node, box in zip(graph.nodes, rectangles, strict=True):
        for path, (left, right, top, bottom) in frames.items():
            if path in graph.enclosing(node.group):
                assert left < box[0] < box[1] < right
                assert top < box[2] < box[3] < bottom
            else:
                assert apart((left, right, top, bottom), box), (path, node)
    for (p, a), (q, b) in itertools.combinations(frames.items(), 2):
        assert apart(a, b) or q.startswith(f"{p}.") or p.startswith(f"{q}.")
        assert min(a[1] - a[0], b[1] - b[0]) >= 50
    width, height = places.size
    for left, right, top, bottom in [*rectangles, *frames.values()]:
        assert left >= -1e-6
        assert top >= -1e-6
        assert right <= width
        assert bottom <= height


@settings(max_examples=30, deadline=None)
@given(graphs())
def test_edges_lead_down_and_pass_no_box(case: Any) -> None:
    graph, sizes, labels = case
    places = layout(graph, sizes, labels, dict.fromkeys(graph.groups, 50.0))
    rectangles = boxes(places)
    for edge, chain in zip(graph.edges, places.chains, strict=True):
        assert {chain[0], chain[-1]} == {places.nodes[edge.source], places.nodes[edge.target]}
        for upper, lower in itertools.pairwise(chain):
            assert upper.y + upper.height / 2 < lower.y - lower.height / 2
        for cell in chain[1:-1]:
            assert all(apart((cell.x, cell.x, cell.y, cell.y), box) for box in rectangles)


def chain_of(n: int) -> Graph:
    graph = Graph()
    for i in range(n):
        graph.add(f"{i}")
        if i:
            graph.connect(i - 1, i)
    return graph


def centres(cells: list[Cell]) -> list[float]:
    return [cell.x for cell in cells]


def test_a_chain_with_a_skip_is_straight() -> None:
    graph = chain_of(6)
    graph.connect(1, 4)
    places = layout(graph, [(30.0 + 20 * (i % 2), 20.0) for i in range(6)], [(0.0, 0.0)] * 6, {})
    assert max(centres(places.nodes)) - min(centres(places.nodes)) < 1
    around = centres(places.chains[-1][1:-1])
    assert max(around) - min(around) < 1
    assert abs(around[0] - places.nodes[2].x) > 15


TREE = np.random.default_rng(0).permutation(31).tolist()
PLANAR = [
    [(TREE[(i - 1) // 2], TREE[i]) for i in range(1, 31)],
    # One sweep, or one start, leaves a crossing in these.
    [(1, 5), (2, 4), (2, 5), (3, 5)],
    [(0, 6), (1, 2), (2, 6), (2, 8), (5, 6), (7, 8)],
]


@pytest.mark.parametrize("edges", PLANAR)
def test_edges_do_not_cross_needlessly(edges: list[tuple[int, int]]) -> None:
    graph = Graph()
    for _ in range(31):
        graph.add("")
    for source, target in edges:
        graph.connect(source, target)
    places = layout(graph, [(20.0, 20.0)] * 31, [(0.0, 0.0)] * len(edges), {})
    links = [link for chain in places.chains for link in itertools.pairwise(chain)]
    for (a, b), (c, d) in itertools.combinations(links, 2):
        assert a.layer != c.layer or (a.x - c.x) * (b.x - d.x) >= 0


@pytest.mark.parametrize("inward", [True, False])
def test_many_inputs_or_outputs_are_drawn_in_rows(inward: bool) -> None:
    graph = Graph()
    hub = graph.add("hub")
    for i in range(40):
        node = graph.add(f"{i}")
        graph.connect(*((node, hub) if inward else (hub, node)))
    places = layout(graph, [(100.0, 30.0)] * 41, [(0.0, 0.0)] * 40, {})
    assert places.size[0] < 40 * (100 + BESIDE) / 2, "half as wide as in one row"


# -- pictures ----------------------------------------------------------------------------------------


def test_one_file_for_a_picture_and_text_beside_it_for_other_names(tmp_path: Path) -> None:
    graph = chain_of(3)
    for ending, start in (("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")):
        assert graph.render(tmp_path / f"a.{ending}").read_bytes().startswith(start)
    assert len(list(tmp_path.iterdir())) == 3
    assert graph.render(str(tmp_path / "b.gv")) == tmp_path / "b.svg"
    assert (tmp_path / "b.gv").read_text() == graph.source


def test_a_picture_is_opened_if_the_system_can(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[list[str]] = []
    monkeypatch.setattr("shutil.which", lambda name: "/bin/opener")
    monkeypatch.setattr("subprocess.run", lambda command, **_: called.append(command))
    picture = chain_of(2).render(tmp_path / "a.png", view=True)
    monkeypatch.setattr("shutil.which", lambda name: None)
    chain_of(2).render(tmp_path / "a.png", view=True)
    assert called == [["/bin/opener", str(picture)]]


def test_every_text_is_in_the_picture() -> None:
    graph = Graph("$title$ " * 20, groups={"g": Group("a caption")})
    a = graph.add("a <b>\nsmall_1^2\n" + "long " * 40, "unary", "g")
    graph.connect(a, graph.add("", "no such kind"), "(4, 2)")
    svg = graph.to("svg").decode()
    for text in ("$title$", "a &lt;b&gt;", "small_1^2", "long long", "a caption", "(4, 2)", COLOURS["unary"]):
        assert text in svg
    assert graph.to("svg").decode() == svg, "equal graphs are equal files"


def test_the_picture_of_nothing_and_of_very_much() -> None:
    assert Graph("nothing").to("png").startswith(b"\x89PNG")
    assert chain_of(150).to("png").startswith(b"\x89PNG")


def test_the_settings_of_matplotlib_do_not_matter() -> None:
    from matplotlib import rc_context

    plain = chain_of(2).to("svg")
    with rc_context({"font.size": 30, "font.family": "serif", "axes.facecolor": "red", "savefig.dpi": 10}):
        assert chain_of(2).to("svg") == plain
