"""A layered layout of a graph (Sugiyama): edges point down; groups are rectangles around their nodes."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from graphlib import TopologicalSorter

import numpy as np

from ..host import Host
from .data import SMALL, GraphData

Size = tuple[float, float]
Point = tuple[float, float]

BESIDE = 14.0  # between neighbours in a layer
GAP = 11.0  # between a row of boxes and a row of labels
PAD = 9.0  # between a frame and its content
CAPTION = 28.0  # above the content of a frame
LABEL = 5.0  # between a line and its label
WIDEST = 800.0  # of a layer, if nodes without sources or targets can move to other layers


@dataclass(eq=False)
class Cell:
    """A place in a layer, for a node, for a label, for a long edge to pass, or kept free for a group."""

    layer: int
    frames: list[str]
    """The groups around it, the outermost first."""
    left: float = 1.0
    """From its x to its left end."""
    right: float = 1.0
    height: float = 0.0
    x: float = 0.0
    y: float = 0.0
    above: list[Cell] = field(default_factory=list, repr=False)
    below: list[Cell] = field(default_factory=list, repr=False)


@dataclass
class Frame:
    """The rectangle of a group."""

    left: float
    right: float
    top: float
    bottom: float


@dataclass
class Layout:
    """Positions in points; y points down."""

    nodes: list[Cell]
    chains: list[list[Cell]]
    """The cells of each edge, from the upper node to the lower one; the second holds the label."""
    frames: dict[str, Frame]
    size: Size


def layout(
    graph: GraphData, sizes: Sequence[Size], labels: Sequence[Size], captions: dict[str, float]
) -> Layout:
    """Return where a graph's nodes, edges and groups stand.

    sizes: of the nodes. labels: sizes of the edges' labels, (0, 0) if there is none. captions: widths of the
    groups' captions.
    """
    arcs = _acyclic(len(sizes), [(edge.source, edge.target) for edge in graph.edges])
    ranks = _narrowed(_ranks(len(sizes), arcs), arcs, [width for width, _ in sizes])
    step = 2 if any(width for width, _ in labels) else 1  # labels stand in every other layer
    nodes = [
        Cell(step * rank, graph.enclosing(node.group), width / 2, width / 2, height)
        for node, rank, (width, height) in zip(graph.nodes, ranks, sizes, strict=True)
    ]
    chains = [_chain(nodes[a], nodes[b], label) for (a, b), label in zip(arcs, labels, strict=True)]
    cells = [*nodes, *(cell for chain in chains for cell in chain[1:-1])]
    spans: dict[str, range] = {}
    for group in graph.groups:
        layers = {cell.layer for cell in cells if group in cell.frames}
        if layers:
            spans[group] = range(min(layers), max(layers) + 1)
            cells += [Cell(i, graph.enclosing(group)) for i in spans[group] if i not in layers]
    rows = [
        [cell for cell in cells if cell.layer == i]
        for i in range(max((c.layer for c in cells), default=-1) + 1)
    ]
    for upper, lower in (pair for chain in chains for pair in itertools.pairwise(chain)):
        upper.below.append(lower)
        lower.above.append(upper)
    rows = _ordered(rows)
    pulls = []
    for edge, chain in zip(graph.edges, chains, strict=True):
        main = 1 if graph.nodes[edge.source].kind in SMALL else 8
        for upper, lower in itertools.pairwise(chain):
            ends = (upper is chain[0]) + (lower is chain[-1])
            # Straight first: long edges, steps from layer to layer, edges inside groups, lower edges.
            straight = 4 if len(chain) <= step + 1 else (8, 1)[ends]
            shared = len([group for group in upper.frames if group in lower.frames])
            pulls.append((upper, lower, main * straight * (1 + shared) * (1 + 0.003 * upper.layer)))
    frames = _place_across(rows, pulls, {group: captions[group] + 2 * PAD for group in spans})
    _place_down(rows, spans, frames, step)
    right = max([0.0, *(cell.x + cell.right for cell in cells), *(frame.right for frame in frames.values())])
    bottom = max([0.0, *(c.y + c.height / 2 for c in cells), *(frame.bottom for frame in frames.values())])
    return Layout(nodes, chains, frames, (right, bottom))


def _acyclic(n: int, edges: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the edges, reversed if they close a cycle (depth-first search)."""
    after: list[list[int]] = [[] for _ in range(n)]
    for a, b in edges:
        after[a].append(b)
    left: dict[int, int] = {}  # the order in which the search leaves the nodes
    entered: set[int] = set()
    for root in range(n):
        stack = [(root, iter(after[root]))] if root not in entered else []
        entered.add(root)
        while stack:
            node, rest = stack[-1]
            child = next((c for c in rest if c not in entered), None)
            if child is None:
                left[node] = len(left)
                stack.pop()
            else:
                entered.add(child)
                stack.append((child, iter(after[child])))
    return [(a, b) if left[a] > left[b] else (b, a) for a, b in edges]


