"""The torch backend: handles are plain torch tensors that need no gradient, on the CPU or a CUDA device.

Nothing of `torch.nn` or `torch.autograd` is used: torch is an array library here, with a GPU.
"""

from .backend import TorchBackend

__all__ = ["TorchBackend"]
