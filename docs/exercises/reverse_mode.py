"""Reverse-mode differentiation of a graph of numbers, in thirty lines.

The mathematics, as its reader would believe it. The chain rule sums over all paths from the result to x: a
path contributes the product of the derivatives along it. So each node adds the gradient that reaches it to
what it has, and passes it on, times its derivative, to the nodes that it was made of.

Your task:

1. python reverse_mode.py
   The gradient is right. Count the visits at 4, 8 and 16 doublings. What would 40 layers of a residual
   network take?
2. What does a node know at its first visit, and what would it have to wait for?
3. Mend `backward`: order the nodes so that each comes after all that use it, and visit each of them once.
"""

import sys


class Node:
    """A number, and the (node, derivative) pairs that it was made of."""

    visits = 0

    def __init__(self, value, made_of=()):
        self.value, self.made_of, self.grad = value, made_of, 0.0

    def __add__(self, other):
        return Node(self.value + other.value, ((self, 1.0), (other, 1.0)))

    def __mul__(self, other):
        return Node(self.value * other.value, ((self, other.value), (other, self.value)))

    def backward(self, grad=1.0):
        """Add this gradient, and pass it on."""
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
