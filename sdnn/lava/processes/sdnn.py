"""A converted network as one lava process with ports for frames and outputs.

This module imports lava; import it only where lava is used.
"""

from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ann2sdnn.sdnn.engine.run import check_is_stateful, input_messages
from ann2sdnn.sdnn.lava.importing import import_lava
from ann2sdnn.sdnn.lava.processes.parts import (
    Delay,
    Population,
    Synapse,
    from_port,
    port_shape,
)
from ann2sdnn.sdnn.lava.processes.timing import timing_of
from ann2sdnn.sdnn.spec.grid import NeuronModel
from ann2sdnn.sdnn.spec.spec import Spec
from ann2sdnn.support.errors import DataError

_decorators: Any = import_lava("lava.magma.core.decorator")
_ports: Any = import_lava("lava.magma.core.process.ports.ports")
_Process: Any = import_lava("lava.magma.core.process.process").AbstractProcess
_SubModel: Any = import_lava("lava.magma.core.model.sub.model").AbstractSubProcessModel
_Protocol: Any = import_lava("lava.magma.core.sync.protocols.loihi_protocol").LoihiProtocol


class SdnnProcess(_Process):  # type: ignore[misc]
    """The network of ``spec`` with the ports ``inp`` and ``out``.

    A time step is a frame. ``inp`` takes the frame's messages, which are the changes since the
    frame before (``messages``); ``out`` gives the output's changes for the frame of time step t in
    time step t + ``latency`` (``decoded`` adds them up). Of several outputs the ports are
    ``out_0``, ``out_1``, ... in the order of ``outs``, and all answer in the same time step. Ports
    of [C, H, W] have the shape [W, H, C], and [C] for one pixel.

    The messages equal those of the engine, of slayer and of the reference. ``populations``: the
    neurons of each layer by its name. ``neuron``: ``stock`` loses rounding remainders, as lava's
    released neuron does. Raises UsageError where a layer is memoryless.
    """

    def __init__(self, spec: Spec, *, neuron: NeuronModel = "corrected") -> None:
        super().__init__(name="sdnn")
        check_is_stateful(spec, "lava")
        self.spec = spec
        self._timing = timing_of(spec)
        self.inp = _ports.InPort(shape=port_shape(spec.input_shape))
        self.outs = [_ports.OutPort(shape=port_shape(shape)) for shape in spec.output_shapes]
        for index, port in enumerate(self.outs):
            setattr(self, "out" if len(self.outs) == 1 else f"out_{index}", port)
        self.populations: dict[str, Any] = {}
        self._build(neuron)

    @property
    def latency(self) -> int:
        """Time steps from a frame at ``inp`` to its answer at the outputs."""
        return self._timing.total

    def messages(self, frames: Tensor) -> NDArray[np.int32]:
        """What ``inp`` takes for ``frames`` [T, C, H, W]: [W, H, C, T], or [C, T] for one pixel.

        The first frame is sent whole, as its change from nothing. A lava ``RingBuffer`` of this
        array is a source. Raises DataError for frames that the network does not take.
        """
        changes = input_messages(self.spec, frames)
        shape = (*port_shape(self.spec.input_shape), len(frames))
        return np.ascontiguousarray(changes.transpose(3, 2, 1, 0)).reshape(shape)

    def decoded(self, received: NDArray[Any], output: int = 0) -> Tensor:
        """The network's output [T, C, H, W] for what one of the output ports gave.

        ``received`` [W, H, C, n] or [C, n]: messages of the first n time steps, as the data of a
        lava ``RingBuffer``; T = n - ``latency``. ``output``: number of the port. Raises DataError
        for messages of another shape.
        """
        plane = self.spec.output_planes[output]
        shape = self.spec.plane_shapes[plane]
        expected = port_shape(shape)
        if received.shape[:-1] != expected or received.shape[-1] < self.latency:
            raise DataError(
                f"messages of shape {received.shape} of the output"
                f" {self.spec.layers[plane - 1].name}; expected {expected} and an axis of at least"
                f" {self.latency} time steps"
            )
        steps = np.moveaxis(received, -1, 0)[self.latency :]
        sums = np.cumsum(np.rint(steps).astype(np.int64), axis=0)
        held = np.stack([from_port(one, shape) for one in sums]) if len(sums) else sums
        values = torch.from_numpy(held.reshape(-1, *shape).copy()).to(torch.float32)
        scale = torch.from_numpy(self.spec.layers[plane - 1].scale)[:, None, None]
        return values * self.spec.grid.message_step / scale.to(torch.float32)

    def _build(self, neuron: NeuronModel) -> None:
        """Make the parts and connect them."""
        spec, timing = self.spec, self._timing
        parts: list[Any] = []
        sources: list[Any] = [self.inp]

        @cache
        def delayed(plane: int, steps: int) -> Any:
            """The port that gives the messages of ``plane``, ``steps`` later."""
            if steps == 0:
                return sources[plane]
            name = f"delay of {'the input' if plane == 0 else spec.layers[plane - 1].name}"
            delay = Delay(spec.plane_shapes[plane], steps, f"{name} by {steps}")
            parts.append(delay)
            sources[plane].connect(delay.s_in)
            return delay.s_out

        for index, (layer, planes) in enumerate(zip(spec.layers, spec.reads, strict=True)):
            population = Population(
                layer, spec.grid, neuron=neuron, silent_steps=timing.latency[index + 1]
            )
            for number, (synapse, plane) in enumerate(zip(layer.synapses, planes, strict=True)):
                part = Synapse(synapse, f"synapse {number} of {layer.name}")
                delayed(plane, timing.delays[index][number]).connect(part.s_in)
                part.a_out.connect(population.a_in)
                parts.append(part)
            parts.append(population)
            sources.append(population.s_out)
            self.populations[layer.name] = population
        for port, plane, steps in zip(
            self.outs, spec.output_planes, timing.output_delays, strict=True
        ):
            delayed(plane, steps).connect(port)
        self.register_sub_procs({f"part_{index}": part for index, part in enumerate(parts)})


@_decorators.implements(proc=SdnnProcess, protocol=_Protocol)
@_decorators.tag("fixed_pt")
class SdnnModel(_SubModel):  # type: ignore[misc]
    """The parts that the process made."""

    def __init__(self, proc: SdnnProcess) -> None:
        """Nothing is left to be made."""
