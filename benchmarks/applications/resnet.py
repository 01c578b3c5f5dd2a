"""A ResNet-18 that names the textured shape which moves through a picture of 64x64."""

import numpy as np
from torch import Tensor, nn

from applications.application import Application, Sequences
from applications.scenes import LENGTH, scene
from applications.shapes import N_SHAPES

# Of few scenes the network learns the colours by heart, so it is trained on a picture each of many.
_PICTURES, _SEQUENCES = 4000, 200


class BasicBlock(nn.Module):
    """Two convolutions, and a shortcut: the identity, or a 1x1 convolution with a stride."""

    def __init__(self, n_in: int, n_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(n_out)
        self.conv2 = nn.Conv2d(n_out, n_out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(n_out)
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or n_in != n_out:
            self.shortcut = nn.Sequential(
                nn.Conv2d(n_in, n_out, 1, stride, bias=False), nn.BatchNorm2d(n_out)
            )

    def forward(self, x: Tensor) -> Tensor:
        """The block's output for ``x`` [N, C, H, W]."""
        inner = self.bn1(self.conv1(x)).relu()
        result: Tensor = (self.bn2(self.conv2(inner)) + self.shortcut(x)).relu()
        return result


def resnet18(width: int = 16) -> nn.Sequential:
    """ResNet-18 (He et al. 2016) with ``width`` channels in its first stage instead of 64."""
    blocks, n_in = [], width
    for n_out, stride in zip((1, 2, 4, 8), (1, 2, 2, 2), strict=True):
        blocks += [BasicBlock(n_in, n_out * width, stride)]
        blocks += [BasicBlock(n_out * width, n_out * width, 1)]
        n_in = n_out * width
    return nn.Sequential(
        nn.Conv2d(3, width, 7, 2, 3, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.MaxPool2d(3, 2, 1),
        *blocks,
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(n_in, N_SHAPES),
    )


def sequences(pictures: int = _PICTURES, sequences: int = _SEQUENCES) -> Sequences:
    """Frames [3, 64, 64] uint8 of one shape, whose class is the label: first single pictures, then
    sequences of 8 frames.
    """
    rng = np.random.default_rng(0)
    lengths = np.repeat([1, LENGTH], [pictures, sequences])
    frames, pixels = zip(*(scene(rng, 1, (9, 18), length) for length in lengths), strict=True)
    classes = [each.max() - 1 for each in pixels]
    return Sequences(np.concatenate(frames), np.repeat(classes, lengths), lengths)


RESNET = Application(
    name="resnet",
    network="ResNet-18 of 16 to 128 channels",
    data="textured shapes that move, 3x64x64, pixel noise of 2 counts",
    sequences=sequences,
    build=resnet18,
    epochs=10,
    trained_on=_PICTURES / (_PICTURES + _SEQUENCES),
    scale=1 / 255,
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
)
