"""A layer or a loss against its twin in torch.nn, in float64: results, gradients, state; on kinks, too.

torch is imported when a comparison runs, and not before.
"""

from __future__ import annotations

from typing import Any

from ...backends.host import Host
from .. import Loss, Module
from .report import Report, close, compare
from .subject import Subject


def compare_with_torch(module: Module | Loss, twin: Any, *inputs: Host) -> Report:
    """Compare results, gradients and the state afterwards with torch's, at 1e-9.

    Parameters
    ----------
    module
        A layer or a loss on a backend of float64. Its gradients are overwritten.
    twin
        For a layer, a torch.nn module with the same names in its state_dict: it gets the layer's state. For a
        loss, a callable of (prediction, target).
    inputs
        Host arrays: a layer's input (N, ...), infinities and NaN allowed, or a loss's prediction and target.

    Raises
    ------
    DtypeError
        If the backend's default is not float64.

    """
    import torch

    subject = Subject(module).require_float64()
    if subject.is_layer:
        twin = twin.double()
        twin.load_state_dict({name: torch.tensor(value) for name, value in subject.state().items()})
    x, *rest = (torch.tensor(array) for array in inputs)
    x.requires_grad_(x.is_floating_point())
    y = twin(x, *rest)
    y.backward(torch.tensor(subject.cotangent(tuple(y.shape))))
    theirs = {subject.output: y.detach().numpy()}
    if x.grad is not None:
        theirs[subject.inputs[0]] = x.grad.numpy()
    with subject.backend.session():  # infinities may be meant
        ours = subject.run(*inputs)
    if subject.is_layer:
        theirs |= {name: p.grad.numpy() for name, p in twin.named_parameters()}
        theirs |= {f"{name}, afterwards": value.numpy() for name, value in twin.state_dict().items()}
        ours |= {f"{name}, afterwards": value for name, value in subject.state().items()}
    return Report(str(subject), "torch.nn", compare(ours, theirs, close, same=True))
