"""The profile of the engine as a table."""

from collections.abc import Iterator, Mapping

from ann2sdnn.eval.bench.profile import CALLS, EngineProfile, ProfileRow
from ann2sdnn.support.page.blocks import short_names
from ann2sdnn.support.page.document import Sheet
from ann2sdnn.support.terminal import MISSING, counted, narrow, number, percent

_POINTS = {"engine": "lava's operating point", "mixed": "the engine's own operating point"}


def profile_sheets(profiles: Mapping[str, EngineProfile]) -> tuple[Sheet, ...]:
    """A table per operating point: time and work per frame of every layer, and their total."""
    return tuple(_sheet(_POINTS[name], profile) for name, profile in profiles.items())


def _sheet(point: str, profile: EngineProfile) -> Sheet:
    waits = profile.threads > 1
    rows = (*profile.rows, profile.total)
    names = short_names([row.name for row in rows])
    return Sheet(
        f"Where the engine's time goes, {point}: {counted(profile.frames, 'frame')} after the"
        f" first, {counted(profile.threads, 'thread')}",
        (
            "layer",
            "ms per\nframe",
            "messages\nreceived",
            "operations",
            "touched",
            "GMAC/s",
            "ns per\nmessage",
            "book-\nkeeping",
            *(("waiting",) if waits else ()),
        ),
        tuple((name, *_cells(row, waits=waits)) for name, row in zip(names, rows, strict=True)),
        notes=tuple(_notes(profile)),
        marked=len(rows) - 1,
    )


def _cells(row: ProfileRow, *, waits: bool) -> Iterator[str]:
    yield f"{row.ms:.2f}"
    yield narrow(row.messages_received)
    yield narrow(row.operations)
    yield percent(row.touched)
    yield number(row.gmac_per_s, ".1f")
    yield number(row.ns_per_message, ".0f")
    # Where there are no weights, all is bookkeeping.
    yield percent(row.bookkeeping) if row.operations is not None else MISSING
    if waits:
        yield MISSING if row.name == CALLS else percent(row.waiting_ms / row.ms)


def _notes(profile: EngineProfile) -> Iterator[str]:
    yield (
        f"Without measuring layers: {profile.unmeasured_ms:.2f} ms per frame in alternating rounds."
    )
    yield (
        "Bookkeeping: all but multiplying and adding (emission, waiting). GMAC/s: operations per"
        " second of the rest. Touched: neurons visited to see whether they send. Input: encoding;"
        " output: decoding; calls: Python."
    )
    if profile.threads > 1:
        yield (
            "Time: until the slowest thread has ended. Waiting: share of it in which the others,"
            " on average, had nothing to do."
        )
