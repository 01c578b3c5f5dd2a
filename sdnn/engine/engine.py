"""The engine: runs an SDNN frame by frame on the CPU, in integers, and only where messages arrive.

Per layer and frame it computes the equations of ``sdnn/reference/equations.py``: messages meet
their weights (``scatter``), and the neurons that they reach may send (``emission``).
"""

import warnings
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ann2sdnn.sdnn.engine.exact import narrow_if_exact
from ann2sdnn.sdnn.engine.instructions.atomic import STRIDE
from ann2sdnn.sdnn.engine.instructions.emit_messages import AHEAD
from ann2sdnn.sdnn.engine.instructions.neurons import N_COUNTS
from ann2sdnn.sdnn.engine.instructions.vector import LANES, PLAIN, Vector, host_vectors
from ann2sdnn.sdnn.engine.layout.layout import lay_out
from ann2sdnn.sdnn.engine.loops.ends import N_TICKS, decode, ends_of
from ann2sdnn.sdnn.engine.loops.events import are_ascending, run_pixels
from ann2sdnn.sdnn.engine.loops.frames import (
    CAUSED,
    MESSAGES,
    N_TOTALS,
    OPERATIONS,
    OVERFLOWN,
    OVERSIZED,
    Scratch,
    run_frames,
    run_step,
)
from ann2sdnn.sdnn.engine.loops.messages import unpack
from ann2sdnn.sdnn.engine.profile import Profile, Stopwatch
from ann2sdnn.sdnn.engine.run import (
    BackendResult,
    CountsOf,
    blank_result,
    with_messages,
)
from ann2sdnn.sdnn.engine.workers import Workers
from ann2sdnn.sdnn.spec.grid import WEIGHT_STEP, NeuronModel
from ann2sdnn.sdnn.spec.spec import Spec
from ann2sdnn.support.errors import DataError, UsageError
from ann2sdnn.support.frame_check import check_frames

_PLAIN_ONLY = (
    "this processor has no AVX2 or SSE2 that numba compiles for; the engine runs plain code, which"
    " sends the same messages more slowly"
)
NO_EVENTS = (
    "a window of events has uint8 pixels, and a pixel of 0 sends nothing; this network subtracts a"
    " mean or takes float32 frames, so give it frames"
)
_NEURONS_PER_THREAD = 1 << 17  # less is done before a second thread has begun


class StepResult(NamedTuple):
    """One frame."""

    output: Tensor
    """float32 [O, H, W], decoded, in the original network's units; the engine's own memory."""
    counts: NDArray[np.int64]
    """[L + 1, N_TOTALS], as in ``frames``."""