def _ranks(n: int, arcs: Iterable[tuple[int, int]]) -> list[int]:
    """Return the layer of each node: below its sources, or just above its targets if these are as many."""
    sources: list[set[int]] = [set() for _ in range(n)]
    targets: list[set[int]] = [set() for _ in range(n)]
    for a, b in arcs:
        sources[b].add(a)
        targets[a].add(b)
    order = list(TopologicalSorter(dict(enumerate(sources))).static_order())
    ranks = [0] * n
    for b in order:
        ranks[b] = max((ranks[a] + 1 for a in sources[b]), default=0)
    for a in reversed(order):
        if targets[a] and len(targets[a]) >= len(sources[a]):
            ranks[a] = min(ranks[b] for b in targets[a]) - 1
    return ranks


def _narrowed(ranks: list[int], arcs: list[tuple[int, int]], widths: list[float]) -> list[int]:
    """Return the ranks, with nodes moved out of wide layers: up if no arc enters, down if none leaves."""
    ranks = list(ranks)
    for side, step in ((1, -1), (0, 1)):
        fixed = {arc[side] for arc in arcs}
        rank = max(ranks, default=0) if step < 0 else min(ranks, default=0)
        while row := [i for i, other in enumerate(ranks) if other == rank]:
            width = sum(widths[i] + BESIDE for i in row)
            for i in reversed([i for i in row if i not in fixed][1:]):
                if width > WIDEST:
                    ranks[i] += step
                    width -= widths[i] + BESIDE
            rank += step
    return [rank - min(ranks) for rank in ranks]


def _chain(upper: Cell, lower: Cell, label: Size) -> list[Cell]:
    """Return the cells of an edge: one in each layer that it passes, the first as large as its label."""
    shared = [group for group in upper.frames if group in lower.frames]
    between = [Cell(i, shared) for i in range(upper.layer + 1, lower.layer)]
    if label[0]:
        between[0].right, between[0].height = LABEL + label[0], label[1]
    return [upper, *between, lower]


def _ordered(rows: list[list[Cell]]) -> list[list[Cell]]:
    """Return the layers in an order with few crossings: the best of several starts and sweeps.

    A sweep sorts each layer by the means of the cells' neighbours. A group's cells stay together, and groups
    stand in one order in all layers.
    """
    best, fewest = rows, np.inf
    first = [sorted(row, key=lambda cell: bool(cell.above)) for row in rows]  # sources to the left
    for rows in (first, [row[::-1] for row in first]):
        for row in rows:
            _pack(row)
        for sweep in range(16):
            rows = _swept(rows, down=sweep % 2 == 0)
            crossings = sum(map(_crossings, rows))
            if crossings < fewest:
                best, fewest = rows, crossings
    return best


