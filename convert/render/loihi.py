"""The estimate for Loihi 2 as tables: a short one of systems, and one of layers."""

from collections.abc import Iterator

from ann2sdnn.convert.report.loihi import LoihiLayer, LoihiReport
from ann2sdnn.convert.report.report import ConversionReport
from ann2sdnn.support.page.document import Sheet
from ann2sdnn.support.page.layered import layer_sheet, same, total
from ann2sdnn.support.terminal import MISSING, counted, narrow, percent

OPTION = "loihi"
_OF = {"lowered": "network.net", "converted": "the conversion, which has no network.net"}
_LIMITS = {"neurons": "its neurons", "memory": "its memory", "rate": "its messages"}


def fit(report: ConversionReport) -> Sheet | None:
    """The systems that the network fits."""
    return None if report.loihi is None else fit_sheet(report.loihi)


def layers(report: ConversionReport) -> Sheet | None:
    """Cores of every layer."""
    return None if report.loihi is None else cores_sheet(report.loihi)


def fit_sheet(loihi: LoihiReport) -> Sheet:
    """Cores of the systems, whether the network fits, and the largest input that does."""
    return Sheet.of(
        f"Will it fit Loihi 2? An estimate: {counted(loihi.cores, 'core')} or more,"
        f" {counted(loihi.chips, 'chip')}",
        loihi.systems,
        ("", lambda x: x.name),
        ("chips", lambda x: f"{x.chips:,}"),
        ("cores", lambda x: f"{x.cores:,}"),
        ("needed", lambda x: _needed(loihi.cores / x.cores)),
        ("fits", lambda x: "yes" if x.fits else "no"),
        (
            "largest input",
            lambda x: MISSING if x.largest_input is None else "x".join(map(str, x.largest_input)),
        ),
        words=("fits",),
        notes=tuple(_notes(loihi)),
        terms=(
            (
                "estimate",
                "From published limits and stated assumptions (docs/loihi.md, Will it fit?). What"
                " the compiler adds, such as tables of axons, is not published and not counted.",
            ),
        ),
    )


def _notes(loihi: LoihiReport) -> Iterator[str]:
    rows, columns = loihi.input_size
    largest = loihi.largest_layer
    yield (
        f"of {_OF[loihi.network]} at {rows}x{columns}; most cores: {largest.name},"
        f" {largest.cores:,} ({percent(largest.cores / loihi.cores)}), because of"
        f" {_LIMITS[largest.limit]}"
    )
    if loihi.fixed_layer is not None:
        yield f"other input sizes: the layer {loihi.fixed_layer} takes this one only"
    elif all(system.largest_input is None for system in loihi.systems):
        yield "no input size fits any of these systems"


def cores_sheet(loihi: LoihiReport) -> Sheet:
    """Cores of every layer by what asks for them."""
    return layer_sheet(
        "Cores of Loihi 2 by layer, an estimate (cores: or more)",
        loihi.layers,
        ("neurons", total(lambda x: x.neurons, narrow)),
        ("weights\nbytes", total(lambda x: x.weight_bytes, narrow)),
        ("by\nneurons", total(lambda x: x.cores_by_neurons, _whole)),
        ("by\nmemory", total(lambda x: x.cores_by_memory, _whole)),
        ("by\nmessages", total(lambda x: x.cores_by_rate, _whole)),
        ("cores", total(lambda x: x.cores, _whole)),
        ("of\nall", total(lambda x: x.cores / loihi.cores, percent)),
        ("limited\nby", same(_limit, "several")),
        words=("limited\nby",),
        note="sums",
        notes=(f"by messages: for {loihi.frames_per_second:g} frames per second",),
        option=OPTION,
    )


def _needed(share: float) -> str:
    if share > 1:
        return f"{share:.3g} times"
    return "<0.1%" if share < 0.0005 else percent(share)


def _limit(layer: LoihiLayer) -> str:
    return {"rate": "messages"}.get(layer.limit, layer.limit)


def _whole(count: float | None) -> str:
    return MISSING if count is None else f"{count:,.0f}"
