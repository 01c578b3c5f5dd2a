"""Process models for lava-nc's fixed-point simulation, and the run configuration.

- ``CorrectedSigmaDelta``: the corrected neuron. lava's main branch has it, unreleased, as
  PySigmaDeltaModelFixedCorrected.
- ``StockSigmaDelta``: lava-nc 0.10.0's dynamics, unchanged.
- ``TorchConv``: the released convolution as one torch call, wrapped to 24 bits.
- ``SummingConv``, ``SummingDense``: the same sums in 64 bits, not wrapped. The released synapses
  wrap a sum before the neuron sees it, so no neuron could count overflows
  (``sdnn/reference/equations.py``). The corrected neuron gets the exact sum and wraps the state,
  which gives the same state.

Every model records its progress in a shared file, and its messages where asked to. This module
imports lava; only the simulation's own process imports it.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ann2sdnn.sdnn.lava.convolution import ExactConvolution
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

# Names of process parameters: a Progress, a file of messages, a row of overflows, and the time step
# in which the corrected neuron's bias begins to act (1 where there is none).
PROGRESS, RECORD, OVERFLOWS = "ann2sdnn_progress", "ann2sdnn_record", "ann2sdnn_overflows"
BIAS_FROM = "ann2sdnn_bias_from"

_IN_64_BITS: Any = _types.LavaPyType(_ports.PyInPort.VEC_DENSE, np.int64)
_OUT_64_BITS: Any = _types.LavaPyType(_ports.PyOutPort.VEC_DENSE, np.int64)
_ARRAY_64_BITS: Any = _types.LavaPyType(np.ndarray, np.int64)

Model = TypeVar("Model", bound=type)


def _model_of(process: Any) -> Callable[[Model], Model]:
    """Class decorator: a fixed-point CPU model of ``process`` that records its progress."""

    def register(model: Any) -> Any:
        run_spk = model.run_spk

        def watched(self: Any) -> None:
            progress: Progress | None = self.proc_params.get(PROGRESS)
            if progress is not None:
                progress.begin(self.time_step)
            run_spk(self)
            if progress is not None:
                progress.end(self.time_step)

        model.run_spk = watched
        model = _decorators.requires(CPU)(_decorators.tag("fixed_pt")(model))
        return _decorators.implements(proc=process, protocol=LoihiProtocol)(model)

    return register


def _record(model: Any, messages: NDArray[np.int32]) -> None:
    """Keep the ``messages`` of this time step, where asked to."""
    file = model.proc_params.get(RECORD)
    # Entries that are never written stay holes in the file, and read as zeros.
    if file is not None and model.time_step <= len(file) and messages.any():
        file[model.time_step - 1] = messages


@_model_of(SigmaDelta)
class CorrectedSigmaDelta(_sdn.PySigmaDeltaModelFixed):  # type: ignore[misc]
    """The corrected neuron, with the variables of lava-nc's model; ``act`` holds what was sent."""

    a_in = _IN_64_BITS

    def run_spk(self) -> None:
        """One time step."""
        synaptic = self.a_in.recv()
        if not synaptic.size == self.sigma.size == self.bias.size == self.act.size:
            # The loop checks no index.
            raise ValueError("synapses, states and biases of different sizes")
        messages = np.empty_like(self.sigma)
        acts = self.time_step >= self.proc_params.get(BIAS_FROM, 1)
        bias = self.bias if acts else np.zeros_like(self.bias)
        n_overflows = sigma_delta(
            synaptic.reshape(-1),
            self.sigma.reshape(-1),
            bias.reshape(-1),
            self.act.reshape(-1),
            self.vth.reshape(-1),
            int(self.state_exp.item()),
            messages.reshape(-1),
        )
        self.s_out.send(messages)
        _record(self, messages)
        overflows = self.proc_params.get(OVERFLOWS)
        if overflows is not None and self.time_step <= len(overflows):
            overflows[self.time_step - 1] = n_overflows


@_model_of(SigmaDelta)
class StockSigmaDelta(_sdn.PySigmaDeltaModelFixed):  # type: ignore[misc]
    """lava-nc's released neuron: bits that the right shift drops are lost."""

    def run_spk(self) -> None:
        """As ``PySigmaDeltaModelFixed.run_spk``, and recorded."""
        messages = np.right_shift(self.dynamics(self.a_in.recv()), self.state_exp)
        self.s_out.send(messages)
        _record(self, messages)


class _Convolution(_conv.PyConvModelFixed):  # type: ignore[misc]
    a_buf: Any
    _convolution: ExactConvolution | None = None
    _wraps = True

    def run_spk(self) -> None:
        """Send the last step's result and compute this step's, as the released model does."""
        if self._convolution is None:
            self._convolution = ExactConvolution(
                self.weight, self.stride, self.padding, self.dilation, int(self.groups[0])
            )
        self.a_out.send(self.a_buf)
        messages = self.s_in.recv()
        compute = self._convolution if self._wraps else self._convolution.sums
        silent = np.zeros(self.a_out.shape, np.int32 if self._wraps else np.int64)
        self.a_buf = compute(messages) if messages.any() else silent


@_model_of(Conv)
class TorchConv(_Convolution):
    """The convolution as one torch call on one thread."""


@_model_of(Conv)
class SummingConv(_Convolution):
    """``TorchConv`` whose sums are not wrapped, for ``CorrectedSigmaDelta``."""

    a_out = _OUT_64_BITS
    a_buf = _ARRAY_64_BITS
    _wraps = False


@_model_of(Dense)
class WatchedDense(DenseModel):  # type: ignore[misc]
    """lava-nc's released dense synapse."""


@_model_of(Dense)
class SummingDense(DenseModel):  # type: ignore[misc]
    """lava-nc's dense synapse in 64 bits, for ``CorrectedSigmaDelta``: 32 may wrap repeatedly."""

    a_out = _OUT_64_BITS
    a_buff = _ARRAY_64_BITS
    weights = _ARRAY_64_BITS


@_model_of(Sigma)
class WatchedSigma(_sdn.PySigmaModelFixed):  # type: ignore[misc]
    """lava-nc's released sigma unit, the neuron of slayer's Output, with a sum of 32 bits."""

    a_in = _IN_64_BITS

    def sigma_dynamics(self, a_in_data: NDArray[np.int64]) -> NDArray[np.int32]:
        """The sum so far; OverflowError where it leaves 32 bits."""
        total = self.sigma + a_in_data
        if np.abs(total).max(initial=0) > np.iinfo(np.int32).max:
            raise OverflowError("the sum that the output gives leaves its 32 bits")
        result: NDArray[np.int32] = total.astype(np.int32)
        return result


@_model_of(_sink.RingBuffer)
class RecordingSink(_sink.PyReceiveModelFixed):  # type: ignore[misc]
    """Writes what arrives to a file in every step; lava reads variables back value by value."""

    def run_spk(self) -> None:
        """Receive and write."""
        _record(self, self.a_in.recv())


class RunConfiguration(_configs.Loihi2SimCfg):  # type: ignore[misc]
    """Fixed point, with the models above and the corrected or the stock neuron."""

    def __init__(self, *, corrected: bool) -> None:
        super().__init__(
            select_tag="fixed_pt",
            exception_proc_model_map={
                SigmaDelta: CorrectedSigmaDelta if corrected else StockSigmaDelta,
                Conv: SummingConv if corrected else TorchConv,
                Dense: SummingDense if corrected else WatchedDense,
                Sigma: WatchedSigma,
                _sink.RingBuffer: RecordingSink,
            },
        )
