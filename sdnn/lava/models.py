"""Process models of our own for lava-nc's fixed-point simulation, and the run configuration.

- ``CorrectedSigmaDelta``: its reference follows what was really sent, so nothing that the right
  shift drops is lost. lava's main branch has it, unreleased, as PySigmaDeltaModelFixedCorrected.
- ``StockSigmaDelta``: lava-nc 0.10.0's own dynamics, untouched.
- ``TorchConv``: the released model convolves one pair of channels at a time in SciPy; this one is
  a single call, certified exact in float32 or else done in float64, and wrapped to 24 bits.
- ``SummingConv``, ``SummingDense``: the same sums, not wrapped, in 64 bits. The released synapses
  wrap a sum before the neuron sees it, so that no neuron could count what overflows
  (``sdnn/reference`` says what does); the corrected neuron gets the exact sum and wraps the
  state, which ends at the same number.

Every model notes its progress in a shared file and may record what it sends. This module imports
lava; only the simulation's own process does that.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ann2sdnn.graph.kinds import Convolution
from ann2sdnn.graph.operations import linear
from ann2sdnn.sdnn.lava.importing import import_lava
from ann2sdnn.sdnn.lava.job import Progress
from ann2sdnn.sdnn.lava.kernels import sigma_delta

_decorators: Any = import_lava("lava.magma.core.decorator")
_ports: Any = import_lava("lava.magma.core.model.py.ports")
_types: Any = import_lava("lava.magma.core.model.py.type")
_conv: Any = import_lava("lava.proc.conv.models")
_sdn: Any = import_lava("lava.proc.sdn.models")
_sink: Any = import_lava("lava.proc.io.sink")
_configs: Any = import_lava("lava.magma.core.run_configs")
Conv: Any = import_lava("lava.proc.conv.process").Conv
SigmaDelta: Any = import_lava("lava.proc.sdn.process").SigmaDelta
Sigma: Any = import_lava("lava.proc.sdn.process").Sigma
Dense: Any = import_lava("lava.proc.dense.process").Dense
LoihiProtocol: Any = import_lava("lava.magma.core.sync.protocols.loihi_protocol").LoihiProtocol
CPU: Any = import_lava("lava.magma.core.resources").CPU
DenseModel: Any = import_lava("lava.proc.dense.models").PyDenseModelBitAcc

implements, requires, tag = _decorators.implements, _decorators.requires, _decorators.tag

# Products of an even weight and a message are even, and float32 counts to 2^24 of them.
_EXACT_LIMIT = 2.0**25
PROGRESS, RECORD = "ann2sdnn_progress", "ann2sdnn_record"
OVERFLOWS = "ann2sdnn_overflows"


class _Watched:
    """Notes when a time step begins and ends, and records what is sent where a file is given."""

    proc_params: Any
    time_step: int

    def run_spk(self) -> None:
        """One time step of the model this is mixed into."""
        progress: Progress | None = self.proc_params.get(PROGRESS)
        if progress is None:
            super().run_spk()  # type: ignore[misc]
            return
        progress.begin(self.time_step)
        super().run_spk()  # type: ignore[misc]
        progress.end(self.time_step)

    def record(self, messages: NDArray[np.int32]) -> None:
        """Keep ``messages`` [W, H, C] of this time step, where asked to."""
        file = self.proc_params.get(RECORD)
        # What is never written stays a hole in the file, and reads as zeros.
        if file is not None and self.time_step <= len(file) and messages.any():
            file[self.time_step - 1] = messages


class _SigmaDeltaCore(_sdn.PySigmaDeltaModelFixed):  # type: ignore[misc]
    """The corrected dynamics; the variables are those of lava-nc's own model."""

    a_in: Any = _types.LavaPyType(_ports.PyInPort.VEC_DENSE, np.int64)

    def run_spk(self) -> None:
        """``act`` holds the reference: what was sent so far, in state units."""
        synaptic = self.a_in.recv()
        if not synaptic.size == self.sigma.size == self.bias.size == self.act.size:
            raise ValueError("synapses, states and biases of different sizes")  # the loop trusts it
        messages = np.empty_like(self.sigma)
        wrapped = sigma_delta(
            synaptic.reshape(-1),
            self.sigma.reshape(-1),
            self.bias.reshape(-1),
            self.act.reshape(-1),
            int(self.vth.item()),
            int(self.state_exp.item()),
            messages.reshape(-1),
        )
        self.s_out.send(messages)
        self.record(messages)
        overflows = self.proc_params.get(OVERFLOWS)
        if overflows is not None and self.time_step <= len(overflows):
            overflows[self.time_step - 1] = wrapped


