"""The device that a training runs on."""

import torch

from ann2sdnn.support.errors import UsageError


def usable_device(name: str) -> torch.device:
    """The device that torch calls ``name``; UsageError where it cannot compute."""
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
