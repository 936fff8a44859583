"""How each layer is written to ONNX; importing this module fills the writer's table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ... import layers
from ...backends import DataError
from ...layers import Module
from ...layers.convolution.convolution import Convolution
from ...layers.convolution.transposed import ConvTranspose
from ...layers.normalization.batch_norm import BatchNorm
from ...layers.pooling.adaptive_pool import AdaptiveAvgPool
from ...layers.pooling.average_pool import AvgPool
from ...layers.pooling.max_pool import MaxPool
from ...layers.pooling.pool import Pool
from .writer import Writer, exporter


def _sides(pairs: Any) -> list[int]:
    """Return ((before, after), ...) in ONNX's order: every before, then every after."""
    return [before for before, _ in pairs] + [after for _, after in pairs]


# -- containers ------------------------------------------------------------------------------------


@exporter(layers.Sequential)
def sequential(writer: Writer, module: layers.Sequential) -> None:
    """The layers in order."""
    for name, layer in module.named_children():
        writer.module(name, layer)


@exporter(layers.Residual)
def residual(writer: Writer, module: layers.Residual) -> None:
    """Add of the body and the shortcut."""
    start, shape = writer.value, writer.shape
    writer.module("body", module.body)
    body = writer.value
    if module.shortcut is not None:
        writer.value, writer.shape = start, shape
        writer.module("shortcut", module.shortcut)
        start = writer.value
    writer.add("Add", body, start)


# -- linear maps and convolutions ------------------------------------------------------------------


@exporter(layers.Linear)
def linear(writer: Writer, module: layers.Linear) -> None:
    """Gemm for an input (N, F); MatMul and Add for more axes."""
    bias = writer.state(module, "bias")
    if len(writer.shape) == 2:
        weight = writer.state(module, "weight")
        writer.add("Gemm", *filter(None, (writer.value, weight, bias)), transB=1)
        return
    weight = writer.constant("weight", np.asarray(module.backend.to_host(module.weight.data)).T)
    writer.add("MatMul", writer.value, weight)
    if bias is not None:
        writer.add("Add", writer.value, bias)


@exporter(Convolution)
def convolution(writer: Writer, module: Convolution) -> None:
    """Conv, after a Pad unless the border is zeros."""
    padding = module.padding
    if module.padding_mode != "zeros":
        mode = {"replicate": "edge", "circular": "wrap"}.get(module.padding_mode, "reflect")
        pads = writer.constant("pads", _sides(((0, 0), (0, 0), *padding)))
        writer.add("Pad", writer.value, pads, mode=mode)
        padding = ((0, 0),) * module.rank
    _convolve(writer, module, "Conv", pads=_sides(padding))


@exporter(ConvTranspose)
def transposed(writer: Writer, module: ConvTranspose) -> None:
    """ConvTranspose; output padding is written as less padding after, until that is 0."""
    pads, extra = [], []
    for (before, after), more in zip(module.padding, module.output_padding, strict=True):
        pads.append((before, max(after - more, 0)))
        extra.append(max(more - after, 0))
    if all(more < stride for more, stride in zip(extra, module.stride, strict=True)):
        _convolve(writer, module, "ConvTranspose", pads=_sides(pads), output_padding=extra)
        return
    # ONNX allows no output padding of a stride or more; there the output is the bias alone.
    _convolve(writer, module, "ConvTranspose", names=("weight",), pads=_sides(pads))
    widths = [(0, 0), (0, 0), *((0, more) for more in extra)]
    writer.add("Pad", writer.value, writer.constant("pads", _sides(widths)))
    if module.bias is not None:
        shape = (1, module.out_channels, *(1,) * module.rank)
        bias = np.reshape(module.backend.to_host(module.bias.data), shape)
        writer.add("Add", writer.value, writer.constant("bias", bias))


def _convolve(
    writer: Writer, module: Any, operator: str, *, names: tuple[str, ...] = ("weight", "bias"), **options: Any
) -> None:
    weights = (writer.state(module, name) for name in names)
    writer.add(
        operator,
        *filter(None, (writer.value, *weights)),
        kernel_shape=module.kernel_size,
        strides=module.stride,
        dilations=module.dilation,
        group=module.groups,
        **options,
    )


@exporter(layers.Embedding)
def embedding(writer: Writer, module: layers.Embedding) -> None:
    """Gather."""
    weight = writer.state(module, "weight")
    assert weight is not None
    writer.add("Gather", weight, writer.value, axis=0)


# -- normalisation -------------------------------------------------------------------------------------


@exporter(BatchNorm)
def batch_norm(writer: Writer, module: BatchNorm) -> None:
    """BatchNormalization with the running statistics."""
    if module.running_mean is None:
        raise DataError(f"{module}: expected running statistics, got none: without them it has no ONNX form")
    momentum = 0.1 if module.momentum is None else module.momentum
    writer.add(
        "BatchNormalization",
        writer.value,
        *_affine(writer, module, (module.num_features,)),
        *filter(None, (writer.state(module, name) for name in ("running_mean", "running_var"))),
        epsilon=module.eps,
        momentum=momentum if module.momentum_of == "old" else 1.0 - momentum,
    )


@exporter(layers.LayerNorm)
def layer_norm(writer: Writer, module: layers.LayerNorm) -> None:
    """LayerNormalization."""
    shape = module.normalized_shape
    inputs = _affine(writer, module, shape)
    writer.add("LayerNormalization", writer.value, *inputs, axis=-len(shape), epsilon=module.eps)


@exporter(layers.GroupNorm)
def group_norm(writer: Writer, module: layers.GroupNorm) -> None:
    """GroupNormalization with weights per channel."""
    inputs = _affine(writer, module, (module.num_channels,))
    writer.add("GroupNormalization", writer.value, *inputs, num_groups=module.num_groups, epsilon=module.eps)


