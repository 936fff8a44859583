"""The passes, one file each: a pass takes a program and returns one that computes the same, and is better."""
