"""Reads the blocks of a network that lava-dl's slayer wrote with ``export_hdf5``.

The layout is that of lava-dl 0.6.0 (`slayer/block/base.py`): a group ``layer/N`` per block, with
``type``, ``shape`` (C, H, W), ``kernelSize``, ``stride``, ``padding``, ``dilation`` (rows before
columns), ``groups``, and ``weight``, ``bias`` and ``neuron/vThMant`` in 1/64. ``importer.py`` makes
a spec of the blocks.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import h5py
import numpy as np
from numpy.typing import NDArray

from ann2sdnn.graph.geometry import Pair, Shape
from ann2sdnn.support.errors import ModelError
from ann2sdnn.support.files.h5 import reading_h5, values_of
from ann2sdnn.support.integers import narrowed, narrowed_int

BlockKind = Literal["input", "conv", "pool", "unpool", "convT", "average", "dense", "flatten"]
KINDS: tuple[BlockKind, ...] = get_args(BlockKind)
NEURON = "SDNN"
Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class NetxLayer:
    """One block of the file. ``shape``: of its output, (C, H, W).

    ``weight`` and ``bias`` in 1/64; ``weight`` [O, I / groups, kh, kw] of ``conv``,
    [I, O / groups, kh, kw] of ``convT``, [1, 1, kh, kw] of ``pool`` and ``unpool``, [O, I] of
    ``dense``, one number of ``input``. ``threshold`` in 1/64, None without a neuron.
    ``weight_exp``: slayer divides the activation by 2 to this power (WgtScaleBatchNorm).
    """

    index: int
    kind: BlockKind
    shape: Shape
    weight: Integers | None = None
    bias: Integers | None = None
    threshold: int | None = None
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1
    weight_exp: int = 0
    sigma_output: bool = False

    @property
    def name(self) -> str:
        """Kind and number of the block, such as conv3."""
        return f"{self.kind}{self.index}"


def read_netx(path: Path) -> tuple[NetxLayer, ...]:
    """The blocks of ``path`` in their order.

    Raises ModelError for a file that cannot be read or is not of slayer's sigma-delta blocks.
    """
    if not path.is_file():
        raise ModelError(f"{path} is no file; expected one that slayer's export_hdf5 wrote")
    expected = "expected a network that slayer's export_hdf5 wrote"
    with reading_h5(path, "cannot be read as HDF5", expected) as file:
        if not isinstance(file.get("layer"), h5py.Group):
            raise ModelError(f"{path} has no group 'layer'; {expected}")
        if "ann2sdnn" in file:
            raise ModelError(
                f"{path} was written by ann2sdnn and is lowered already; load it as it is"
            )
        layers = file["layer"]
        return tuple(_layer(path, layers, index) for index in range(len(layers)))


def _layer(path: Path, layers: Any, index: int) -> NetxLayer:
    group = layers.get(str(index))
    where = f"{path}, layer/{index}"
    if not isinstance(group, h5py.Group) or "type" not in group:
        raise ModelError(f"{where}: no block with a type; expected blocks 0, 1, 2, ... in order")
    type_name = _text(group["type"])
    where = f"{where} ({type_name})"
    kind = next((kind for kind in KINDS if kind == type_name), None)
    if kind is None:
        raise ModelError(
            f"{where}: cannot be lowered; expected one of {', '.join(KINDS)}, so train the network"
            " with those blocks"
        )
    neuron = group.get("neuron")
    _check_neuron(where, kind, neuron)
    _check_synapse(where, group)
    values = _Values(where, group)
    groups = values.integer("groups", 1)
    if groups < 1:
        raise ModelError(f"{where}: {groups} groups; expected 1 or more")
    return NetxLayer(
        index=index,
        kind=kind,
        shape=values.shape(),
        weight=values.integers("weight"),
        bias=values.integers("bias"),
        threshold=None if neuron is None else values.integer("neuron/vThMant"),
        stride=values.pair("stride", (1, 1)),
        padding=values.pair("padding", (0, 0)),
        dilation=values.pair("dilation", (1, 1)),
        groups=groups,
        weight_exp=values.integer("neuron/weight_exp", 0),
        sigma_output=neuron is not None and "sigma_output" in neuron,
    )


def _check_neuron(where: str, kind: BlockKind, neuron: Any) -> None:
    if neuron is None:
        if kind in ("input", "flatten", "average"):
            return
        raise ModelError(f"{where}: no neuron; expected a sigma-delta neuron, type {NEURON}")
    found = _text(neuron["type"]) if "type" in neuron else "no type"
    if found != NEURON:
        raise ModelError(
            f"{where}: a neuron of type {found}; expected {NEURON}: only networks of slayer's"
            " sigma-delta blocks can be lowered, so train with slayer.block.sigma_delta"
        )
    activation = _text(neuron["activation"]) if "activation" in neuron else "relu"
    if activation != "relu":
        raise ModelError(
            f"{where}: the activation {activation}; netx runs every layer with a ReLU, so train"
            " with torch.relu"
        )


def _check_synapse(where: str, group: Any) -> None:
    if isinstance(group.get("weight"), h5py.Group):
        raise ModelError(
            f"{where}: complex weights; expected real ones, as sigma-delta blocks have"
        )
    if "delay" in group and np.any(values_of(group["delay"])):
        raise ModelError(
            f"{where}: axonal delays, which a lowered layer cannot keep; train with delay=False"
        )


@dataclass(frozen=True)
class _Values:
    """The numbers of one block. Every method raises ModelError for a missing or wrong one."""

    where: str
    group: Any

    def array(self, name: str) -> NDArray[Any]:
        found = self.group.get(name)
        if not isinstance(found, h5py.Dataset) or found.dtype.kind not in "iufb":
            raise ModelError(
                f"{self.where}: no numbers {name}; the file is damaged, export it again"
            )
        return np.asarray(found[()])

    def shape(self) -> Shape:
        sizes = narrowed(self.array("shape"), np.int32, f"{self.where}: a size").ravel().tolist()
        if len(sizes) == 1:
            sizes += [1, 1]
        if len(sizes) != 3 or min(sizes) < 1:
            raise ModelError(f"{self.where}: the shape {sizes}; expected channels, height, width")
        return (sizes[0], sizes[1], sizes[2])

    def integers(self, name: str) -> Integers | None:
        """Whole numbers, or None where the block has no ``name``."""
        if name not in self.group:
            return None
        values = self.array(name)
        if not _are_whole(values):
            raise ModelError(
                f"{self.where}: its {name} is not made of whole numbers of 1/64; export it with"
                " slayer's own quantisation (no pre_hook_fx of your own)"
            )
        return narrowed(values, np.int32, f"{self.where}: a {name}").astype(np.int64)

    def integer(self, name: str, default: int | None = None) -> int:
        if name not in self.group and default is not None:
            return default
        values = np.unique(self.array(name))
        if values.size != 1 or not _are_whole(values):
            raise ModelError(
                f"{self.where}: {name} is {_short(values)}; expected one whole number for the layer"
                " (netx has one threshold per layer: train with shared_param=True)"
            )
        return narrowed_int(values, np.int32, f"{self.where}: {name}")

    def pair(self, name: str, default: Pair) -> Pair:
        """(rows, columns)."""
        if name not in self.group:
            return default
        found = self.array(name).ravel()
        least = 0 if name == "padding" else 1
        if found.size not in (1, 2) or not _are_whole(found) or found.min() < least:
            raise ModelError(
                f"{self.where}: {name} is {_short(found)}; expected one or two whole numbers of"
                f" {least} or more"
            )
        whole = narrowed(np.broadcast_to(found, 2), np.int32, f"{self.where}: {name}")
        return (int(whole[0]), int(whole[1]))


def _are_whole(values: NDArray[Any]) -> bool:
    """Whether there are numbers, none with decimals; ``narrowed`` refuses those too large."""
    return values.size > 0 and np.array_equal(values, np.rint(values))


def _short(values: NDArray[Any]) -> str:
    shown = ", ".join(f"{value:g}" for value in values[:4])
    return shown + ", ..." if values.size > 4 else shown


def _text(data: Any) -> str:
    value = values_of(data).ravel()[0]
    return value.decode("ascii", "replace") if isinstance(value, bytes) else str(value)
