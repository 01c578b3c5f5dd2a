"""A small U-Net that marks moving textured shapes in a picture of 64x64 by their kind."""

import numpy as np
import torch
from torch import Tensor, nn

from applications.application import Application, Sequences
from applications.scenes import LENGTH, scene
from applications.shapes import N_SHAPES

_SEQUENCES = 300


def _double(n_in: int, n_out: int) -> nn.Sequential:
    """Two convolutions with batch normalisation and ReLU."""
    return nn.Sequential(
        nn.Conv2d(n_in, n_out, 3, padding=1, bias=False),
        nn.BatchNorm2d(n_out),
        nn.ReLU(),
        nn.Conv2d(n_out, n_out, 3, padding=1, bias=False),
        nn.BatchNorm2d(n_out),
        nn.ReLU(),
    )


class UNet(nn.Module):
    """After Ronneberger et al. 2015, with three levels of ``width``, 2 and 4 times ``width``
    channels; the lowest is enlarged by nearest upsampling, the middle one by a transposed
    convolution.
    """

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.high = _double(3, width)
        self.middle = _double(width, 2 * width)
        self.low = _double(2 * width, 4 * width)
        self.pool = nn.MaxPool2d(2)
        self.enlarge_low = nn.Upsample(scale_factor=2)
        self.joined_middle = _double(6 * width, 2 * width)
        self.enlarge_middle = nn.ConvTranspose2d(2 * width, width, 2, stride=2)
        self.joined_high = _double(2 * width, width)
        self.last = nn.Conv2d(width, 1 + N_SHAPES, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Maps of the classes [N, 5, H, W] for pictures [N, 3, H, W]."""
        high = self.high(x)
        middle = self.middle(self.pool(high))
        low = self.enlarge_low(self.low(self.pool(middle)))
        joined = self.joined_middle(torch.cat([low, middle], 1))
        joined = self.joined_high(torch.cat([self.enlarge_middle(joined), high], 1))
        maps: Tensor = self.last(joined)
        return maps


def sequences(number: int = _SEQUENCES) -> Sequences:
    """Frames [3, 64, 64] uint8 of three shapes; the labels are the classes of all pixels."""
    rng = np.random.default_rng(0)
    frames, classes = zip(*(scene(rng, 3, (7, 14)) for _ in range(number)), strict=True)
    return Sequences(np.concatenate(frames), np.concatenate(classes), np.full(number, LENGTH))


UNET = Application(
    name="unet",
    network="U-Net: three levels of 8 to 32 channels, two concatenations",
    data="three textured shapes that move, 3x64x64, pixel noise of 2 counts; their pixels",
    sequences=sequences,
    build=UNet,
    epochs=10,
    task="output",  # its maps are no heat maps of joints
    scale=1 / 255,
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
)
