"""Plays sequences through both networks, frame by frame, as somebody watching asks for."""

import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ann2sdnn.convert.folder import OpenedConversion
from ann2sdnn.data.sources.frames import Frames
from ann2sdnn.data.sources.labels import class_names
from ann2sdnn.eval.bench.live.answers import Answers, Reader
from ann2sdnn.eval.bench.live.points import live_points
from ann2sdnn.eval.bench.live.running import RunningSdnn
from ann2sdnn.eval.bench.networks.ann import onnxruntime_network
from ann2sdnn.eval.bench.networks.subject import Subject
from ann2sdnn.graph.counted import CountedAnn
from ann2sdnn.sdnn.engine.loops.frames import MESSAGES, OPERATIONS
from ann2sdnn.support.frame_check import check_frames

INPUT_NAME = "input"


@dataclass(frozen=True, eq=False)
class Shown:
    """One frame that was played, and what it cost on this machine."""

    sequence: str
    index: int
    n_frames: int
    frame: Tensor
    """[C, H, W] as the network sees it."""
    answers: Answers
    point: int
    """Index of the operating point."""
    is_first: bool
    """Whether the SDNN had no state, so that everything was sent."""
    operations: int
    messages: tuple[int, ...]
    """Of the input and of each layer."""
    sdnn_ms: float
    ann_ms: float
    fps: float | None
    """Frames per second since the frame before; None while nothing plays."""


class Player:
    """Both networks of ``conversion``, and the sequences that they are shown in turn.

    ``readings`` runs in one thread; the other methods may be called from any. ``rate``: frames per
    second. ``once``: end after the last sequence. Raises DataError for frames that the network does
    not take, ModelError where ONNX Runtime cannot run the ANN.
    """

    def __init__(
        self,
        conversion: OpenedConversion,
        sequences: Sequence[Frames],
        *,
        rate: float,
        once: bool = False,
    ) -> None:
        first = torch.from_numpy(next(sequences[0].part(0, 1).chunks(1)))
        check_frames(first, conversion.spec.input_shape, conversion.spec.input_code.dtype)
        self.points, start = live_points(conversion.points)
        self.reader = Reader(conversion.spec, class_names(sequences))
        self.names = (INPUT_NAME, *(layer.name for layer in conversion.spec.layers))
        self.neurons = tuple(torch.Size(shape).numel() for shape in conversion.spec.plane_shapes)
        self.dense = int(CountedAnn(conversion.graph).dense.sum())
        self.rate = rate
        self._sequences, self._once = sequences, once
        self._sdnn = RunningSdnn(self.points, start)
        subject = Subject(conversion, first, self._sdnn.engine, None)
        self._ann = onnxruntime_network(subject)
        self._sdnn.step(first[0])  # compiles the engine's loops, which is no frame's time
        self._sdnn.reset()
        self._asked = threading.Condition()
        self._playing, self._steps, self._restart, self._point = True, 0, False, start

    def pause(self) -> None:
        """Stop at the frame that is shown."""
        with self._asked:
            self._playing = False

    def play(self) -> None:
        """Go on."""
        with self._asked:
            self._playing = True
            self._asked.notify_all()

    def step(self) -> None:
        """Show one more frame and stay there."""
        with self._asked:
            self._playing = False
            self._steps += 1
            self._asked.notify_all()

    def restart(self) -> None:
        """Begin with the first sequence again."""
        with self._asked:
            self._restart = True
            self._steps += not self._playing
            self._asked.notify_all()

    def change_to(self, point: int) -> None:
        """Run the operating point ``point`` from the next frame on; ValueError where none is."""
        if not 0 <= point < len(self.points):
            raise ValueError(f"there is no operating point {point}")
        with self._asked:
            self._point = point

    @property
    def is_playing(self) -> bool:
        """Whether frames follow each other."""
        with self._asked:
            return self._playing

    @property
    def point(self) -> int:
        """The operating point that the next frame runs at."""
        with self._asked:
            return self._point

    def readings(self) -> Iterator[Shown]:
        """Every frame as it is played, in real time."""
        shown_at: float | None = None
        while True:
            for sequence in self._sequences:
                self._sdnn.reset()
                for index, frame in enumerate(_single(sequence)):
                    was_playing = self._wait(shown_at)
                    if self._take_restart():
                        break
                    now = time.monotonic()
                    fps = 1 / (now - shown_at) if shown_at is not None and was_playing else None
                    shown_at = now
                    yield self._shown(sequence, index, frame, fps)
                else:
                    continue
                break
            else:
                if self._once:
                    return

    def _wait(self, shown_at: float | None) -> bool:
        """Return when the next frame is due; whether nothing was paused."""
        was_playing = True
        with self._asked:
            while True:
                if self._steps > 0:
                    self._steps -= 1
                    return False
                if self._playing:
                    due = 0.0 if shown_at is None else shown_at + 1 / self.rate - time.monotonic()
                    if due <= 0 or self._restart:
                        return was_playing
                    self._asked.wait(due)
                else:
                    was_playing = False
                    self._asked.wait()

    def _take_restart(self) -> bool:
        with self._asked:
            asked, self._restart = self._restart, False
            self._steps += asked and not self._playing  # the first frame is to be shown
            return asked

    def _shown(self, sequence: Frames, index: int, frame: Tensor, fps: float | None) -> Shown:
        self._sdnn.change_to(self.point)
        is_first = self._sdnn.is_first
        started = time.perf_counter()
        result = self._sdnn.step(frame)
        between = time.perf_counter()
        ann = next(self._ann.run(frame[None]))
        ended = time.perf_counter()
        return Shown(
            sequence.name,
            index,
            sequence.n_frames,
            frame,
            self.reader.read(ann, result.output),
            self._sdnn.index,
            is_first,
            int(result.counts[:, OPERATIONS].sum()),
            tuple(result.counts[:, MESSAGES].tolist()),
            1e3 * (between - started),
            1e3 * (ended - between),
            fps,
        )


def _single(sequence: Frames) -> Iterator[Tensor]:
    """The frames [C, H, W] one by one."""
    for chunk in sequence.chunks():
        yield from torch.from_numpy(chunk)
