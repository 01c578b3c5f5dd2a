"""A small U-Net that separates moving textured shapes from the background in 64x64 pixels."""

import numpy as np
import torch
from torch import Tensor, nn

from applications.application import Application, Sequences
from applications.scenes import LENGTH, scene

_PICTURES, _SEQUENCES = 1600, 150  # pictures for training, as many scenes, as in resnet.py
_CLASSES = 2  # background, shapes


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
        self.last = nn.Conv2d(width, _CLASSES, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Maps of the classes [N, 2, H, W] for pictures [N, 3, H, W]."""
        high = self.high(x)
        middle = self.middle(self.pool(high))
        low = self.enlarge_low(self.low(self.pool(middle)))
        joined = self.joined_middle(torch.cat([low, middle], 1))
        joined = self.joined_high(torch.cat([self.enlarge_middle(joined), high], 1))
        maps: Tensor = self.last(joined)
        return maps


def sequences(pictures: int = _PICTURES, sequences: int = _SEQUENCES) -> Sequences:
    """Frames [3, 64, 64] uint8 of three shapes, first single pictures, then sequences of 8 frames;
    the label of each pixel is 1 in a shape.
    """
    rng = np.random.default_rng(0)
    lengths = np.repeat([1, LENGTH], [pictures, sequences])
    frames, kinds = zip(*(scene(rng, 3, (7, 14), length) for length in lengths), strict=True)
    classes = (np.concatenate(kinds) > 0).astype(np.int64)
    return Sequences(np.concatenate(frames), classes, lengths)


UNET = Application(
    name="unet",
    network="U-Net: three levels of 8 to 32 channels, two concatenations",
    data="three textured shapes that move, 3x64x64, noise of 2 counts; whether a pixel is in one",
    sequences=sequences,
    build=UNet,
    epochs=4,
    trained_on=_PICTURES / (_PICTURES + _SEQUENCES),
    task="output",  # its maps are no heat maps of joints
    scale=1 / 255,
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
)
