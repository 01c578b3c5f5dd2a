"""The operating points in the conversion report: verdict, table and bars of the first screen."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Literal, NamedTuple

from ann2sdnn.calibration.thresholds.units import UNITS, Unit
from ann2sdnn.convert.render.first_screen import operation_bars, search_picture
from ann2sdnn.convert.render.verdict import NONZERO_NAME, Comparable, is_pruned, point_name, verdict
from ann2sdnn.convert.report.report import ConversionReport, Measured, ThresholdBudget, Tuned
from ann2sdnn.convert.report.search_curve import SearchCurve
from ann2sdnn.data.pose.moved import MOVED_PX
from ann2sdnn.support.page.document import Picture, Sheet
from ann2sdnn.support.page.figures import DENSE, MEMORYLESS, MIXED, SDNN, SKIPPING, Style
from ann2sdnn.support.terminal import MISSING, compact, counted, number, percent


def comparable_of(report: ConversionReport) -> Comparable | None:
    """Operations per frame on the calibration frames; None in reports of earlier versions.

    The SDNN's are those of the search where there was one, on a part of these frames.
    """
    work, budget = report.work, report.threshold_budget
    if work is None:
        return None
    own = budget is not None and budget.engine_has_its_own
    memoryless = None if budget is None else budget.memoryless
    pixels = work.nonzero_pixels_per_frame
    return Comparable(
        dense=work.all_macs_per_frame,
        skipping=work.nonzero_macs_per_frame,
        memoryless=None if memoryless is None else memoryless.synops_per_frame,
        lava=work.synops_per_frame if budget is None else budget.remembering.synops_per_frame,
        mixed=budget.mixed.synops_per_frame if budget is not None and own else None,
        changed_pixels=work.changed_pixels_per_frame / pixels if pixels else None,
        has_memoryless_point=memoryless is not None,
    )


def verdict_of(report: ConversionReport) -> tuple[str, ...]:
    """One sentence on the calibration frames; none in reports of earlier versions."""
    comparable = comparable_of(report)
    if comparable is None:
        return ()
    frames = counted(report.calibration_frames, "calibration frame")
    return (verdict(comparable, f"On {frames}", _added(report, comparable)),)


def _added(report: ConversionReport, comparable: Comparable) -> str | None:
    budget = report.threshold_budget
    if budget is None:
        return None
    chosen = budget.mixed if comparable.best == "mixed" else budget.remembering
    if chosen.added is None:
        return None
    amount = budget.form.amount(chosen.added.value, ".2g")
    return f"with thresholds that {budget.form.does.format(amount)}"


class _Row(NamedTuple):
    """A network; ``tuned``: what was measured of its thresholds."""

    name: str
    style: Style
    synops: float
    meaning: str
    tuned: Tuned | None = None


def table(report: ConversionReport) -> Sheet | None:
    """All networks on the calibration frames: what thresholds add, and operations per frame."""
    budget, rows = report.threshold_budget, _rows(report)
    if not rows:
        return None
    dense = report.work.all_macs_per_frame if report.work is not None else None
    names = [row.name for row in rows]
    comparable = comparable_of(report)
    best = None if comparable is None else point_name(comparable, comparable.best)
    searched: tuple[tuple[str, Callable[[_Row], str]], ...] = ()
    if budget is not None:
        heading = budget.form.heading
        searched = (
            (f"{heading},\nsearched", lambda x: _of(x, budget, "added")),
            *(((f"over\n{MOVED_PX:g} px", _moved),) if budget.unit == "px" else ()),
            (f"{heading},\nheld out", lambda x: _of(x, budget, "held_out_added")),
        )
    return Sheet.of(
        _title(budget),
        rows,
        ("", lambda x: x.name),
        *searched,
        ("operations\n/frame", lambda x: compact(x.synops)),
        ("of\ndense", lambda x: percent(x.synops / dense if dense else None)),
        notes=tuple(_notes(report)),
        terms=tuple((row.name, row.meaning) for row in rows),
        marked=names.index(best) if best in names else None,
    )


def _rows(report: ConversionReport) -> tuple[_Row, ...]:
    """The rows of the table and the bars."""
    comparable, budget = comparable_of(report), report.threshold_budget
    if comparable is None:
        return ()
    rows = [
        _Row(
            "ANN (dense)",
            DENSE,
            comparable.dense or 0.0,
            "The original network, with every multiplication.",
        ),
        *_nonzero_weights(report),
        _Row(
            "ANN, skipping zeros",
            SKIPPING,
            comparable.skipping or 0.0,
            "The same network without multiplications by a zero activation, on all calibration"
            " frames.",
        ),
    ]
    if comparable.memoryless is not None and budget is not None:
        rows.append(
            _Row(
                "Memoryless SDNN",
                MEMORYLESS,
                comparable.memoryless,
                "The converted network without memory, thresholds for the same budget.",
                budget.memoryless,
            )
        )
    rows.append(
        _Row(
            point_name(comparable, "sdnn"),
            SDNN,
            comparable.lava,
            "Every layer is stateful: the operating point that network.net is made from.",
            None if budget is None else budget.remembering,
        )
    )
    if comparable.mixed is not None and budget is not None:
        n_memoryless = counted(len(budget.mixed.memoryless_layers), "layer")
        rows.append(
            _Row(
                point_name(comparable, "mixed"),
                MIXED,
                comparable.mixed,
                f"The same integers, {n_memoryless} memoryless: the operating point of the engine.",
                budget.mixed,
            )
        )
    return tuple(rows)


def _nonzero_weights(report: ConversionReport) -> Iterator[_Row]:
    work = report.work
    if work is not None and is_pruned(work.all_macs_per_frame, work.macs_per_frame):
        yield _Row(
            NONZERO_NAME,
            DENSE,
            work.macs_per_frame,
            "The same network without multiplications by a weight of zero: what pruning saves.",
        )


def _title(budget: ThresholdBudget | None) -> str:
    if budget is None:
        return "Operations on the calibration frames"
    limit = MISSING if budget.limit is None else budget.form.amount(budget.limit, "g")
    if budget.unit == "px":
        return f"Budget: thresholds add at most {limit}"
    if budget.unit == "class":
        return f"Budget: thresholds change the class of at most {limit} of the frames"
    return f"Budget: thresholds add at most {limit} (relative error)"


def _of(row: _Row, budget: ThresholdBudget, what: Literal["added", "held_out_added"]) -> str:
    measured = None if row.tuned is None else getattr(row.tuned, what)
    return MISSING if measured is None else with_interval(measured, budget.unit)


def _moved(row: _Row) -> str:
    measured = None if row.tuned is None else row.tuned.added
    return MISSING if measured is None else number(measured.moved_over_5px, ".1%")


def with_interval(measured: Measured, unit: Unit) -> str:
    """A value and its 95% interval."""
    form = ".3f" if unit == "error" else ".2f"
    value = UNITS[unit].number(measured.value, form)
    if measured.interval is None:
        return value
    low, high = (UNITS[unit].number(end, form).rstrip("%") for end in measured.interval)
    return f"{value} ({low}-{high})"


def _notes(report: ConversionReport) -> Iterator[str]:
    """What the numbers are, what rounding costs, and what was held out."""
    budget, work = report.threshold_budget, report.work
    if work is not None:
        yield (
            "operations: after the first frame of each run, in which the SDNN needs"
            f" {compact(work.first_frame_synops)} operations"
        )
    if budget is None:
        return
    px = budget.unit == "px"
    meaning = {
        "px": "px: mean distance, at most 5 px per joint; ",
        "class": "changed: share of frames, estimated from the margins of all, its upper end within"
        " the budget; ",
        "error": "",
    }[budget.unit]
    yield (
        f"{meaning}95% intervals by resampling {report.group_name}s;"
        f" {counted(budget.frames, 'frame')} searched, {budget.held_out_frames} held out"
    )
    without = f"Thresholds of 0 need {compact(budget.synops_per_frame_without)} operations"
    if budget.rounding is not None:
        plain = f" (plain mean {number(budget.rounding_px, '.2f')} px)" if px else ""
        alone = with_interval(budget.rounding, budget.unit)
        if budget.unit == "class":
            without += f"; rounding alone changes the class of {alone} of the frames"
        else:
            without += f"; rounding alone lies {alone}{' px' if px else ''} from the ANN{plain}"
    yield f"{without}."
    if budget.message_cost:
        yield f"A message counted as {compact(budget.message_cost)} operations in the search."
    if budget.engine_has_its_own and "input" in budget.mixed.memoryless_layers:
        yield "The input is memoryless in the engine's point: every non-zero pixel is sent."
    if budget.held_out_frames == 0:
        yield f"No {report.group_name} could be held out to check these thresholds."
    elif budget.unit == "px" and budget.held_out_px is None:
        yield (
            f"On {budget.held_out_frames} held-out frames the ANN is confident of no joint, so"
            " these thresholds are not checked."
        )


def operations(report: ConversionReport) -> Picture | None:
    """Operations per frame of all networks."""
    bars = [(row.name, row.style, row.synops) for row in _rows(report)]
    if not bars:
        return None
    return Picture(
        "Operations per frame, on the calibration frames",
        "Multiplications per frame after the first of a run, but for the dense ANN by non-zero"
        " weights only, on a logarithmic scale: one step of the grid is a factor of ten.",
        partial(operation_bars, bars),
    )


def search(report: ConversionReport) -> Picture | None:
    """The trials of the search for thresholds, if there was one."""
    budget = report.threshold_budget
    if budget is None:
        return None
    return search_picture(SearchCurve.model_validate(budget.model_dump()))
