"""Reverse-mode differentiation of a graph of numbers, in thirty lines.

The mathematics, as it is printed. The chain rule sums over all paths from the result to x, and a
path contributes the product of its derivatives. So each node adds an arriving gradient to its own, and
passes it on, times the derivative, to the nodes of which it is a function.

Your task:

1. python reverse_mode.py
   The gradient is right. Count the visits at 4, 8 and 16 doublings. What would 40 layers of a residual
   network take?
2. What does a node know at its first visit, and what must it wait for?
3. Mend `backward`: order the nodes so that each comes after all nodes that use it, and visit each once.
"""

import sys


class Node:
    """A number, and a (node, derivative) pair for each node of which it is a function."""

    visits = 0

    def __init__(self, value, made_of=()):
        self.value, self.made_of, self.grad = value, made_of, 0.0

    def __add__(self, other):
        return Node(self.value + other.value, ((self, 1.0), (other, 1.0)))

    def __mul__(self, other):
        return Node(self.value * other.value, ((self, other.value), (other, self.value)))

    def backward(self, grad=1.0):
        """Add this gradient and pass it on."""
        Node.visits += 1
        self.grad += grad
        for node, derivative in self.made_of:
            node.backward(grad * derivative)


if __name__ == "__main__":
    in_order = True
    for doublings in (4, 8, 16):
        Node.visits = 0
        x = y = Node(3.0)
        for _ in range(doublings):
            y = y + y
        y.backward()
        nodes = doublings + 1
        in_order &= x.grad == 2.0**doublings and Node.visits <= nodes
        print(f"{doublings} doublings: gradient {x.grad:g}, {Node.visits} visits of {nodes} nodes")
    print("each node once" if in_order else "NOT each node once")
    sys.exit(not in_order)
