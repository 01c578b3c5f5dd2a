"""The parts of a network as lava processes: populations, synapses and delays, and their models.

All numbers are lava's fixed-point integers (``sdnn/reference/equations.py``). A plane [C, H, W] has
ports of the shape [W, H, C], as in lava's convolutions, and [C] where it has one pixel, as in
lava's dense layers. The models run on one thread of a CPU, each in a process of its own.

This module imports lava; import it only where lava is used.
"""

from collections import deque
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ann2sdnn.graph.geometry import Shape
from ann2sdnn.graph.layers import Synapse as SpecSynapse
from ann2sdnn.graph.operations import channels_last
from ann2sdnn.sdnn.engine.exact import ExactLinear, narrow_if_exact
from ann2sdnn.sdnn.lava.importing import import_lava
from ann2sdnn.sdnn.reference.equations import delta, wrapped
from ann2sdnn.sdnn.spec.grid import EXACT_SUM, SHIFT, Grid, NeuronModel
from ann2sdnn.sdnn.spec.spec import SpecLayer

_decorators: Any = import_lava("lava.magma.core.decorator")
_ports: Any = import_lava("lava.magma.core.process.ports.ports")
_model_ports: Any = import_lava("lava.magma.core.model.py.ports")
_Process: Any = import_lava("lava.magma.core.process.process").AbstractProcess
_Model: Any = import_lava("lava.magma.core.model.py.model").PyLoihiProcessModel
_Protocol: Any = import_lava("lava.magma.core.sync.protocols.loihi_protocol").LoihiProtocol
_CPU: Any = import_lava("lava.magma.core.resources").CPU
_Var: Any = import_lava("lava.magma.core.process.variable").Var
_PyType: Any = import_lava("lava.magma.core.model.py.type").LavaPyType

_IN_32: Any = _PyType(_model_ports.PyInPort.VEC_DENSE, np.int32)
_OUT_32: Any = _PyType(_model_ports.PyOutPort.VEC_DENSE, np.int32)
_IN_64: Any = _PyType(_model_ports.PyInPort.VEC_DENSE, np.int64)
_OUT_64: Any = _PyType(_model_ports.PyOutPort.VEC_DENSE, np.int64)
_INT_32: Any = _PyType(np.ndarray, np.int32)
_INT_64: Any = _PyType(np.ndarray, np.int64)

Array = NDArray[Any]


def port_shape(shape: Shape) -> tuple[int, ...]:
    """Shape of the port of a plane [C, H, W]."""
    channels, height, width = shape
    return (channels,) if (height, width) == (1, 1) else (width, height, channels)


def to_port(values: Array) -> Array:
    """``values`` [C, H, W] as a port has them."""
    return np.ascontiguousarray(values.transpose(2, 1, 0)).reshape(port_shape(values.shape))  # type: ignore[arg-type]


def from_port(values: Array, shape: Shape) -> Array:
    """The plane of ``shape`` [C, H, W] that a port has as ``values``."""
    return values.reshape(shape[::-1]).transpose(2, 1, 0)


class Synapse(_Process):  # type: ignore[misc]
    """A linear operation: in each time step ``a_out`` gives the sums of the step before.

    It takes any operation of the graph. Sums have 64 bits, and the neurons wrap them to the 24 of
    their state, which gives the state that wrapping each sum would give.
    """

    def __init__(self, synapse: SpecSynapse, name: str) -> None:
        super().__init__(synapse=synapse, name=name)
        self.s_in = _ports.InPort(shape=port_shape(synapse.input_shape))
        self.a_out = _ports.OutPort(shape=port_shape(synapse.output_shape))
        self.a_buff = _Var(shape=self.a_out.shape, init=0)


class Population(_Process):  # type: ignore[misc]
    """Sigma-delta neurons with the ReLU and the pooling of a layer of the spec.

    ``stock``: the delta unit loses what its right shift drops, as lava's released neuron does.
    ``silent_steps``: time steps at the beginning in which the neurons do nothing, because no frame
    has reached them.
    """

    def __init__(
        self, layer: SpecLayer, grid: Grid, *, neuron: NeuronModel, silent_steps: int
    ) -> None:
        super().__init__(layer=layer, neuron=neuron, name=layer.name)
        shape = port_shape(layer.preactivation_shape)
        bias = np.zeros(layer.preactivation_shape[0], np.int32)
        if layer.bias is not None:
            bias = layer.bias << (SHIFT + grid.spike_exp)
        self.a_in = _ports.InPort(shape=shape)
        self.s_out = _ports.OutPort(shape=port_shape(layer.output_shape))
        self.sigma = _Var(shape=shape, init=0)
        self.bias = _Var(shape=shape, init=np.broadcast_to(bias, shape))
        self.act = _Var(shape=self.s_out.shape, init=0)
        self.vth = _Var(shape=(1,), init=layer.state_threshold(grid))
        self.state_exp = _Var(shape=(1,), init=layer.shift)
        self.silent_steps = _Var(shape=(1,), init=silent_steps)


