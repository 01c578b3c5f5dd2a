"""The lava backend: the lowered network in lava-nc's fixed-point simulation.

Outputs are those of the converted network, in the same units, and equal to the engine's but for
what ``LoweredSpec.differences`` names. So biases begin to act with the first frame, as they do in
the engine. Messages and operations are those of the lowered network, summed over the layers that
come from the same converted layer: pooling becomes a tree of layers, a packed grid has neurons
beyond its border, and in a network with branches values are carried past layers, and count with
these.
"""

import tempfile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ann2sdnn.sdnn.engine.run import (
    BackendResult,
    CountsOf,
    MessageCounter,
    blank_result,
    check_is_stateful,
    check_spec_frames,
    input_messages,
)
from ann2sdnn.sdnn.lava.importing import check_lava
from ann2sdnn.sdnn.lava.memory import check_backend_memory
from ann2sdnn.sdnn.lava.run import LavaRun, run_lava
from ann2sdnn.sdnn.lowering.lower import lower_spec
from ann2sdnn.sdnn.netx.export import write_netx
from ann2sdnn.sdnn.spec.grid import MESSAGE_MAX
from ann2sdnn.sdnn.spec.network import network_from_spec
from ann2sdnn.sdnn.spec.spec import Spec
from ann2sdnn.support.errors import UsageError
from ann2sdnn.support.progress import SILENT, Reporter


class LavaBackend:
    """Runs ``spec`` in lava-nc's pipeline of layers.

    A simulation cannot be continued, so a second ``run`` without a ``reset`` simulates the frames
    before it again: pass all frames of a recording at once. Raises UsageError where a layer is
    memoryless, ConversionError where the network cannot be lowered, SimulationError when lava dies
    or hangs. No process and no shared memory of lava remains in any case.
    """

    frames_at_once = 16  # the pipeline takes as many time steps to fill as it has layers
    counts_of: CountsOf = "lowered"

    def __init__(
        self, spec: Spec, *, hang_seconds: float = 300.0, reporter: Reporter = SILENT
    ) -> None:
        check_lava()
        check_is_stateful(spec, "lava")
        self.spec = spec
        self.hang_seconds = hang_seconds
        self.reporter = reporter
        self.lowered = lower_spec(spec)
        check_backend_memory(self.lowered.spec)
        self._origins = [part.origin for part in self.lowered.parts]
        self._counter = MessageCounter(network_from_spec(self.lowered.spec))
        self.reset()

    def reset(self) -> None:
        """Forget everything: the next frame is the first of a recording."""
        dtype = getattr(torch, self.spec.preprocessing.dtype)
        self._frames = torch.zeros((0, *self.spec.input_shape), dtype=dtype)

    def run(self, frames: Tensor, *, keep_messages: bool = False) -> BackendResult:
        """Process frames [T, C, H, W], one after another.

        Raises DataError for frames that the network does not take.
        """
        if keep_messages:
            raise UsageError("lava's messages are too many to be kept; simulate compares them")
        check_spec_frames(self.spec, frames)
        if len(frames) == 0:
            return blank_result(self.spec, 0)
        n_before = len(self._frames)
        self._frames = torch.cat([self._frames, frames])
        with tempfile.TemporaryDirectory(prefix="ann2sdnn-lava-") as folder:
            path = Path(folder) / "network.net"
            write_netx(path, self.lowered)
            with run_lava(
                path,
                input_messages(self.spec, self._frames),
                biases_wait=True,
                hang_seconds=self.hang_seconds,
                reporter=self.reporter,
            ) as run:
                return self._result(run, n_before)

    def _result(self, run: LavaRun, n_before: int) -> BackendResult:
        """The result of the frames after the first ``n_before``."""
        result = blank_result(self.spec, len(self._frames) - n_before)
        inputs = input_messages(self.spec, self._frames)
        n_lowered = len(self._origins)
        for t in range(len(result.outputs)):
            arriving = torch.from_numpy(inputs[n_before + t])
            result.events[t, 0] = self._counter.events(arriving)
            result.synops[t, self._origins[0]] += self._counter.synops(0, [arriving])
            for index, origin in enumerate(self._origins):
                step = n_before + t + index + 1  # layers are silent before their first frame
                result.overflows[t, origin] += int(run.overflows[index, step])
                sent = torch.from_numpy(np.array(run.layers[index][step], order="C"))
                result.events[t, origin + 1] += self._counter.events(sent)
                result.oversized[t, origin] += int((sent.abs() > MESSAGE_MAX).sum())
                if index + 1 < n_lowered:
                    after = self._origins[index + 1]
                    result.synops[t, after] += self._counter.synops(index + 1, [sent])
        result.outputs[:] = self._outputs(run)[n_before:]
        return result

    def _outputs(self, run: LavaRun) -> Tensor:
        """[T, O, H, W] of all frames, in the original network's units."""
        n_frames, last = len(self._frames), len(self._origins) - 1
        received = np.cumsum(run.answers(last, n_frames), axis=0, dtype=np.int64)[-n_frames:]
        held = self.lowered.unpacking(torch.from_numpy(received)).to(torch.float32)
        scale = torch.from_numpy(self.spec.output_scale)[:, None, None].to(torch.float32)
        return held * self.spec.grid.message_step / scale
