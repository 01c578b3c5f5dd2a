"""lava's convolution as one torch call: exact sums, in float32 where that holds them.

The released model convolves one pair of channels at a time in SciPy.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from ann2sdnn.graph.kinds import Convolution
from ann2sdnn.graph.operations import channels_last
from ann2sdnn.sdnn.engine.exact import ExactLinear, narrow_if_exact
from ann2sdnn.sdnn.reference.equations import wrapped
from ann2sdnn.sdnn.spec.grid import EXACT_SUM


class ExactConvolution:
    """A convolution of int32 messages [W, H, C] with lava's weights (O, W, H, I).

    Columns come first throughout, which in memory is torch's channels-last order.
    """

    def __init__(
        self,
        weight: NDArray[np.int32],
        stride: NDArray[np.int8],
        padding: NDArray[np.int8],
        dilation: NDArray[np.int8],
        groups: int,
    ) -> None:
        pads = (int(padding[0]), int(padding[1]))
        geometry = Convolution(
            stride=(int(stride[0]), int(stride[1])),
            pads=(*pads, *pads),
            dilation=(int(dilation[0]), int(dilation[1])),
            groups=groups,
        )
        # lava convolves, torch correlates.
        # A copy, because axes of one element keep their negative stride in ascontiguousarray.
        flipped = torch.from_numpy(weight[:, ::-1, ::-1].transpose(0, 3, 1, 2).copy())
        self._linear = ExactLinear(
            geometry, channels_last(flipped.float()), flipped.shape[1] * groups, EXACT_SUM
        )

    def __call__(self, messages: NDArray[np.int32]) -> NDArray[np.int32]:
        """[W', H', O], wrapped to signed 24-bit integers."""
        return wrapped(self.sums(messages)).astype(np.int32)

    @torch.no_grad()
    def sums(self, messages: NDArray[np.int32]) -> NDArray[np.int64]:
        """[W', H', O], exact."""
        x = torch.from_numpy(messages).permute(2, 0, 1)[None].double()
        result = self._linear(narrow_if_exact(x)).to(torch.int64)
        array: NDArray[np.int64] = result[0].permute(1, 2, 0).contiguous().numpy()
        return array
