"""Layers of deep networks in blocks: by their names, by resolution, or evenly."""

from dataclasses import dataclass
from itertools import pairwise

import pytest
from matplotlib.figure import Figure
from rich.console import Console

from ann2sdnn.support.page.blocks import MOST_LAYERS, Block, blocks_of, short_names
from ann2sdnn.support.page.document import Document, Gallery, Picture
from ann2sdnn.support.page.figures import SDNN, layer_lines, line_names
from ann2sdnn.support.page.html import render
from ann2sdnn.support.page.layered import average, layer_sheet, least, most, same, spread, total
from ann2sdnn.support.terminal import document_text, number


def torch_names(*blocks_per_layer: int, nested: bool = True) -> list[str]:
    """Of a ResNet with three convolutions per block, as torch's exporters write them."""
    names = ["/conv1/Conv" if nested else "conv1"]
    for layer, n_blocks in enumerate(blocks_per_layer, 1):
        for block in range(n_blocks):
            module = f"layer{layer}.{block}"
            for conv in (1, 2, 3):
                path = f"/layer{layer}/{module}/conv{conv}/Conv"
                names.append(path if nested else f"{module}.conv{conv}")
    return [*names, "/fc/Gemm" if nested else "fc"]


@pytest.mark.parametrize("nested", [True, False])
def test_modules_are_blocks(nested: bool) -> None:
    blocks = blocks_of(torch_names(3, 4, 6, 3, nested=nested))
    assert len(blocks) == 18
    names = [block.name for block in blocks]
    assert names[0] == ("/conv1/Conv" if nested else "conv1")
    assert names[1:5] == ["layer1.0", "layer1.1", "layer1.2", "layer2.0"]
    assert blocks[1] == Block("layer1.0", 1, 4)
    assert blocks[1].label == "layer1.0 (3)"
    assert blocks[0].label == blocks[0].name
    assert [block.start for block in blocks[1:]] == [block.stop for block in blocks[:-1]]
    assert blocks[-1].stop == 50


def test_too_many_blocks_are_joined_one_module_further_up() -> None:
    blocks = blocks_of(torch_names(3, 4, 23, 3))
    labels = [block.label for block in blocks]
    assert labels[1:-1] == ["layer1 (9)", "layer2 (12)", "layer3 (69)", "layer4 (9)"]


def test_added_layers_belong_to_the_layer_that_reads_them() -> None:
    names = torch_names(3, 4, 6, 3)
    at = names.index("/layer2/layer2.0/conv2/Conv")
    names.insert(at, "/layer2/layer2.0/conv2/Conv_relay_2")
    names.insert(at, "/layer2/layer2.0/conv2/Conv_relay")
    assert "layer2.0 (5)" in [block.label for block in blocks_of(names)]


def test_keras_and_module_names_that_return() -> None:
    names = [f"model/block_{i}/{op}/Conv2D" for i in range(5) for op in ("a", "b", "c")]
    names += [f"{head}.{i}.conv" for i in range(5) for head in ("boxes", "scores")]
    blocks = blocks_of([*names, "boxes.last"])
    labels = [block.label for block in blocks]
    assert labels[:5] == [f"model.block_{i} (3)" for i in range(5)]
    # Consecutive layers only: heads that take turns are no block.
    assert labels[5:] == [*names[15:], "boxes.last"]


def test_modules_that_return_are_told_apart() -> None:
    names = [f"{part}.{i}" for part in ("up", "down") * 3 for i in range(5)]
    labels = [block.label for block in blocks_of(names)]
    assert labels == [f"{part}{n} (5)" for n in ("", " #2", " #3") for part in ("up", "down")]


def test_numbers_say_nothing_so_resolution_does() -> None:
    names = [str(3 * index) for index in range(30)]
    sizes = [64] * 9 + [32] * 8 + [16] * 7 + [8] * 6
    labels = [block.label for block in blocks_of(names, sizes)]
    assert labels == ["from 0 (9)", "from 27 (8)", "from 51 (7)", "from 72 (6)"]
    for others in ((), [64] * 30, list(range(30))):
        blocks = blocks_of(names, others)
        assert len(blocks) == 12, "even blocks where sizes say nothing either"
        assert {block.n_layers for block in blocks} == {2, 3}
        assert all(one.stop == other.start for one, other in pairwise(blocks))


def test_few_layers_are_shown_one_by_one() -> None:
    names = torch_names(3, 4)
    assert len(names) <= MOST_LAYERS
    assert [block.name for block in blocks_of(names)] == list(short_names(names))


