"""Devices and optimizer steps through Lightning Fabric."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ann2sdnn.support.errors import UsageError
from ann2sdnn.support.training.state import load_optimizer

if TYPE_CHECKING:
    from lightning_fabric import Fabric

_BETAS = (0.9, 0.99)


def make_fabric(
    accelerator: str, devices: int | list[int], *, num_nodes: int = 1, precision: str = "32-true"
) -> "Fabric":
    """Lightning Fabric on these devices, not launched yet.

    ``devices``: their number on each machine, or their indices. Raises UsageError where they cannot
    be used.
    """
    from lightning_fabric import Fabric
    from lightning_fabric.utilities.exceptions import MisconfigurationException

    try:
        return Fabric(
            accelerator=accelerator, devices=devices, num_nodes=num_nodes, precision=precision
        )
    except (MisconfigurationException, ValueError, RuntimeError) as error:
        raise UsageError(
            f"cannot train on {devices} devices of accelerator {accelerator} in precision"
            f" {precision}: {error}"
        ) from error


def launched(fabric: "Fabric") -> "Fabric":
    """``fabric``, connected to its other processes."""
    # It says at this level which process it is.
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    fabric.launch()
    return fabric


def fabric_on(name: str) -> "Fabric":
    """Lightning Fabric in this process, on the device that torch calls ``name``.

    Raises UsageError where it cannot be used.
    """
    device = usable_device(name)
    return launched(make_fabric(device.type, 1 if device.type == "cpu" else [device.index or 0]))


def usable_device(name: str) -> torch.device:
    """The device that torch calls ``name``; raises UsageError where it cannot compute."""
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()  # torch's "meta" has no values
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise UsageError(
            f"--device {name} cannot be used ({reason}); expected cpu, or a device of this machine"
            " as torch names it, such as cuda:0"
        ) from error
    return device


def adam(
    parameters: Iterable[torch.nn.Parameter], *, fused: bool | None = None
) -> torch.optim.Adam:
    """Adam (Kingma and Ba, 2015) with a group per parameter, so that each has its own rate."""
    groups = [{"params": [parameter]} for parameter in parameters]
    return torch.optim.Adam(groups, lr=0.0, betas=_BETAS, fused=fused)


class Stepper:
    """A module and its optimizer, set up by Fabric.

    ``module``: Fabric's wrapping, to be called instead of the module itself. ``state``: state dict
    of the optimizer to continue from; raises ValueError where it does not fit.
    """

    def __init__(
        self,
        fabric: "Fabric",
        module: torch.nn.Module,
        optimizer: torch.optim.Optimizer,
        state: Mapping[str, Any] | None = None,
    ) -> None:
        self._fabric, self._bare = fabric, module
        self.module, self._optimizer = fabric.setup(module, optimizer)
        if state:  # only now, so that it goes to the device on which the parameters are
            load_optimizer(optimizer, state)

    def set_rates(self, rates: Sequence[float]) -> None:
        """Set the learning rate of each group of parameters."""
        for group, rate in zip(self._optimizer.param_groups, rates, strict=True):
            group["lr"] = rate

    def first_not_finite(self) -> str | None:
        """The first parameter that is not finite, or whose gradient is not; None where all are."""
        for name, parameter in self._bare.named_parameters():
            for what, values in (("", parameter), ("the gradient of ", parameter.grad)):
                if values is not None and not bool(torch.isfinite(values).all()):
                    return what + name
        return None

    def step(self, loss: Tensor, max_norm: float | None = None) -> float:
        """Make a step down the gradient of ``loss``, whose norm is first clipped to ``max_norm``.

        Returns the norm before clipping; 0 without ``max_norm``.
        """
        self._optimizer.zero_grad()
        self._fabric.backward(loss)
        norm = 0.0
        if max_norm is not None:
            norm = float(
                self._fabric.clip_gradients(
                    self.module, self._optimizer, max_norm=max_norm, error_if_nonfinite=False
                )
            )
        self._optimizer.step()
        return norm
