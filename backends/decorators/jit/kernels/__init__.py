"""Loop nests over strided arrays, as text of LLVM IR: what a traced program is made of."""