def _swept(rows: list[list[Cell]], *, down: bool) -> list[list[Cell]]:
    """Return the layers, each sorted by the cells' neighbours in the layer above (down) or below."""
    outside: dict[str, list[float]] = {}
    for cell in itertools.chain(*rows):
        for group in cell.frames:
            near = [other.x for other in (*cell.above, *cell.below) if group not in other.frames]
            outside.setdefault(group, []).extend(near)
    means = {group: float(np.mean(xs or [0.0])) for group, xs in outside.items()}
    result = []
    for row in rows if down else rows[::-1]:
        keys = {}
        for cell in row:
            near = [other.x for other in (cell.above if down else cell.below)] or [cell.x]
            keys[cell] = [*((means[group], group) for group in cell.frames), (sum(near) / len(near), "")]
        result.append(sorted(row, key=keys.__getitem__))
        _pack(result[-1])
    return result if down else result[::-1]


def _pack(row: list[Cell]) -> None:
    """Place a layer's cells side by side, around 0."""
    x = -sum(cell.left + cell.right + BESIDE for cell in row) / 2
    for cell in row:
        cell.x = x + cell.left
        x += cell.left + cell.right + BESIDE


def _crossings(row: list[Cell]) -> int:
    """Return how many edges cross below a layer."""
    ends = np.array([(cell.x, other.x) for cell in row for other in cell.below]).reshape(-1, 2)
    apart = ends[:, None] - ends
    return int((apart[..., 0] * apart[..., 1] < 0).sum()) // 2


def _place_across(
    rows: list[list[Cell]], pulls: list[tuple[Cell, Cell, float]], widths: dict[str, float]
) -> dict[str, Frame]:
    """Set x of all cells, and return the frames with their sides: nothing overlaps, edges are straight.

    widths: the least width of each group's frame.
    """
    cells = list(itertools.chain(*rows))
    number = {cell: i for i, cell in enumerate(cells)}
    sides = {group: (len(cells) + 2 * i, len(cells) + 2 * i + 1) for i, group in enumerate(widths)}
    apart = [(*sides[group], width) for group, width in widths.items()]
    for row in rows:
        # From left to right: (variable, its extents left and right, "(" or ")" for a frame's side).
        walk: list[tuple[int, float, float, str]] = []
        around: list[str] = []
        for cell in [*row, Cell(0, [])]:
            common = len([group for group in around if group in cell.frames])
            walk += [(sides[group][1], 0.0, 0.0, ")") for group in reversed(around[common:])]
            walk += [(sides[group][0], 0.0, 0.0, "(") for group in cell.frames[common:]]
            around = cell.frames
            if cell in number:
                walk.append((number[cell], cell.left, cell.right, ""))
        for (u, _, right, opens), (v, left, _, closes) in itertools.pairwise(walk):
            apart.append((u, v, right + left + (PAD if opens == "(" or closes == ")" else BESIDE)))
    drawn = [(number[a], number[b], weight) for a, b, weight in pulls]
    x = _solve(len(cells) + 2 * len(sides), apart, drawn + [(a, b, 1.0) for a, b in sides.values()])
    x -= min([*(x[i] - cell.left for i, cell in enumerate(cells)), *x[len(cells) :]], default=0.0)
    for i, cell in enumerate(cells):
        cell.x = float(x[i])
    return {group: Frame(float(x[left]), float(x[right]), 0.0, 0.0) for group, (left, right) in sides.items()}


