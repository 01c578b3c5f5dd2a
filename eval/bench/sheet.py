"""The result of `bench` as a table."""

from collections.abc import Iterator

from ann2sdnn.eval.bench.networks.registry import NETWORKS
from ann2sdnn.eval.bench.report import BenchReport
from ann2sdnn.support.page.document import Sheet
from ann2sdnn.support.terminal import MISSING, counted, number


def bench_sheet(report: BenchReport) -> Sheet:
    """Medians and ranges, the least first, how many times the least each takes, the first frame and
    the distance from the float32 network; below them, which network is the fastest, what distance
    means, whether the backends agree, and what was not timed.
    """
    medians = report.ms_per_frame
    return Sheet(
        f"Medians of {counted(report.rounds, 'alternating round')} of"
        f" {counted(report.frames, 'frame')} with {counted(report.threads, 'thread')}",
        (
            "network",
            "ms per\nframe",
            "range",
            "frames\nper s",
            "ratio",
            "first\nframe",
            "px from\nthe ANN" if report.in_px else "relative\nerror",
        ),
        tuple(
            (
                NETWORKS[name].label,
                f"{medians[name]:.1f}",
                f"{min(report.all_ms_per_frame[name]):.1f}-{max(report.all_ms_per_frame[name]):.1f}",
                f"{1e3 / medians[name]:.1f}",
                f"{medians[name] / min(medians.values()):.2f}",
                f"{report.first_ms[name]:.1f}",
                _distance(report, name),
            )
            for name in sorted(medians, key=medians.__getitem__)
        ),
        notes=(
            *_verdict(report),
            *_wrong(report),
            *_what_distance_is(report),
            *_agreement(report),
            *_missing(report),
        ),
    )


def _verdict(report: BenchReport) -> Iterator[str]:
    fastest, as_close = report.fastest, report.fastest_as_close
    if as_close is None or fastest == report.fastest_sdnn:
        yield f"Fastest: {NETWORKS[fastest].label}."
        return
    limit = _distance(report, report.fastest_sdnn) + (" px" if report.in_px else "")
    group = f"those at most as far from the ANN as {NETWORKS[report.fastest_sdnn].label} ({limit})"
    if fastest == as_close:
        yield f"Fastest: {NETWORKS[fastest].label}, also of {group}."
        return
    yield f"Fastest: {NETWORKS[fastest].label}."
    yield f"Fastest of {group}: {NETWORKS[as_close].label}."


def _wrong(report: BenchReport) -> Iterator[str]:
    for name in report.wrong:
        yield f"{NETWORKS[name].label} is wrong: an output of zeros would be closer to the ANN."


def _what_distance_is(report: BenchReport) -> Iterator[str]:
    yield (
        (
            "px from the ANN: mean displacement of joints against the float32 ANN on these frames"
            if report.in_px
            else "relative error: of the outputs (L2), against the float32 ANN on these frames"
        )
        + ("; int8 is calibrated on them." if _has_int8(report) else ".")
    )


def _has_int8(report: BenchReport) -> bool:
    return any(name.endswith("int8") for name in report.all_ms_per_frame)


def _agreement(report: BenchReport) -> Iterator[str]:
    if "slayer" in report.all_ms_per_frame:
        verdict = {True: "equal", False: "DIFFERENT", None: MISSING}[report.messages_equal]
        yield f"Messages of engine and slayer: {verdict} ({report.messages_compared:,} compared)."


def _missing(report: BenchReport) -> Iterator[str]:
    """Each sentence once: all networks of a missing package have the same."""
    for sentence in dict.fromkeys(report.not_timed.values()):
        yield f"{sentence}."


def _distance(report: BenchReport, name: str) -> str:
    return number(report.distance[name], ".2f" if report.in_px else ".4f")
