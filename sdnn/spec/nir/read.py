"""Makes a spec of a NIR graph that ``export`` made, or of its file. Needs nir.

A graph says some things twice. So the graph of the spec is made again, and has to be the same.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import h5py
import nir
import numpy as np

from ann2sdnn.graph.geometry import Pair, Shape
from ann2sdnn.graph.kinds import Convolution, Dense
from ann2sdnn.graph.layers import Synapse
from ann2sdnn.graph.pooling import Pool
from ann2sdnn.graph.preprocessing import FrameType, Preprocessing
from ann2sdnn.sdnn.spec.grid import SHIFT, Grid
from ann2sdnn.sdnn.spec.nir.export import (
    FORMAT,
    OF_INPUT,
    SCHEMA,
    threshold_exponent,
    to_nir,
)
from ann2sdnn.sdnn.spec.nir.nodes import SdnnDelta, SdnnSigma, register
from ann2sdnn.sdnn.spec.spec import Spec, SpecLayer
from ann2sdnn.support.errors import ConversionError, ModelError
from ann2sdnn.support.integers import narrowed

_DAMAGE = (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError)


def read_nir(path: Path) -> Spec:
    """The spec of a file that ``nir.write`` wrote of the graph of a spec.

    Raises ModelError for a file that is missing, damaged or of another program.
    """
    register()
    if not path.is_file():
        raise ModelError(f"{path} does not exist; name a file that nir.write wrote")
    if not h5py.is_hdf5(path):
        raise ModelError(f"{path} is no file of NIR; name one that nir.write wrote")
    try:
        # The check of nir refuses groups of channels; a spec checks all shapes itself.
        with np.errstate(all="ignore"):
            graph = nir.read(path, type_check=False)
    except (OSError, RuntimeError, *_DAMAGE) as error:
        raise ModelError(
            f"{path} cannot be read by nir ({type(error).__name__}: {error}); write it again"
        ) from error
    try:
        return from_nir(graph)
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error


def from_nir(graph: Any) -> Spec:
    """The spec of ``graph``, a ``nir.NIRGraph`` that was made of a spec.

    Raises ModelError for a graph of another program, and for one that was changed so that it is no
    spec.
    """
    try:
        found = graph.metadata
        if str(found.get("format")) != FORMAT or int(found.get("schema", 0)) != SCHEMA:
            raise ModelError(
                f"a NIR graph that ann2sdnn did not make with schema {SCHEMA}; expected one of"
                " to_nir"
            )
        spec = _Reading(graph).spec()
        _check_equal(graph.to_dict(), to_nir(spec).to_dict())
    except ConversionError as error:
        raise ModelError(str(error)) from error
    except _DAMAGE as error:
        raise ModelError(
            f"the NIR graph is damaged ({type(error).__name__}: {error}); make it with to_nir again"
        ) from error
    return spec


def _check_equal(given: dict[str, Any], made: dict[str, Any], where: str = "") -> None:
    """Raise ModelError, naming the place, unless both dictionaries of a node hold the same."""
    if given.keys() != made.keys():
        odd = sorted(given.keys() ^ made.keys())
        raise ModelError(f"the NIR graph{where} has, or lacks, {odd[0]}; make it with to_nir again")
    for name, value in made.items():
        here = f"{where} at {name}" if where else f" at {name}"
        if isinstance(value, dict) and isinstance(given[name], dict):
            _check_equal(given[name], value, here)
        elif name == "edges":
            same = sorted(map(tuple, given[name])) == sorted(value)
            _refuse(same, here)
        else:
            one, other = np.asarray(given[name]), np.asarray(value)
            # A file keeps the kind of a number, not its size.
            _refuse(one.dtype.kind == other.dtype.kind and np.array_equal(one, other), here)


def _refuse(same: bool, where: str) -> None:
    if not same:
        raise ModelError(
            f"the NIR graph{where} is not what to_nir makes of this network; make it again"
        )


class _Reading:
    """A graph with its edges by their ends."""

    def __init__(self, graph: Any) -> None:
        self._nodes: Mapping[str, Any] = graph.nodes
        self._known: Mapping[str, Any] = graph.metadata
        self._sources: dict[str, list[str]] = {name: [] for name in graph.nodes}
        for source, target in graph.edges:
            self._sources[target].append(source)
        self._grid = Grid(int(self._known["spike_exp"]), int(self._known["threshold_bits"]))

    def spec(self) -> Spec:
        known = self._known
        deltas = {self._number(name): name for name in self._of_type(SdnnDelta)}
        names = [
            str(self._nodes[self._sigma_of(name)].metadata["name"])
            for number, name in sorted(deltas.items())
            if number != OF_INPUT
        ]
        entering = self._nodes[deltas[OF_INPUT]]
        outputs = sorted(self._of_type(nir.Output), key=lambda name: self._meta(name, "number"))
        planes = [self._number(self._only_source(name)) for name in outputs]
        dtype = known["input_dtype"]
        if dtype not in get_args(FrameType):
            raise ModelError(f"frames of type {dtype}; expected {' or '.join(get_args(FrameType))}")
        return Spec(
            input_shape=_shape(entering.shape),
            input_scale=float(known["input_scale"]),
            input_gain=(int if dtype == "uint8" else float)(known["input_gain"]),
            grid=self._grid,
            layers=tuple(self._layer(deltas[n], n, names) for n in range(len(deltas) - 1)),
            source_sha256=str(known["source_sha256"]),
            input_is_stateful=bool(entering.memory),
            preprocessing=Preprocessing(
                mean=self._numbers("input_mean", float),
                std=self._numbers("input_std", float),
                resize=_pair(known["input_resize"]) if "input_resize" in known else None,
                dtype=dtype,
            ),
            input_offset=self._numbers("input_offset", int),
            input_threshold=int(entering.threshold),
            output_names=() if planes == [len(names) - 1] else tuple(names[n] for n in planes),
        )

    def _layer(self, name: str, number: int, names: list[str]) -> SpecLayer:
        delta, sigma = self._nodes[name], self._nodes[self._sigma_of(name)]
        pool = self._nodes[self._only_source(name)]
        synapses = sorted(self._synapses(self._sigma_of(name), number, names), key=lambda x: x[0])
        first, *joined = [synapse for _, synapse in synapses]
        return SpecLayer(
            name=names[number],
            geometry=first.geometry,
            weight=first.weight,
            bias=None if sigma.bias is None else self._bias(sigma),
            relu=bool(sigma.rectify),
            pool=None if pool is sigma else _pool(pool),
            threshold=self._threshold(delta),
            scale=np.asarray(delta.scale, np.float64),
            input_shape=first.input_shape,
            shift=int(delta.shift),
            is_stateful=bool(delta.memory),
            is_relay=bool(sigma.metadata["relay"]),
            source=first.source,
            joined=tuple(joined),
        )

    def _synapses(self, sigma: str, number: int, names: list[str]) -> Iterator[tuple[int, Synapse]]:
        """What arrives at ``sigma``: numbers of synapses, and these."""
        for name in self._sources[sigma]:
            at = self._only_source(name) if isinstance(self._nodes[name], nir.Flatten) else name
            node, before = self._nodes[at], self._only_source(at)
            weight = narrowed(node.weight, np.int16, f"{at}: a weight")
            if isinstance(node, nir.Linear):
                shape = _shape(self._nodes[before].input_type["input"])
                before = self._only_source(before)
                synapse = Synapse(Dense(), weight, shape)
            else:
                synapse = _convolved(node, weight)
            plane = self._number(before)
            # As in a spec's file: without a name it is the layer before.
            source = None if plane == number - 1 else _name(plane, names)
            yield (
                int(self._meta(at, "synapse")),
                Synapse(synapse.geometry, weight, synapse.input_shape, source),
            )

    def _bias(self, sigma: SdnnSigma) -> Any:
        places = SHIFT + self._grid.spike_exp
        assert sigma.bias is not None
        return narrowed(sigma.bias >> places, np.int32, "a bias")

    def _threshold(self, delta: SdnnDelta) -> int:
        """In the spec's units."""
        finer = threshold_exponent(int(delta.shift), self._grid)
        return int(delta.threshold) >> max(finer, 0)

    def _sigma_of(self, delta: str) -> str:
        """The sums that ``delta`` sends, before pooling."""
        name = self._only_source(delta)
        if not isinstance(self._nodes[name], SdnnSigma):
            name = self._only_source(name)
        return name

    def _of_type(self, kind: Any) -> list[str]:
        return [name for name, node in self._nodes.items() if isinstance(node, kind)]

    def _number(self, delta: str) -> int:
        return int(self._meta(delta, "layer"))

    def _meta(self, name: str, key: str) -> Any:
        return self._nodes[name].metadata[key]

    def _only_source(self, name: str) -> str:
        (source,) = self._sources[name]
        return source

    def _numbers(self, key: str, kind: Any) -> tuple[Any, ...]:
        return tuple(kind(value) for value in self._known.get(key, ()))


def _convolved(node: Any, weight: Any) -> Synapse:
    groups = int(node.groups)
    geometry = Convolution(
        stride=_pair(node.stride),
        pads=_pair(node.padding) * 2,
        dilation=_pair(node.dilation),
        groups=groups,
    )
    rows, columns = _pair(node.input_shape)
    return Synapse(geometry, weight, (weight.shape[1] * groups, rows, columns))


def _pool(node: Any) -> Pool:
    padding = _pair(node.padding)
    return Pool("sum", _pair(node.kernel_size), _pair(node.stride), (*padding, *padding))


def _name(plane: int, names: list[str]) -> str:
    return "input" if plane == OF_INPUT else names[plane]


def _pair(values: Any) -> Pair:
    first, second = map(int, values)
    return first, second


def _shape(values: Any) -> Shape:
    channels, rows, columns = map(int, values)
    return channels, rows, columns
