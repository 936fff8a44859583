"""From a program's instructions to LLVM IR: expressions, storage, kernels, and the loop over steps."""
