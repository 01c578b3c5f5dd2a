"""The estimate of energy as a table."""

from collections.abc import Iterator, Sequence

from ann2sdnn.convert.render.verdict import LAVA_NAME, MIXED_NAME, SDNN_NAME
from ann2sdnn.eval.results.energy import EnergyEstimate
from ann2sdnn.eval.results.evaluation import Evaluation
from ann2sdnn.eval.results.schema import EvaluationReport
from ann2sdnn.support.page.document import Sheet
from ann2sdnn.support.terminal import MISSING

OPTION = "energy"
_UNITS = ((1e6, "J"), (1e3, "mJ"), (1.0, "µJ"), (1e-3, "nJ"))  # in microjoules


def energy(evaluation: Evaluation) -> Sheet | None:
    """Energy per frame of every network."""
    rows = tuple(_rows(evaluation.report))
    return energy_sheet(rows, option=OPTION) if rows else None


def _rows(report: EvaluationReport) -> Iterator[tuple[str, EnergyEstimate]]:
    known = report.energy
    if known is None:
        return
    sdnn = SDNN_NAME if known.mixed is None else LAVA_NAME
    named = (
        ("ANN (dense)", known.ann),
        ("ANN, skipping zeros", known.ann_skipping),
        ("Memoryless SDNN", known.memoryless),
        (sdnn, known.sdnn),
        (MIXED_NAME, known.mixed),
    )
    for name, estimate in named:
        if estimate is not None:
            yield name, estimate


def energy_sheet(rows: Sequence[tuple[str, EnergyEstimate]], option: str = "") -> Sheet:
    """A row per network: in a 45 nm process, and on Loihi with its parts."""
    return Sheet.of(
        "Energy per frame, an estimate",
        rows,
        ("", lambda x: x[0]),
        ("45 nm,\nfloat32", lambda x: joules(x[1].float32_uj)),
        ("45 nm,\nintegers", lambda x: joules(x[1].integer_uj)),
        ("Loihi", lambda x: joules(x[1].loihi_uj)),
        ("opera-\ntions", lambda x: joules(x[1].loihi_operations_uj)),
        ("neurons", lambda x: joules(x[1].loihi_updates_uj)),
        ("messages", lambda x: joules(x[1].loihi_messages_uj)),
        notes=(
            "from published energies per operation (docs/loihi.md, Energy); static power and, for"
            " 45 nm, memory and data movement are left out",
            "Loihi: the first chip, with its memory, so it does not compare with 45 nm; the sum of"
            " the columns behind it. None are published for Loihi 2",
        ),
        option=option,
    )


def joules(microjoules: float | None) -> str:
    """Three digits and a unit: 11.4 mJ."""
    if microjoules is None:
        return MISSING
    for size, unit in _UNITS:
        # 999.6 µJ would be written 1000 µJ.
        if microjoules >= 0.9995 * size:
            return f"{_three_digits(microjoules / size)} {unit}"
    return f"{microjoules * 1e6:.3g} pJ"


def _three_digits(value: float) -> str:
    digits = 0 if value >= 99.95 else 1 if value >= 9.995 else 2
    return f"{value:.{digits}f}"
