"""Groups the layers of deep networks into blocks, so that plots and tables of them stay readable.

Names tell blocks apart where exporters write the modules that layers are in: a path such as
/layer3/layer3.0/conv1/Conv of torch, or model/block_3/expand/Conv2D of Keras. Elsewhere layers of
one resolution are a block, or else about as many layers each.
"""

import re
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

MOST_LAYERS = 24
"""Layers up to which each is shown by itself; also the most blocks by name."""
_LEAST_BLOCKS = 4  # fewer say too little
_EVEN_BLOCKS = 12
_ADDED = re.compile(r"_(relay|average)(_\d+)?$")  # by the conversion, to the name of a layer

Path = tuple[str, ...]


@dataclass(frozen=True)
class Block:
    """Consecutive layers, from number ``start`` to before ``stop``."""

    name: str
    start: int
    stop: int

    @property
    def n_layers(self) -> int:
        """Number of its layers."""
        return self.stop - self.start

    @property
    def label(self) -> str:
        """Its name, with the number of layers where there are several."""
        return self.name if self.n_layers == 1 else f"{self.name} ({self.n_layers})"


def blocks_of(names: Sequence[str], sizes: Sequence[Hashable] = ()) -> tuple[Block, ...]:
    """The blocks of layers called ``names``, in order, at least one layer each.

    Up to ``MOST_LAYERS`` layers are a block each. ``sizes``: each layer's resolution, for names
    that say nothing.
    """
    shown = short_names(names)
    if len(names) <= MOST_LAYERS:
        return tuple(Block(name, index, index + 1) for index, name in enumerate(shown))
    paths = [_path(name) for name in names]
    for depth in range(max(map(len, paths)), 0, -1):
        prefixes = [path[:depth] for path in paths]
        runs = _runs(prefixes)
        if _LEAST_BLOCKS <= len(runs) <= MOST_LAYERS:
            return _named(runs, [".".join(prefix) for prefix in prefixes], shown)
    runs = _runs(sizes)
    if not _LEAST_BLOCKS <= len(runs) <= MOST_LAYERS:
        edges = [len(names) * index // _EVEN_BLOCKS for index in range(_EVEN_BLOCKS + 1)]
        runs = list(pairwise(edges))
    return tuple(Block(_from(shown[a:b]), a, b) for a, b in runs)


def short_names(names: Sequence[str]) -> tuple[str, ...]:
    """``names`` without what torch's exporter repeats in those of nested modules.

    /layer3/layer3.0/conv1/Conv is layer3.0/conv1, unless another layer would be called so, too.
    """
    shorter = [_shortened(name) for name in names]
    counts = Counter(shorter)
    return tuple(
        short if counts[short] == 1 else name for name, short in zip(names, shorter, strict=True)
    )


def _shortened(name: str) -> str:
    modules = _modules(name)
    *outer, _ = name.strip("/").split("/")
    if modules == tuple(outer):
        return name
    added = _ADDED.search(name)
    return "/".join(modules) + (added.group() if added else "")


def _modules(name: str) -> Path:
    """The modules that a layer is in, of which torch repeats those outside in those inside."""
    *outer, _ = name.strip("/").split("/")
    pairs = pairwise([*outer, ""])
    return tuple(one for one, following in pairs if not following.startswith(f"{one}."))


def _path(name: str) -> Path:
    """The modules around a layer and its own, such as layer3, 0, conv1; empty without any."""
    modules = _modules(name) if "/" in name.strip("/") else (_ADDED.sub("", name),)
    return tuple(part for module in modules for part in module.split("."))


def _runs(keys: Sequence[Hashable]) -> list[tuple[int, int]]:
    """Where equal keys begin and end."""
    lengths = [len(list(run)) for _, run in groupby(keys)]
    edges = [sum(lengths[:index]) for index in range(len(lengths) + 1)]
    return list(pairwise(edges))


def _named(
    runs: Sequence[tuple[int, int]], prefixes: Sequence[str], shown: Sequence[str]
) -> tuple[Block, ...]:
    """Blocks called as their modules; a name that returns gets a number."""
    blocks, seen = [], Counter[str]()
    for start, stop in runs:
        name = shown[start] if stop - start == 1 else prefixes[start]
        seen[name] += 1
        numbered = name if seen[name] == 1 else f"{name} #{seen[name]}"
        blocks.append(Block(numbered, start, stop))
    return tuple(blocks)


def _from(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"from {names[0]}"