def test_names_lose_what_exporters_repeat() -> None:
    assert short_names(["/layer1/layer1.0/conv1/Conv", "/layer1/layer1.0/conv1/Conv_relay_2"]) == (
        "layer1.0/conv1",
        "layer1.0/conv1_relay_2",
    )
    # Nothing is repeated, or another layer would have the same name.
    for kept in (
        ["/0/Conv", "/cat/a/Conv", "conv5d", "188_relay"],
        ["/a/a.0/Conv", "/a/a.0/Conv_1"],
    ):
        assert short_names(kept) == tuple(kept)


@dataclass(frozen=True)
class Row:
    """A layer in a report."""

    name: str
    neurons: int
    share: float | None
    kind: str


ROWS = [
    Row(name, 10 + index, None if index % 3 == 1 else index / 10, "ab"[index > 5])
    for index, name in enumerate(torch_names(3, 4, 6, 3))
]


def as_text(value: float | None) -> str:
    return number(value, ".1f")


def sheet_of(rows: list[Row]) -> Document:
    sheet = layer_sheet(
        "Layers",
        rows,
        ("sum", total(lambda x: x.neurons, as_text)),
        ("low", least(lambda x: x.share, as_text)),
        ("high", most(lambda x: x.share, as_text)),
        ("mean", average(lambda x: x.share, lambda x: x.neurons, as_text)),
        ("both", spread(lambda x: x.share, as_text)),
        ("kind", same(lambda x: x.kind, "several")),
        words=("kind",),
        note="sums",
        notes=("A note.",),
    )
    return Document("", "", (), (), (sheet,))


def printed(document: Document, *, details: bool) -> str:
    console = Console(width=80, record=True)
    console.print(document_text(document, details=details))
    return console.export_text()


def test_a_block_says_what_its_layers_are_together() -> None:
    (sheet,) = sheet_of(ROWS).parts
    assert sheet.headings[0] == "block"  # type: ignore[union-attr]
    text = printed(sheet_of(ROWS), details=False)
    assert len(text.splitlines()) == 18 + 6
    # Layers 1 to 3 have 11, 12 and 13 neurons; 0.2 and 0.3 are known.
    row = next(line for line in text.splitlines() if line.startswith("layer1.0 (3)"))
    assert row.split()[2:] == ["36.0", "0.2", "0.3", "0.3", "0.2-0.3", "a"]
    assert next(x for x in text.splitlines() if x.startswith("layer1.1")).split()[-1] == "several"
    assert "by block, with the number of its layers; sums" in text
    assert "A note." in text


def test_details_and_the_page_have_each_layer() -> None:
    text = printed(sheet_of(ROWS), details=True)
    assert "layer1.0/conv2" in text
    assert "by block" not in text
    page = render(sheet_of(ROWS))
    assert page.count("<details>") == 1
    assert page.index("layer1.0 (3)") < page.index("<details>") < page.index("layer1.0/conv2")


def test_a_table_of_few_layers_is_as_it_is() -> None:
    document = sheet_of(ROWS[:MOST_LAYERS])
    assert printed(document, details=False) == printed(document, details=True)
    assert "<details>" not in render(document)
    assert "layer1.0/conv2" in printed(document, details=False)


def test_plots_name_blocks_and_mark_where_they_end() -> None:
    names = torch_names(3, 4, 6, 3)
    axes = layer_lines(names, "values", [(SDNN, [1.0] * len(names))]).axes[0]
    labels = [text.get_text() for text in axes.get_xticklabels()]
    assert labels == [block.label for block in blocks_of(names)]
    assert axes.get_xticks()[1] == 2, "the middle of layers 1 to 3"
    curve, *edges = axes.get_lines()
    assert len(curve.get_xdata()) == 50, "every layer is drawn"  # type: ignore[arg-type]
    assert [line.get_xdata()[0] for line in edges][:2] == [0.5, 3.5]  # type: ignore[index]
    few = layer_lines(names[:5], "values", [(SDNN, [1.0] * 5)]).axes[0]
    assert len(few.get_lines()) == 1
    assert len(few.get_xticks()) == 5
    assert line_names(names[:3]) == ["/conv1/Conv", "layer1.0/conv1", "layer1.0/conv2"]
    assert line_names(names)[:5] == ["/conv1/Conv", "layer1.0 (3)", "_", "_", "layer1.1 (3)"]


def test_a_gallery_of_many_layers_is_folded_away() -> None:
    pictures = tuple(Picture(name, "", Figure) for name in ("a", "b", "c"))
    blocks = (Block("first", 0, 2), Block("c", 2, 3))
    page = render(Document("", "", (), (), (Gallery("Layers", "", pictures, blocks),)))
    assert page.count("<details>") == 2
    assert page.index("first (2)") < page.index("<h3>a</h3>") < page.index("<h3>b</h3>")
    assert page.index("<h3>b</h3>") < page.index("<summary>c</summary>")
    plain = render(Document("", "", (), (), (Gallery("Layers", "", pictures),)))
    assert "<details>" not in plain