class _StockCore(_sdn.PySigmaDeltaModelFixed):  # type: ignore[misc]
    """lava-nc's dynamics as released."""

    def run_spk(self) -> None:
        """As ``PySigmaDeltaModelFixed.run_spk``, and recorded."""
        messages = np.right_shift(self.dynamics(self.a_in.recv()), self.state_exp)
        self.s_out.send(messages)
        self.record(messages)


@implements(proc=SigmaDelta, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class CorrectedSigmaDelta(_Watched, _SigmaDeltaCore):
    """Sigma, bias, ReLU, delta; the delta unit keeps what its right shift drops."""


@implements(proc=SigmaDelta, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class StockSigmaDelta(_Watched, _StockCore):
    """lava-nc's released neuron: what the right shift drops is lost."""


class _TorchConvCore(_conv.PyConvModelFixed):  # type: ignore[misc]
    a_buf: Any
    _kernel: "ExactConvolution | None" = None
    _wraps = True

    def run_spk(self) -> None:
        """Send the last step's result and compute this step's, as the released model does."""
        if self._kernel is None:
            self._kernel = ExactConvolution(
                self.weight, self.stride, self.padding, self.dilation, int(self.groups[0])
            )
        self.a_out.send(self.a_buf)
        messages = self.s_in.recv()
        compute = self._kernel if self._wraps else self._kernel.sums
        silent = np.zeros(self.a_out.shape, np.int32 if self._wraps else np.int64)
        self.a_buf = compute(messages) if messages.any() else silent


@implements(proc=Conv, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class TorchConv(_Watched, _TorchConvCore):
    """The convolution as one torch call on one thread."""


@implements(proc=Conv, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class SummingConv(_Watched, _TorchConvCore):
    """``TorchConv`` whose sums are not wrapped, for ``CorrectedSigmaDelta``."""

    a_out: Any = _types.LavaPyType(_ports.PyOutPort.VEC_DENSE, np.int64)
    a_buf: Any = _types.LavaPyType(np.ndarray, np.int64)
    _wraps = False


@implements(proc=Conv, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class ReleasedConv(_Watched, _conv.PyConvModelFixed):  # type: ignore[misc]
    """lava-nc's released convolution."""


@implements(proc=Dense, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class WatchedDense(_Watched, DenseModel):  # type: ignore[misc]
    """lava-nc's released dense synapse."""


@implements(proc=Dense, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class SummingDense(_Watched, DenseModel):  # type: ignore[misc]
    """lava-nc's released dense synapse computing in 64 bits, for ``CorrectedSigmaDelta``: in its
    own 32 a sum may wrap more than once.
    """

    a_out: Any = _types.LavaPyType(_ports.PyOutPort.VEC_DENSE, np.int64)
    a_buff: Any = _types.LavaPyType(np.ndarray, np.int64)
    weights: Any = _types.LavaPyType(np.ndarray, np.int64)


@implements(proc=Sigma, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class WatchedSigma(_Watched, _sdn.PySigmaModelFixed):  # type: ignore[misc]
    """lava-nc's released sigma unit, the neuron of slayer's Output. Its sum has 32 bits there."""

    a_in: Any = _types.LavaPyType(_ports.PyInPort.VEC_DENSE, np.int64)

    def sigma_dynamics(self, a_in_data: NDArray[np.int64]) -> NDArray[np.int32]:
        """The sum so far; OverflowError where it leaves 32 bits."""
        total = self.sigma + a_in_data
        if np.abs(total).max(initial=0) > np.iinfo(np.int32).max:
            raise OverflowError("the sum that the output gives leaves its 32 bits")
        result: NDArray[np.int32] = total.astype(np.int32)
        return result


@implements(proc=_sink.RingBuffer, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class RecordingSink(_sink.PyReceiveModelFixed):  # type: ignore[misc]
    """Writes what arrives to a file, step by step; reading a variable back is one value a time."""

    def run_spk(self) -> None:
        """Receive and write."""
        messages = self.a_in.recv()
        file = self.proc_params[RECORD]
        if messages.any():
            file[self.time_step - 1] = messages


class RunConfiguration(_configs.Loihi2SimCfg):  # type: ignore[misc]
    """Fixed point, with the models above. ``corrected``: which neuron; ``released_convolution``:
    lava-nc's own instead of ours, whose wrapped sums hide overflows from the neuron's count.
    """

    def __init__(self, *, corrected: bool, released_convolution: bool) -> None:
        convolution = SummingConv if corrected else TorchConv
        super().__init__(
            select_tag="fixed_pt",
            exception_proc_model_map={
                SigmaDelta: CorrectedSigmaDelta if corrected else StockSigmaDelta,
                Conv: ReleasedConv if released_convolution else convolution,
                Dense: SummingDense if corrected else WatchedDense,
                Sigma: WatchedSigma,
                _sink.RingBuffer: RecordingSink,
            },
        )


class ExactConvolution:
    """A convolution of int32 messages [W, H, C] with lava's weights (O, W, H, I). Columns come
    first throughout: in memory that is torch's channels-last.
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
        self.geometry = Convolution(
            stride=(int(stride[0]), int(stride[1])),
            pads=(*pads, *pads),
            dilation=(int(dilation[0]), int(dilation[1])),
            groups=groups,
        )
        # lava convolves, torch correlates.
        # A copy, because axes of one element keep their negative stride in ascontiguousarray.
        flipped = weight[:, ::-1, ::-1].transpose(0, 3, 1, 2).copy()
        self._weight = torch.from_numpy(flipped).to(torch.float32)
        self._weight = self._weight.contiguous(memory_format=torch.channels_last)
        # [groups, O / groups, I / groups]: times each channel's largest message it bounds every
        # partial sum, in whatever order they are added.
        norms = self._weight.abs().sum(dim=(2, 3)).to(torch.float64)
        self._norms = norms.reshape(groups, -1, norms.shape[1])
        self._double: torch.Tensor | None = None

    def __call__(self, messages: NDArray[np.int32]) -> NDArray[np.int32]:
        """[W', H', O], wrapped to signed 24-bit integers."""
        wrapped = ((self.sums(messages) + 0x800000) & 0xFFFFFF) - 0x800000
        array: NDArray[np.int32] = wrapped.astype(np.int32)
        return array

    @torch.no_grad()
    def sums(self, messages: NDArray[np.int32]) -> NDArray[np.int64]:
        """[W', H', O], exact."""
        x = torch.from_numpy(messages).permute(2, 0, 1)[None]
        peaks = torch.from_numpy(np.abs(messages).max(axis=(0, 1)).astype(np.float64))
        bound = torch.einsum("goi,gi->go", self._norms, peaks.reshape(len(self._norms), -1)).max()
        if float(bound) < _EXACT_LIMIT:
            result = linear(self.geometry, x.to(torch.float32), self._weight)
        else:
            if self._double is None:
                self._double = self._weight.double()
            result = linear(self.geometry, x.double(), self._double)
        array: NDArray[np.int64] = result.to(torch.int64)[0].permute(1, 2, 0).contiguous().numpy()
        return array
