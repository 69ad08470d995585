"""UNet and CNN out of a finished model's graph.

Exporting folds each batch normalisation into the convolution before it. Here the folded
weights go back into the modules, with a normalisation that changes nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from beetsplug.artifactnet.training.model.in_turn import graphs_of
from beetsplug.artifactnet.training.model.layers import MaskUNet, ResidualCNN

if TYPE_CHECKING:
    import onnx


@torch.no_grad()
def load_stages(mask: MaskUNet, cnn: ResidualCNN, graph: Path) -> None:
    """Fill UNet and CNN with the weights of an exported graph.

    Args:
        mask: Of the size that the graph's has.
        cnn: As well.
        graph: ONNX file of a network with a ``mask`` and a ``cnn``.

    Raises:
        ValueError: The graph has other layers than the two.
    """
    import onnx

    graphs = list(graphs_of(onnx.load(str(graph)).graph))
    tensors = {
        found.name: torch.tensor(onnx.numpy_helper.to_array(found))
        for each in graphs
        for found in each.initializer
    }
    layers = [
        [tensors[name] for name in node.input if name in tensors]
        for each in graphs
        for node in each.node
        if _is_layer(node)
    ]
    modules = [*_layers(mask), *_layers(cnn)]
    if len(layers) != len(modules):
        raise ValueError(f"{graph} has {len(layers)} layers in place of {len(modules)}")
    for module, given in zip(modules, layers, strict=True):
        _fill(module, given)
    mask.head.bias.copy_(next(v for k, v in tensors.items() if k.endswith("mask.head.bias")))


def _is_layer(node: onnx.NodeProto) -> bool:
    stage = node.name.strip("/").partition("/")[0]
    return stage in {"mask", "cnn"} and node.op_type in {"Conv", "MatMul"}


def _layers(stage: nn.Module) -> list[tuple[nn.Module, nn.BatchNorm2d | None]]:
    """Return convolutions and linear layers, in order, each with its normalisation."""
    found: list[tuple[nn.Module, nn.BatchNorm2d | None]] = []
    for module in stage.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            found.append((module, None))
        elif isinstance(module, nn.BatchNorm2d):
            found[-1] = (found[-1][0], module)
    return found


def _fill(layer: tuple[nn.Module, nn.BatchNorm2d | None], given: list[Tensor]) -> None:
    module, normalisation = layer
    weight: Tensor = module.weight  # type: ignore[assignment]
    if normalisation is None:
        # A product with many rows keeps the transpose of the weights.
        weight.copy_(given[0] if given[0].shape == weight.shape else given[0].T)
        if len(given) > 1:
            module.bias.copy_(given[1])  # type: ignore[operator]
        return
    weight.copy_(given[0])
    nn.init.ones_(normalisation.weight)
    normalisation.bias.copy_(given[1])
    normalisation.running_mean.zero_()  # type: ignore[union-attr]
    normalisation.running_var.fill_(1 - normalisation.eps)  # type: ignore[union-attr]