def _solve(n: int, apart: list[tuple[int, int, float]], pulls: list[tuple[int, int, float]]) -> Host:
    """Return x that minimises sum w |x_a - x_b| over pulls (a, b, w), if x_v - x_u >= d over apart (u, v, d).

    Interior-point method: Newton steps on t sum w |x_a - x_b| - sum log(x_v - x_u - d) while t grows.
    """
    u, v, d = (np.array(column) for column in zip(*apart, strict=True)) if apart else (np.zeros(0, int),) * 3
    a, b, w = (np.array(column) for column in zip(*pulls, strict=True)) if pulls else (np.zeros(0, int),) * 3
    x = np.zeros(n)
    while (short := x[v] - x[u] < d + 1).any():
        np.maximum.at(x, v[short], x[u[short]] + d[short] + 2)

    def value(x: Host, t: float) -> float:
        slack, far = x[v] - x[u] - d, x[a] - x[b]
        if (slack <= 0).any():
            return np.inf
        return float(t * (w @ np.hypot(far, 0.3) + 1e-6 * x @ x) - np.log(slack).sum())

    for t in 0.01 * 6.0 ** np.arange(7):
        for _ in range(12):
            slack, far = x[v] - x[u] - d, x[a] - x[b]
            pull = t * w / np.hypot(far, 0.3)
            gradient, hessian = 2e-6 * t * x, np.diag(np.full(n, 2e-6 * t))
            for i, j, force, stiffness in ((a, b, pull * far, pull), (v, u, -1 / slack, slack**-2)):
                np.add.at(gradient, i, force)
                np.add.at(gradient, j, -force)
                for place, sign in (((i, i), 1), ((j, j), 1), ((i, j), -1), ((j, i), -1)):
                    np.add.at(hessian, place, sign * stiffness)
            step = np.linalg.solve(hessian, -gradient)
            gain, size, before = float(gradient @ step), 1.0, value(x, t)
            while value(x + size * step, t) > before + 0.01 * size * gain and size > 1e-6:
                size /= 2
            x = x + size * step
            if -gain < 0.01:
                break
    return x


def _place_down(rows: list[list[Cell]], spans: dict[str, range], frames: dict[str, Frame], step: int) -> None:
    """Set y of all cells, the frames' tops and bottoms, and heights where edges pass between boxes."""
    above: dict[str, float] = {}
    below: dict[str, float] = {}
    for group in sorted(spans, key=len, reverse=True):  # the inner ones first
        inner = [other for other in above if other.startswith(f"{group}.")]
        above[group] = CAPTION + max((above[g] for g in inner if spans[g][0] == spans[group][0]), default=0.0)
        below[group] = PAD + max((below[g] for g in inner if spans[g][-1] == spans[group][-1]), default=0.0)
    y = 0.0
    for i, row in enumerate(rows):
        far = max((abs(cell.x - other.x) for cell in row for other in cell.above), default=0.0)
        y += GAP + min(0.1 * far, 4 * GAP) if i else 0.0
        y += max((above[group] for group in spans if spans[group][0] == i), default=0.0)
        height = max((cell.height for cell in row), default=0.0)
        for cell in row:
            cell.y = y + height / 2
            cell.height = cell.height or (0.0 if i % step else height)
        for group, frame in frames.items():
            if spans[group][0] == i:
                frame.top = y - above[group]
            if spans[group][-1] == i:
                frame.bottom = y + height + below[group]
        y += height + max((below[group] for group in spans if spans[group][-1] == i), default=0.0)


def ends(chains: list[list[Cell]], *, up: bool) -> list[float]:
    """Return where each edge meets its lower node (up) or its upper node: spread over the node's side."""
    result = [0.0] * len(chains)
    at: dict[Cell, list[tuple[float, float, int]]] = {}
    for i, chain in enumerate(chains):
        node, other = (chain[-1], chain[-2]) if up else (chain[0], chain[1])
        aim = (node.x + other.x) / 2 if len(chain) == 2 else other.x
        reach = 0.8 * node.right
        at.setdefault(node, []).append((min(max(aim, node.x - reach), node.x + reach), other.x, i))
    for node, wanted in at.items():
        wanted.sort()
        apart = min(9.0, 1.6 * node.right / len(wanted))
        xs = [x for x, _, _ in wanted]
        for k in range(1, len(xs)):
            xs[k] = max(xs[k], xs[k - 1] + apart)
        for k in reversed(range(len(xs))):
            xs[k] = min(xs[k], node.x + 0.8 * node.right - apart * (len(xs) - 1 - k))
        for x, (_, _, i) in zip(xs, wanted, strict=True):
            result[i] = x
    return result
