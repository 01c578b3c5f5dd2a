"""The result of `bench` as data."""

import statistics
from collections.abc import Iterable
from typing import Any

import pydantic

from ann2sdnn.eval.bench.networks.registry import NETWORKS
from ann2sdnn.eval.bench.profile import EngineProfile


class BenchReport(pydantic.BaseModel):
    """Milliseconds per frame over ``rounds`` alternating rounds of ``frames`` frames, with
    ``threads`` threads, by network: of every round in ``all_ms_per_frame``, after the first frame
    of each, in which an SDNN sends everything; ``first_ms`` is the median of the first frames.
    ``NETWORKS`` has the names; "mixed" is the engine with its own operating point.

    ``messages_equal``: engine and slayer sent the same message in every neuron and frame
    (``messages_compared`` values); null where a backend kept no messages to compare. Both run
    lava's operating point.

    ``displacement_px``, ``relative_error``: distance from the float32 network on the same frames,
    as in ``Distance``. int8 networks were calibrated on these frames. ``not_timed``: a sentence per
    network that could not run here. ``profiles``: where the time of ``engine`` and ``mixed`` goes;
    null unless asked for.

    JSON also has the medians, a key NAME_ms_per_frame per network (null for one that was not
    timed), and the names that ``wrong``, ``fastest``, ``fastest_sdnn`` and ``fastest_as_close``
    answer with.
    """

    frames: int
    rounds: int
    threads: int
    messages_equal: bool | None
    messages_compared: int
    first_ms: dict[str, float]
    all_ms_per_frame: dict[str, list[float]]
    displacement_px: dict[str, float | None]
    relative_error: dict[str, float | None]
    not_timed: dict[str, str]
    profiles: dict[str, EngineProfile] | None = None

    @property
    def ms_per_frame(self) -> dict[str, float]:
        """Medians of the rounds, by network."""
        return {name: statistics.median(all_) for name, all_ in self.all_ms_per_frame.items()}

    @property
    def in_px(self) -> bool:
        """Whether ``distance`` is a displacement in px."""
        return any(px is not None for px in self.displacement_px.values())

    @property
    def distance(self) -> dict[str, float | None]:
        """Displacements, or relative errors where the output is no heat maps of joints."""
        return self.displacement_px if self.in_px else self.relative_error

    @property
    def wrong(self) -> list[str]:
        """Networks further from the float32 network than an output of zeros would be.

        OpenVINO 2026.4 computes small quantised dense layers wrongly with one thread, for example.
        """
        return [name for name, far in self.relative_error.items() if far is not None and far > 1]

    @property
    def fastest(self) -> str:
        """The network with the least median of those that are not ``wrong``."""
        return self._fastest_of(name for name in self.all_ms_per_frame if name not in self.wrong)

    @property
    def fastest_sdnn(self) -> str:
        """The SDNN with the least median."""
        return self._fastest_of(name for name in self.all_ms_per_frame if NETWORKS[name].is_sdnn)

    @property
    def fastest_as_close(self) -> str | None:
        """The fastest network that is at most as far from the float32 network as the fastest SDNN;
        None where that distance is unknown.
        """
        most = self.distance[self.fastest_sdnn]
        if most is None:
            return None
        return self._fastest_of(
            name for name, far in self.distance.items() if far is not None and far <= most
        )

    def _fastest_of(self, names: Iterable[str]) -> str:
        return min(names, key=self.ms_per_frame.__getitem__)

    @pydantic.model_serializer(mode="wrap")
    def _with_results(self, fields: pydantic.SerializerFunctionWrapHandler) -> dict[str, Any]:
        medians = self.ms_per_frame
        return {
            **{f"{name}_ms_per_frame": medians.get(name) for name in NETWORKS},
            "wrong": self.wrong,
            "fastest": self.fastest,
            "fastest_sdnn": self.fastest_sdnn,
            "fastest_as_close": self.fastest_as_close,
            **fields(self),
        }