def _affine(writer: Writer, module: Any, shape: tuple[int, ...]) -> tuple[str, str]:
    weight = writer.state(module, "weight") or writer.constant("weight", np.ones(shape))
    return weight, writer.state(module, "bias") or writer.constant("bias", np.zeros(shape))


# -- pooling -------------------------------------------------------------------------------------------


def _window(module: Pool) -> dict[str, Any]:
    return {
        "kernel_shape": module.kernel_size,
        "strides": module.stride,
        "pads": _sides(module.padding),
        "dilations": module.dilation,
        "ceil_mode": int(module.ceil_mode),
    }


@exporter(MaxPool)
def max_pool(writer: Writer, module: MaxPool) -> None:
    """MaxPool."""
    writer.add("MaxPool", **_window(module))


@exporter(AvgPool)
def average_pool(writer: Writer, module: AvgPool) -> None:
    """AveragePool, times the window's size over a divisor_override."""
    counts_padding = module.count_include_pad or module.divisor_override is not None
    writer.add("AveragePool", **_window(module), count_include_pad=int(counts_padding))
    if module.divisor_override is not None:
        if module.ceil_mode:
            raise DataError(
                f"{module}: expected divisor_override or ceil_mode, got both, which have no ONNX form"
            )
        factor = float(np.prod(module.kernel_size)) / module.divisor_override
        writer.add("Mul", writer.value, writer.constant("factor", factor))


@exporter(AdaptiveAvgPool)
def adaptive_pool(writer: Writer, module: AdaptiveAvgPool) -> None:
    """GlobalAveragePool for size 1, AveragePool for equal parts, else the mean of each part along each axis.

    A product with a matrix of means would make NaN of 0 times infinity.
    """
    if set(module.output_size) == {1}:
        writer.add("GlobalAveragePool")
        return
    size, goal = writer.shape[2:], module.output_shape(writer.shape)[2:]
    if all(n % parts == 0 for n, parts in zip(size, goal, strict=True)):
        kernel = [n // parts for n, parts in zip(size, goal, strict=True)]
        writer.add("AveragePool", kernel_shape=kernel, strides=kernel)
        return
    for axis, (n, parts) in enumerate(zip(size, goal, strict=True), start=2):
        if n == parts:
            continue
        whole, along, means = writer.value, writer.constant("axis", [axis]), []
        for first, last in module.bounds(n, parts):
            ends = writer.constant("first", [first]), writer.constant("last", [last])
            writer.add("Slice", whole, *ends, along)
            means.append(writer.add("ReduceMean", writer.value, along, keepdims=1))
        writer.add("Concat", *means, axis=axis)


# -- activations ---------------------------------------------------------------------------------------

_ACTIVATIONS: dict[type[Module], Callable[[Writer, Any], Any]] = {
    layers.Identity: lambda writer, layer: None,
    layers.Dropout2d: lambda writer, layer: None,  # ONNX cannot drop whole channels; predictions drop none
    layers.ReLU: lambda writer, layer: writer.add("Relu"),
    layers.Sigmoid: lambda writer, layer: writer.add("Sigmoid"),
    layers.Tanh: lambda writer, layer: writer.add("Tanh"),
    layers.LeakyReLU: lambda writer, layer: writer.add("LeakyRelu", alpha=layer.negative_slope),
    layers.ELU: lambda writer, layer: writer.add("Elu", alpha=layer.alpha),
    layers.SELU: lambda writer, layer: writer.add("Selu", alpha=layer.alpha, gamma=layer.scale),
    layers.GELU: lambda writer, layer: writer.add("Gelu", approximate=layer.approximate),
    layers.SiLU: lambda writer, layer: writer.add("Mul", writer.value, writer.add("Sigmoid")),
    layers.Softmax: lambda writer, layer: writer.add("Softmax", axis=layer.dim),
    layers.LogSoftmax: lambda writer, layer: writer.add("LogSoftmax", axis=layer.dim),
}
for _kind, _export in _ACTIVATIONS.items():
    exporter(_kind)(_export)


@exporter(layers.Dropout)
def dropout(writer: Writer, module: layers.Dropout) -> None:
    """Dropout, the identity in predictions."""
    if module.p < 1.0:  # ONNX requires a ratio below 1
        writer.add("Dropout", writer.value, writer.constant("ratio", module.p, "float32"))


@exporter(layers.Softplus)
def softplus(writer: Writer, module: layers.Softplus) -> None:
    """Softplus(β x) / β, or x above the threshold."""
    x, beta = writer.value, writer.constant("beta", module.beta, "float32")
    scaled = writer.add("Mul", x, beta)
    smooth = writer.add("Div", writer.add("Softplus"), beta)
    above = writer.add("Greater", scaled, writer.constant("threshold", module.threshold, "float32"))
    writer.add("Where", above, x, smooth)


@exporter(layers.Hardtanh)
def hardtanh(writer: Writer, module: layers.Hardtanh) -> None:
    """Clip."""
    bounds = (writer.constant(name, getattr(module, name), "float32") for name in ("min_val", "max_val"))
    writer.add("Clip", writer.value, *bounds)


@exporter(layers.Flatten)
def flatten(writer: Writer, module: layers.Flatten) -> None:
    """Flatten, or Reshape if it joins other axes."""
    rank = len(writer.shape)
    start, end = module.start_dim % rank, module.end_dim % rank
    if (start, end) == (1, rank - 1):
        writer.add("Flatten", axis=1)
        return
    after = list(writer.shape[end + 1 :])
    shape = writer.constant("shape", [0] * start + [-1] + after)
    writer.add("Reshape", writer.value, shape)
