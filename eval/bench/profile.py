"""Measures where the engine's time goes, layer by layer."""

import time
from dataclasses import dataclass

import numpy as np
import pydantic
from torch import Tensor

from ann2sdnn.sdnn.engine.engine import Engine
from ann2sdnn.sdnn.engine.profile import Profile
from ann2sdnn.sdnn.spec.points import OperatingPoints
from ann2sdnn.sdnn.spec.spec import Spec
from ann2sdnn.support.progress import SILENT, Reporter

CALLS = "calls"
"""The row of all that is outside of the compiled loops."""


class ProfileRow(pydantic.BaseModel):
    """A part of the engine, per frame. Values that a part does not have are null.

    ``ms``: from the end of the part before to the end of this one, by the slowest thread.
    ``messages_received``: at all synapses, so a message with several readers counts at each.
    ``scatter_ms``: in which messages met weights and were added to states, ``waiting_ms``: in which
    threads waited for the slowest one; both are means over the threads. ``touched``: share of the
    neurons that were visited. ``gmac_per_s``: operations per nanosecond of scatter, all threads
    together. ``bookkeeping``: share of ``ms`` outside of the scatter.
    """

    name: str
    ms: float
    scatter_ms: float = 0.0
    waiting_ms: float = 0.0
    messages_received: float | None = None
    messages_sent: float | None = None
    operations: float | None = None
    touched: float | None = None

    @pydantic.computed_field  # type: ignore[prop-decorator]
    @property
    def gmac_per_s(self) -> float | None:
        """Operations per nanosecond of scatter."""
        if not self.operations or not self.scatter_ms:
            return None
        return self.operations / (self.scatter_ms * 1e6)

    @pydantic.computed_field  # type: ignore[prop-decorator]
    @property
    def bookkeeping(self) -> float:
        """Share of the time."""
        return 1 - self.scatter_ms / self.ms

    @property
    def ns_per_message(self) -> float | None:
        """Nanoseconds per message received."""
        return self.ms * 1e6 / self.messages_received if self.messages_received else None


class EngineProfile(pydantic.BaseModel):
    """Means over ``frames`` frames after the first of a recording, in the median one of several
    rounds.

    ``rows``: the input (encoding), each layer, the output (decoding), and calls, which is all
    outside of the compiled loops; their times add up to that of ``total``. ``unmeasured_ms``:
    milliseconds per frame without measuring layers, the median of rounds in between.
    """

    frames: int
    threads: int
    rows: list[ProfileRow]
    total: ProfileRow
    unmeasured_ms: float


@dataclass(frozen=True)
class _Round:
    profile: Profile
    unmeasured_ms: float


def profile_points(
    points: OperatingPoints, frames: Tensor, rounds: int, reporter: Reporter = SILENT
) -> dict[str, EngineProfile]:
    """Profile the engine on ``frames`` uint8 [T, C, H, W] of one recording, T at least 2.

    By network as in ``BenchReport``: ``engine`` runs lava's operating point, ``mixed`` the engine's
    own, where there is one. Raises DataError and UsageError as ``Engine.profile`` does.
    """
    specs = {"engine": points.lava, "mixed": points.engine}
    return {
        name: _profile(spec, frames, rounds, reporter)
        for name, spec in specs.items()
        if spec is not None
    }


def _profile(spec: Spec, frames: Tensor, rounds: int, reporter: Reporter) -> EngineProfile:
    engine = Engine(spec)
    done: list[_Round] = []
    with reporter.task("Profile", rounds + 1, "rounds") as task:
        for turn in range(rounds + 1):
            one = _Round(_measured(engine, frames), _unmeasured_ms(engine, frames))
            if turn > 0:  # the first one warms up
                done.append(one)
            task.advance()
    median = sorted(done, key=lambda one: one.profile.seconds)[(rounds - 1) // 2]
    unmeasured = float(np.median([one.unmeasured_ms for one in done]))
    return engine_profile(spec, median.profile, unmeasured)


def _measured(engine: Engine, frames: Tensor) -> Profile:
    engine.reset()
    engine.step(frames[0])
    return engine.profile(frames[1:])


def _unmeasured_ms(engine: Engine, frames: Tensor) -> float:
    engine.reset()
    engine.step(frames[0])
    started = time.perf_counter()
    for frame in frames[1:]:
        engine.step(frame)
    return (time.perf_counter() - started) * 1e3 / (len(frames) - 1)


def engine_profile(spec: Spec, profile: Profile, unmeasured_ms: float) -> EngineProfile:
    """The rows of ``profile``, which the engine measured while it ran ``spec``."""
    n, n_layers = profile.frames, len(spec.layers)
    names = ("input", *(layer.name for layer in spec.layers), "output")
    sent = profile.messages / n
    received = [float(sent[list(planes)].sum()) for planes in (*spec.reads, spec.output_planes)]
    rows = []
    for index, name in enumerate(names):
        is_layer = 0 < index <= n_layers
        rows.append(
            ProfileRow(
                name=name,
                ms=float(profile.work[index] + profile.waiting[index]) * 1e3 / n,
                scatter_ms=float(profile.scatter[index]) * 1e3 / n,
                waiting_ms=float(profile.waiting[index]) * 1e3 / n,
                messages_received=received[index - 1] if index > 0 else None,
                messages_sent=float(sent[index]) if index <= n_layers else None,
                operations=float(profile.operations[index]) / n if is_layer else None,
                touched=float(profile.visited[index]) if is_layer else None,
            )
        )
    total_ms = profile.seconds * 1e3 / n
    rows.append(ProfileRow(name=CALLS, ms=total_ms - sum(row.ms for row in rows)))
    neurons = np.array([np.prod(layer.output_shape) for layer in spec.layers])
    total = ProfileRow(
        name="total",
        ms=total_ms,
        scatter_ms=sum(row.scatter_ms for row in rows),
        waiting_ms=sum(row.waiting_ms for row in rows),
        messages_received=sum(received),
        messages_sent=float(sent.sum()),
        operations=float(profile.operations.sum()) / n,
        touched=float((profile.visited[1:] * neurons).sum() / neurons.sum()),
    )
    return EngineProfile(
        frames=n, threads=profile.threads, rows=rows, total=total, unmeasured_ms=unmeasured_ms
    )