class Engine:
    """Runs ``spec``. ``memoryless``: every layer is memoryless, whatever the spec says.

    ``vector``: the vector unit to use; None takes the widest of this processor. ``n_threads``: None
    takes torch's number; small networks use fewer. One engine serves one caller at a time; several
    engines run side by side, and no one holds Python's lock while it computes.
    """

    frames_at_once = 8
    counts_of: CountsOf = "converted"

    def __init__(
        self,
        spec: Spec,
        *,
        memoryless: bool = False,
        neuron: NeuronModel = "corrected",
        vector: Vector | None = None,
        n_threads: int | None = None,
    ) -> None:
        carrying = [layer.name for layer in spec.layers if layer.n_carried]
        if carrying:
            raise ValueError(f"layer {carrying[0]} carries channels; expected carried_apart's spec")
        self.spec = spec
        self._code = spec.input_code
        self._encodes_pixels = self._code.is_plain
        stateful = spec.planes_are_stateful
        if memoryless:
            stateful = (False,) * len(stateful)
        if vector is None:
            vector = host_vectors()[0]
            if vector is PLAIN:
                warnings.warn(_PLAIN_ONLY, stacklevel=2)
        self._tag, self._n_threads = vector.tag, n_threads
        self._layout = lay_out(spec, vector, remembers=stateful, is_stock=neuron == "stock")
        self._ends = ends_of(spec, stateful)
        # Layers with a synapse that is computed outside of the compiled loops.
        self._foreign = [layer for layer, own in enumerate(self._layout.foreign) if own]
        self._workers = Workers()

    def reset(self) -> None:
        """Forget everything: the next frame is the first of a recording."""
        self._layout.forget()
        for values in (self._ends.pixels, self._ends.received, self._ends.decoded):
            values[:] = 0

    def state_dict(self) -> dict[str, Tensor]:
        """Copies of the state after the last frame, by name."""
        return {name: value.clone() for name, value in self._state().items()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Continue from a state that ``state_dict`` of an engine for the same network returned.

        Raises DataError for a state of another network; the engine is then reset.
        """
        self.reset()
        own = self._state()
        if {name: value.shape for name, value in state.items()} != {
            name: value.shape for name, value in own.items()
        }:
            raise DataError("the state is that of another network; load one of this network")
        for name, value in own.items():
            value.copy_(state[name])
        self._layout.resume()
        received = np.concatenate([one.reshape(-1) for one in self._received().values()])
        held = torch.from_numpy(received).to(torch.float32) * self.spec.grid.message_step
        scale = torch.from_numpy(self.spec.output_scale).to(torch.float32)[:, None, None]
        self._ends.decoded[:] = held.reshape(self.spec.output_shape) / scale

    def _state(self) -> dict[str, Tensor]:
        """Views."""
        state: dict[str, NDArray[np.generic]] = {"input.pixels": self._ends.pixels}
        for index, (states, sent) in enumerate(
            zip(self._layout.states, self._layout.sent, strict=True)
        ):
            state |= {f"{index}.sigma": states, f"{index}.sent": sent}
        state |= self._received()
        return {name: torch.from_numpy(values) for name, values in state.items()}

    def _received(self) -> dict[str, NDArray[np.int64]]:
        """Views of what the host has summed up, [O, H, W] of each output."""
        shapes, received = self.spec.output_shapes, {}
        for k, (first, (channels, height, width)) in enumerate(
            zip(self._ends.heads["first"], shapes, strict=True)
        ):
            own = self._ends.received[first : first + channels * height * width]
            name = "received" if len(shapes) == 1 else f"received.{k}"
            received[name] = own.reshape(height, width, channels).transpose(2, 0, 1)
        return received

    @property
    def sent(self) -> tuple[Tensor, ...]:
        """What the receivers of each layer have summed up, [1, C, H, W]."""
        sums = []
        for layer, halved in zip(self.spec.layers, self._layout.sent, strict=True):
            step = 2 * self.spec.grid.message_step * 2.0**-layer.shift
            values = torch.from_numpy(halved[:, :, : layer.output_shape[0]].astype(np.float64))
            sums.append(narrow_if_exact(values.permute(2, 0, 1) * step)[None])
        return tuple(sums)

    @torch.no_grad()
    def run(self, frames: Tensor, *, keep_messages: bool = False) -> BackendResult:
        """Process frames [T, C, H, W], one after another.

        Raises DataError for frames that the network does not take.
        """
        check_frames(frames, self.spec.input_shape, self._code.dtype)
        result = blank_result(self.spec, len(frames))
        if not keep_messages:
            _note(result, self._run(frames, result.outputs))
            return result
        kept: list[list[Tensor]] = [[] for _ in self.spec.plane_shapes]

        def keep(index: int, messages: NDArray[np.int64]) -> None:
            values = torch.from_numpy(messages).double() * self.spec.grid.message_step
            kept[index].append(narrow_if_exact(values))

        _note(result, self._run_layer_by_layer(frames, result.outputs, keep))
        return with_messages(result, self.spec, kept)

    @torch.no_grad()
    def step(self, frame: Tensor) -> StepResult:
        """Process one frame [C, H, W]; what is returned holds until the next call.

        Only what has changed is decoded again, so it costs as much as the messages do. Raises
        DataError for a frame that the network does not take; nothing has changed then.
        """
        frames = frame[None]
        check_frames(frames, self.spec.input_shape, self._code.dtype)
        output = torch.from_numpy(self._ends.decoded)
        counts = self._run(frames, output[None][:0]).sum(axis=(0, 1))
        return StepResult(output, counts)

    def step_pixels(self, at: NDArray[np.int64], values: NDArray[np.uint8]) -> StepResult:
        """Process the frame before with ``values`` uint8 [n] in the pixels ``at`` int64 [n].

        A pixel is (row * W + column) * C + channel; they ascend. Equals ``step`` with that frame.
        The input costs as much as ``n`` does, except where it is memoryless, so that all pixels
        that are not zero send, and in a network that runs layer by layer: there the frame is built.
        Raises DataError, and changes nothing, for other pixels or types, UsageError for a network
        whose input has a mean or takes float32 frames: there a pixel of 0 sends, too.
        """
        if not self._encodes_pixels:
            raise UsageError(NO_EVENTS)
        pixels = self._ends.pixels
        if at.dtype != np.int64 or values.dtype != np.uint8 or at.shape != values.shape:
            raise DataError(
                f"pixels {at.dtype} {list(at.shape)} with values {values.dtype}"
                f" {list(values.shape)}; expected int64 [n] and uint8 [n]"
            )
        if at.ndim != 1 or not are_ascending(at, pixels.size):
            raise DataError(f"pixels that do not ascend within 0 to {pixels.size - 1}; sort them")
        if self._foreign or not self._ends.input_remembers:
            frame = pixels.transpose(1, 2, 0).copy()
            frame.reshape(-1)[at] = values
            return self.step(torch.from_numpy(frame.transpose(2, 0, 1)))
        totals = self._on_threads(run_pixels, 1, at, values)
        return StepResult(torch.from_numpy(self._ends.decoded), totals.sum(axis=(0, 1)))

    @torch.no_grad()
    def profile(self, frames: Tensor) -> Profile:
        """Process frames [T, C, H, W] as ``step`` does, one by one, and measure each layer.

        Raises DataError for frames that the network does not take or for none, UsageError for a
        network with a layer that is computed outside of the compiled loops and for a processor
        without a clock to read.
        """
        check_frames(frames, self.spec.input_shape, self._code.dtype)
        if not len(frames):
            raise DataError("no frames; a profile needs one or more")
        if self._foreign:
            name = self.spec.layers[self._foreign[0]].name
            raise UsageError(
                f"layer {name} is computed outside of the engine's compiled loops, which a profile"
                " measures; profile a network without such layers"
            )
        n_planes = len(self.spec.layers) + 1
        ticks = np.zeros((self._threads(), n_planes + 1, N_TICKS), np.int64)
        counts = np.zeros((n_planes, N_TOTALS), np.int64)
        output = torch.from_numpy(self._ends.decoded)[None][:0]
        watch = Stopwatch()
        for t in range(len(frames)):
            counts += self._run(frames[t : t + 1], output, ticks).sum(axis=(0, 1))
        return watch.profile(ticks, counts, self.spec.plane_shapes, len(frames))

    def _run(
        self, frames: Tensor, outputs: Tensor, ticks: NDArray[np.int64] | None = None
    ) -> NDArray[np.int64]:
        """The totals of all threads. ``ticks``: as ``Ends`` has them, to be added to."""
        if self._foreign:
            return self._run_layer_by_layer(frames, outputs)
        pixels, decoded = self._entering(frames), outputs.numpy()
        return self._on_threads(run_frames, len(frames), pixels, decoded, ticks=ticks)

    def _entering(self, frames: Tensor) -> NDArray[Any]:
        """``frames`` as the loops take them: pixels, or levels where messages are not their changes
        times the gain.
        """
        if self._encodes_pixels:
            return np.ascontiguousarray(frames.numpy())
        if self._code.dtype != "uint8":
            return np.ascontiguousarray(self._code.levels(frames).numpy().astype(np.int16))
        # In place: a frame of int32 is slower to make than to send.
        levels = np.array(frames.numpy(), np.int16, order="C")
        levels *= int(self._code.gain)
        levels -= np.array(self._code.offset, np.int16)[:, None, None]
        return levels

    def _on_threads(
        self,
        loop: Callable[..., None],
        n_frames: int,
        *arrays: NDArray[Any],
        ticks: NDArray[np.int64] | None = None,
    ) -> NDArray[np.int64]:
        """``loop`` with ``arrays`` on all threads; returns their totals."""
        n_threads = self._threads()
        totals = self._totals(n_threads, n_frames)
        progress = np.zeros(n_threads * STRIDE, np.int64)
        ends = self._ends._replace(
            largest=np.zeros((n_threads, totals.shape[2]), np.int64),
            ticks=self._ends.ticks if ticks is None else ticks,
        )
        self._workers.run(
            n_threads,
            lambda thread: loop(
                self._tag,
                self._layout.memory,
                ends,
                *arrays,
                totals,
                thread,
                progress,
                self._scratch(),
            ),
        )
        return self._with_operations(totals)

    def _run_layer_by_layer(
        self,
        frames: Tensor,
        outputs: Tensor,
        keep: Callable[[int, NDArray[np.int64]], None] | None = None,
    ) -> NDArray[np.int64]:
        """As ``_run``. ``keep`` gets the messages of each plane, int64 [C, H, W]."""
        totals = self._totals(1, len(frames))
        memory, scratch = self._layout.memory, self._scratch()
        for t, frame in enumerate(self._entering(frames)):
            for index in range(totals.shape[2]):
                own = totals[:, t, index]
                if index - 1 in self._foreign:
                    own[0, OPERATIONS] = self._arrive(index - 1)
                run_step(self._tag, memory, self._ends, frame, index, own, 0, scratch)
                if keep is not None:
                    keep(index, self._messages(index))
            decode(memory, self._ends, 0, 1)
            if len(outputs):
                outputs[t] = torch.from_numpy(self._ends.decoded)
        return self._with_operations(totals)

    def _arrive(self, index: int) -> int:
        """What reaches layer ``index`` at synapses without a wiring; returns the operations."""
        layer, operations = self.spec.layers[index], 0
        for number in self._layout.foreign[index]:
            geometry, weight = layer.synapses[number].geometry, layer.synapses[number].weight
            messages = self._messages(self.spec.reads[index][number])
            arriving = geometry.integer_linear(messages, weight.astype(np.int64)) // WEIGHT_STEP
            self._layout.sums[index][:, :, : len(arriving)] += arriving.transpose(1, 2, 0)
            sent, used = (messages != 0).astype(np.int64), (weight != 0).astype(np.int64)
            operations += int(geometry.integer_linear(sent, used).sum())
        for flags in self._layout.touched[2 * index : 2 * index + 2]:
            flags[:] |= 1
        return operations

    def _messages(self, plane: int) -> NDArray[np.int64]:
        """Those of the frame, [C, H, W], until another plane takes their place."""
        messages = np.zeros(self.spec.plane_shapes[plane], np.int64)
        unpack(self._layout.memory, plane, messages)
        return messages

    def _with_operations(self, totals: NDArray[np.int64]) -> NDArray[np.int64]:
        """``totals`` with what messages caused, in the layers that they reached."""
        totals[:, :, 1:, OPERATIONS] += self._layout.tally.operations(
            totals[..., MESSAGES], totals[..., CAUSED]
        )
        return totals

    def _totals(self, n_threads: int, n_frames: int) -> NDArray[np.int64]:
        return np.zeros((n_threads, n_frames, len(self.spec.layers) + 1, N_TOTALS), np.int64)

    def _scratch(self) -> Scratch:
        memory = self._layout.memory
        populations = memory.populations
        windows = populations["pool_height"] * populations["pool_width"]
        row = (memory.planes["map_channels"] * np.maximum(memory.planes["n_slots"], 1)).max()
        return Scratch(
            counts=np.zeros(N_COUNTS, np.int64),
            down=np.zeros((1 + memory.synapses["n_down"].max(), 2), np.int64),
            reached=np.zeros(populations["stride"].max(), np.uint8),
            visits=np.zeros(populations["stride"].max() + max(AHEAD, LANES), np.int32),
            window=np.zeros(windows.max(), np.int64),
            maps=np.zeros(row + 2 * LANES, np.int16),
            changes=np.zeros(memory.planes[0]["channels"] * memory.planes[0]["width"], np.int16),
            rows_in=np.zeros(len(memory.synapses), np.int64),
        )

    def _threads(self) -> int:
        wanted = self._n_threads or torch.get_num_threads()
        neurons = sum(states.size for states in self._layout.states)
        return max(1, min(wanted, neurons // _NEURONS_PER_THREAD))


def _note(result: BackendResult, totals: NDArray[np.int64]) -> None:
    """Write the counts of all threads into ``result``."""
    by_frame = torch.from_numpy(totals.sum(axis=0))
    result.events.copy_(by_frame[..., MESSAGES])
    for target, field in (
        (result.synops, OPERATIONS),
        (result.overflows, OVERFLOWN),
        (result.oversized, OVERSIZED),
    ):
        target.copy_(by_frame[:, 1:, field])
