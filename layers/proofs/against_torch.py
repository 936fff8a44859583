"""A layer or loss against its twin in torch.nn, in float64: output, gradients, state. On kinks, too.

torch is the oracle here; it is imported when something is compared, and not before.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import Loss, Module
from .passes import check_width, cotangent, run_layer, run_loss
from .report import Report, compare

Host = np.ndarray[Any, Any]

RTOL = 1e-9
ATOL = 1e-12


def compare_layer(layer: Module, twin: Any, x: Host) -> Report:
    """Compare a layer's passes, and its state after them, with torch's.

    Parameters
    ----------
    layer
        On a backend of float64. Its gradients are overwritten.
    twin
        The torch.nn module. It takes the layer's state, whose names it must have.
    x
        A host array (N, ...), infinities and NaN allowed; integers where the layer takes indices.

    Raises
    ------
    DtypeError
        If the backend's default is not float64.

    """
    import torch

    check_width(layer)
    twin = twin.double()
    twin.load_state_dict({name: torch.tensor(value) for name, value in layer.state_dict().items()})
    theirs = torch.tensor(x, requires_grad=x.dtype.kind == "f")
    y = twin(theirs)
    g = cotangent(tuple(y.shape))
    y.backward(torch.tensor(g))
    right = {"output": y.detach().numpy()}
    if theirs.grad is not None:
        right["input"] = theirs.grad.numpy()
    right |= {name: p.grad.numpy() for name, p in twin.named_parameters()}
    with layer.backend.session():  # infinities are meant
        ours = run_layer(layer, x, g)
    report = Report(str(layer), "torch.nn", compare(ours, right, close, same=True))
    states = {f"{name}, afterwards": value.numpy() for name, value in twin.state_dict().items()}
    mine = {f"{name}, afterwards": value for name, value in layer.state_dict().items()}
    report.differences += compare(mine, states, close, same=True)
    return report


def compare_loss(loss: Loss, twin: Any, prediction: Host, target: Host) -> Report:
    """Compare a loss and the gradient of the prediction with torch's.

    Parameters
    ----------
    loss
        On a backend of float64.
    twin
        A callable of (prediction, target) torch tensors.
    prediction, target
        Host arrays: floats, and integers for labels.

    Raises
    ------
    DtypeError
        If the backend's default is not float64.

    """
    import torch

    check_width(loss)
    theirs = torch.tensor(prediction, requires_grad=True)
    value = twin(theirs, torch.tensor(target))
    whole = loss.reduction != "none"
    value.backward(None if whole else torch.tensor(cotangent(tuple(value.shape))))
    assert theirs.grad is not None
    right = {"loss": value.detach().numpy(), "prediction": theirs.grad.numpy()}
    with loss.backend.session():
        ours = run_loss(loss, prediction, target)
    return Report(str(loss), "torch.nn", compare(ours, right, close, same=True))


def close(name: str, right: Host) -> Host:
    """Return the bar of a comparison in float64, for each element."""
    return ATOL + RTOL * np.abs(right, dtype=np.float64)