class Delay(_Process):  # type: ignore[misc]
    """Passes messages of a plane of ``shape`` on, ``steps`` time steps later."""

    def __init__(self, shape: Shape, steps: int, name: str) -> None:
        super().__init__(steps=steps, name=name)
        self.s_in = _ports.InPort(shape=port_shape(shape))
        self.s_out = _ports.OutPort(shape=port_shape(shape))


@_decorators.implements(proc=Synapse, protocol=_Protocol)
@_decorators.requires(_CPU)
@_decorators.tag("fixed_pt")
class SynapseModel(_Model):  # type: ignore[misc]
    """Exact sums of messages times weights, as one torch call."""

    s_in = _IN_32
    a_out = _OUT_64
    a_buff = _INT_64

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        # A process that was forked beside running threads must not start any.
        torch.set_num_threads(1)
        synapse: SpecSynapse = proc_params["synapse"]
        weight = channels_last(torch.from_numpy(synapse.weight.astype(np.float32)))
        channels = synapse.input_shape[0]
        self._linear = ExactLinear(synapse.geometry, weight, channels, EXACT_SUM)
        self._shape = synapse.input_shape

    @torch.no_grad()
    def run_spk(self) -> None:
        """One time step."""
        self.a_out.send(self.a_buff)
        messages = self.s_in.recv()
        if not messages.any():
            self.a_buff = np.zeros_like(self.a_buff)
            return
        x = torch.from_numpy(from_port(messages, self._shape).copy())[None].double()
        sums = self._linear(narrow_if_exact(x))[0].to(torch.int64)
        self.a_buff = to_port(sums.contiguous().numpy())


@_decorators.implements(proc=Population, protocol=_Protocol)
@_decorators.requires(_CPU)
@_decorators.tag("fixed_pt")
class PopulationModel(_Model):  # type: ignore[misc]
    """The equations of ``sdnn/reference/equations.py``."""

    a_in = _IN_64
    s_out = _OUT_32
    sigma = _INT_32
    bias = _INT_32
    act = _INT_64
    vth = _INT_32
    state_exp = _INT_32
    silent_steps = _INT_32

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self._layer: SpecLayer = proc_params["layer"]
        self._stock = proc_params["neuron"] == "stock"

    def run_spk(self) -> None:
        """One time step."""
        arriving = self.a_in.recv()
        if self.silent_steps > 0:
            self.silent_steps -= 1
            self.s_out.send(np.zeros(self.act.shape, np.int32))
            return
        self.sigma = wrapped(self.sigma + arriving).astype(np.int32)
        messages, self.act = delta(
            self._activation(self.sigma.astype(np.int64) + self.bias),
            self.act,
            int(self.vth.item()),
            int(self.state_exp.item()),
            stock=self._stock,
        )
        self.s_out.send(messages.astype(np.int32))

    def _activation(self, z: NDArray[np.int64]) -> Array:
        activation = np.maximum(z, 0) if self._layer.relu else z
        pool = self._layer.pool
        if pool is None:
            return activation
        return to_port(pool.apply_integers(from_port(activation, self._layer.preactivation_shape)))


@_decorators.implements(proc=Delay, protocol=_Protocol)
@_decorators.requires(_CPU)
@_decorators.tag("fixed_pt")
class DelayModel(_Model):  # type: ignore[misc]
    """A queue of messages."""

    s_in = _IN_32
    s_out = _OUT_32

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self._waiting: deque[Array | None] = deque([None] * proc_params["steps"])

    def run_spk(self) -> None:
        """One time step."""
        oldest = self._waiting.popleft()
        self.s_out.send(np.zeros(self.s_out.shape, np.int32) if oldest is None else oldest)
        self._waiting.append(np.array(self.s_in.recv(), np.int32))
