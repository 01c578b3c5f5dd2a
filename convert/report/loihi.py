"""The estimate of what a network needs on Loihi 2, in report.json."""

from typing import Literal

import pydantic

from ann2sdnn.sdnn.costs.cores import CoreLimit
from ann2sdnn.support.files.json_text import Record


class LoihiLayer(Record):
    """One layer: cores by neurons, by memory and by work, and the estimate from all three.

    ``weight_bytes``: of one copy of the weights. ``cores_by_rate``: for the report's
    ``frames_per_second``; null where the layer's messages were not measured. ``busy_us``:
    microseconds per frame that one core would need for the whole layer.
    """

    name: str
    neurons: int
    weight_bytes: int
    cores_by_neurons: int
    cores_by_memory: int
    cores_by_rate: int | None
    cores: int
    limit: CoreLimit
    busy_us: float


class LoihiSystem(Record):
    """A system and whether the network fits it. ``largest_input``: height and width; null where no
    size fits, or where a layer takes one size only.
    """

    name: str
    chips: int
    cores: int
    fits: bool
    largest_input: tuple[int, int] | None


class LoihiReport(Record):
    """An estimate from published limits (``sdnn/costs``): so many cores, or more.

    ``network``: which one it is of, that of network.net or, where there is none, the conversion.
    ``chips``: for its cores. ``fixed_layer``: the layer that takes one size of input only.
    """

    network: Literal["lowered", "converted"]
    input_size: tuple[int, int]
    cores: int
    chips: int
    frames_per_second: float
    layers: list[LoihiLayer] = pydantic.Field(min_length=1)
    systems: list[LoihiSystem]
    fixed_layer: str | None

    @property
    def largest_layer(self) -> LoihiLayer:
        """The layer that asks for most cores."""
        return max(self.layers, key=lambda layer: layer.cores)
