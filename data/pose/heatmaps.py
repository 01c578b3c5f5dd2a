"""Heat maps, the pose network's targets (one Gaussian per joint), and decoding them to pixels."""

import math

import numpy as np
import torch
from numpy.typing import NDArray

from ann2sdnn.data.pose.joints import N_JOINTS
from ann2sdnn.data.pose.scale import WHOLE, PictureScale
from ann2sdnn.support.errors import ModelError

SIGMA_PX = 4.0


def draw_heatmaps(
    pixels: torch.Tensor,
    visible: torch.Tensor,
    height: int,
    width: int,
    scale: PictureScale = WHOLE,
) -> torch.Tensor:
    """Draw heat maps [n, 13, height, width] float32 on the device of ``pixels``.

    ``pixels`` [n, 13, 2] holds (column, row), which may lie outside the picture (a crop then shows
    the Gaussian's tail); ``visible`` [n, 13] is bool, and the map of a masked joint is zero. DHP19
    blurs a single one with a Gaussian of 4 px and scales the result to a maximum of 1, which is
    exp(-(dx^2 + dy^2) / (2 sigma^2)): an outer product of two one-dimensional Gaussians. In resized
    pictures, which have this ``scale``, the 4 px are those of the whole picture.
    """
    across = _gaussian(pixels[..., 0], width, SIGMA_PX / scale.across) * visible[..., None]
    down = _gaussian(pixels[..., 1], height, SIGMA_PX / scale.down)
    return down[..., :, None] * across[..., None, :]  # [n, 13, H, 1] * [n, 13, 1, W]


def decode_heatmaps(
    maps: NDArray[np.float32] | torch.Tensor,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Find the first maximum, in row-major order, of each map of ``maps`` [n, 13, H, W].

    Returns (column, row) [n, 13, 2] int64 and the maxima [n, 13] float32. Ties matter: a silent
    map answers (0, 0). NumPy promises the first maximum where torch does not, so NumPy decodes.
    """
    if isinstance(maps, torch.Tensor):
        array: NDArray[np.float32] = maps.detach().float().cpu().contiguous().numpy()
    else:
        array = maps
    *_, height, width = array.shape
    flat = array.reshape(*array.shape[:-2], height * width)
    index = flat.argmax(axis=-1)
    confidence = np.take_along_axis(flat, index[..., None], axis=-1)[..., 0]
    pixels = np.stack([index % width, index // width], axis=-1).astype(np.int64)
    return pixels, confidence.astype(np.float32)


def are_heatmaps(output_shape: tuple[int, ...], frame_shape: tuple[int, int, int]) -> bool:
    """Whether outputs of (O, H, W) are one map per joint, in the size of the frames (C, H, W)."""
    return tuple(output_shape) == (N_JOINTS, *frame_shape[1:])


def check_heatmaps(
    called: str, output_shape: tuple[int, ...], frame_shape: tuple[int, int, int]
) -> None:
    """Raise ModelError unless the network ``called`` so answers with one map per joint, in the
    size of its frames (C, H, W).
    """
    if not are_heatmaps(output_shape, frame_shape):
        raise ModelError(
            f"{called}: the network answers with outputs of shape {tuple(output_shape)}, the pose"
            f" task needs {(N_JOINTS, *frame_shape[1:])}; choose --task output"
        )


def heatmap_loss(
    maps: torch.Tensor, target: torch.Tensor, scale: PictureScale = WHOLE
) -> torch.Tensor:
    """Mean squared error of heat maps [n, 13, H, W], in units of one Gaussian's energy.

    A Gaussian's square sums up to pi sigma^2, so an all-zero map costs about 1 per joint. The
    unit only keeps the gradients far above RMSprop's epsilon, whatever the size of the pictures.
    ``scale``: of resized pictures, as for ``draw_heatmaps``.
    """
    n_maps = target.shape[0] * target.shape[1]
    energy = math.pi * SIGMA_PX**2 / (scale.across * scale.down)
    return (maps - target).square().sum() / (n_maps * energy)


def _gaussian(centre: torch.Tensor, length: int, sigma_px: float) -> torch.Tensor:
    """Gaussians [n, 13, length] with maximum 1 at ``centre`` [n, 13]."""
    position = torch.arange(length, device=centre.device, dtype=torch.float32)
    distance = position - centre[..., None].to(torch.float32)
    return torch.exp(distance.square() / (-2.0 * sigma_px**2))
