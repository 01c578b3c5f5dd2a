"""Networks of lava-dl's own sigma-delta blocks, trained for a few steps and exported by slayer."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ann2sdnn.sdnn.lava.importing import import_lava

slayer: Any = import_lava("lava.lib.dl.slayer")
blocks: Any = slayer.block.sigma_delta

MESSAGE_UNITS = 4096


def neuron(threshold: float = 0.0, **more: Any) -> dict[str, Any]:
    """Parameters of a sigma-delta neuron, as lava-dl's tutorials give them."""
    return {
        "threshold": threshold,
        "tau_grad": 0.5,
        "scale_grad": 1,
        "requires_grad": False,
        "shared_param": True,
        "activation": torch.relu,
        **more,
    }


def normed(threshold: float = 0.0, **more: Any) -> dict[str, Any]:
    """The same with a mean-only batch norm, which becomes the layer's bias."""
    return neuron(threshold, norm=slayer.neuron.norm.MeanOnlyBatchNorm, **more)


def inputs(shape: Sequence[int], n_frames: int, seed: int = 0) -> Tensor:
    """A picture that moves, values -1 to 2: [1, C, H, W, T] or [1, N, T]."""
    rng = np.random.default_rng(seed)
    first = rng.uniform(-0.3, 1.2, shape)
    frames = [np.roll(first, t, axis=-1) * (1 + 0.1 * t) for t in range(n_frames)]
    return torch.from_numpy(np.stack(frames, axis=-1)[None].astype(np.float32))


def train(network: Sequence[Any], x: Tensor, n_steps: int = 4) -> None:
    """Some steps towards a random target: weights, batch-norm means, thresholds where trainable.

    A forward pass ends it: without one, ``Output`` exports the weights of the step before.
    """
    modules = torch.nn.ModuleList(network)
    modules.train()
    forward(network, x)  # creates what is created at the first call
    weights = [p for p in modules.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(weights, lr=0.02)
    target: Tensor | None = None
    for _ in range(n_steps):
        optimizer.zero_grad()
        output = forward(network, x)
        if target is None:
            generator = torch.Generator().manual_seed(0)
            target = output.detach() + 0.1 * torch.randn(output.shape, generator=generator)
        loss = torch.nn.functional.mse_loss(output, target)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    modules.eval()
    forward(network, x)


def untrained(network: Sequence[Any], x: Tensor) -> list[Any]:
    """``network`` after one forward pass, without which slayer cannot export it."""
    modules = torch.nn.ModuleList(network).eval()
    forward(network, x)
    return list(modules)


def forward(network: Sequence[Any], x: Tensor) -> Tensor:
    """slayer's own output."""
    for block in network:
        x = block(x)
    return x


def export(network: Sequence[Any], path: Path) -> Path:
    """As lava-dl's tutorials export a network."""
    with h5py.File(path, "w") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        layers = file.create_group("layer")
        for index, block in enumerate(network):
            block.export_hdf5(layers.create_group(str(index)))
    return path


@torch.no_grad()
def delayed(network: Sequence[Any], x: Tensor) -> list[NDArray[np.int64]]:
    """What each block with a neuron sends, in message units [T + l + 1, ...], in one forward pass
    of a network whose blocks have ``delay_shift=True``, after one silent step.
    """
    n_frames = x.shape[-1]
    x = network[0](x)
    quiet = torch.zeros_like(x[..., :1])
    x = torch.cat([quiet, x, *[quiet] * len(network)], dim=-1)
    sent: list[NDArray[np.int64]] = []
    for block in network[1:]:
        x = block(x)
        if hasattr(block, "neuron"):
            sent.append(units(x)[1 : n_frames + len(sent) + 2])
    return sent


@torch.no_grad()
def pipelined(
    network: Sequence[Any], x: Tensor, last_units: int = MESSAGE_UNITS
) -> list[NDArray[np.int64]]:
    """What each block with a neuron sends, in message units [T + l + 1, ...], when every layer
    takes a time step: slayer's own forward, with one silent step before each layer's input.
    ``last_units`` in 1.0 of the last block's output.
    """
    sent: list[NDArray[np.int64]] = []
    for position, block in enumerate(network):
        if position > 0 and hasattr(block, "neuron"):
            x = torch.cat([torch.zeros_like(x[..., :1]), x], dim=-1)
        x = block(x)
        if position > 0 and hasattr(block, "neuron"):
            sent.append(units(x, last_units if block is network[-1] else MESSAGE_UNITS))
    return sent


def units(x: Tensor, units_in_one: int = MESSAGE_UNITS) -> NDArray[np.int64]:
    """Whole units, time first: [T, ...] from [1, ..., T]."""
    values = x[0].movedim(-1, 0).detach().numpy().astype(np.float64) * units_in_one
    whole: NDArray[np.int64] = np.rint(values).astype(np.int64)
    assert np.array_equal(whole, values)
    return whole
