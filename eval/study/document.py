"""results.md: the tables of a study, each below the commands that made it."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from ann2sdnn.eval.bench.networks.registry import NETWORKS
from ann2sdnn.eval.render.energy import joules
from ann2sdnn.eval.study.records import MethodRow, Results, StudyTable, TimeTable
from ann2sdnn.support.terminal import MISSING, compact, counted, number, percent

_WINDOWS = {
    "overlapping": "Overlapping windows, a frame every 3,750 events",
    "disjoint": "Disjoint windows, a frame every 30,000 events",
}

_READING = """\
- *error*: mean distance of joints to their labels, px in the picture, mm in the room from both
  front cameras. *moved*: mean distance to the ANN's joints where the ANN is confident, at most 5 px
  per joint.
- *messages*, *operations*: per frame of one camera, after the first frame of each sequence, in
  which an SDNN sends everything. *of dense*: of the multiplications by all weights of the network,
  those that training or pruning has set to zero included.
- *memoryless SDNN*: of the first conversion, with no layer stateful, and with thresholds for the
  same budget where the conversion chose some. *lava's point*: every layer stateful. *engine's
  point*: the same integers, with layers memoryless where that needs fewer operations.
- *45 nm*, *Loihi*: energy per frame, estimated from published energies per operation: integers in a
  45 nm process without memory and data movement, and the first Loihi. The two columns do not
  compare with each other.
- Conversions: *stock* has no relays, *relays* has six layers with relays; stock netx loads both.
  *shifts* has one right shift per layer and thresholds in finer steps, which netx's file cannot
  hold. *sparse* lets thresholds move joints by 0.8 px instead of 0.2, and counts a message as 200
  operations when it chooses them; stock netx loads it.
"""


def document(results: Results) -> str:
    """The text of results.md."""
    return "\n\n".join((*_opening(results), *_sections(results))) + "\n"


def _opening(results: Results) -> Iterator[str]:
    yield "# Results"
    yield (
        "Synthetic people before event cameras. The network that comes along was not trained on"
        " them, and other people are calibrated on than evaluated on. This file was made by"
    )
    yield _commands([results.made_by])
    yield (
        f"(version {results.version}, {results.seconds / 60:.0f} minutes in all). It runs the"
        " commands shown here in its folder, and continues after the last finished one where it was"
        " interrupted. The numbers are in `results.json`, and as a table in `results.csv`."
    )
    yield _READING.rstrip()
    yield "## Recordings"
    yield _commands((*results.recordings, *results.imports))


def _sections(results: Results) -> Iterator[str]:
    title = ""
    for table in results.tables:
        if table.title != title:
            title = table.title
            yield f"## {title}"
        yield f"### {_WINDOWS[table.windows]}"
        yield _commands((*table.conversions.values(), *table.evaluations.values()))
        yield f"{counted(table.frames, 'frame')} of {counted(table.recordings, 'recording')}."
        yield methods(table)
        yield from _notes(table)
        yield _commands(one.command for one in table.times)
        yield times(table.times)


def methods(table: StudyTable) -> str:
    """The networks of a table, as Markdown."""
    columns: tuple[tuple[str, Callable[[MethodRow], str]], ...] = (
        ("", lambda row: row.method),
        ("error px", lambda row: number(row.error_px, ".2f")),
        ("error mm", lambda row: number(row.error_mm, ".1f")),
        ("moved px", lambda row: number(row.moved_px, ".2f")),
        ("messages", lambda row: compact(row.messages)),
        ("operations", lambda row: compact(row.operations)),
        ("of dense", lambda row: percent(row.of_dense)),
        ("45 nm", lambda row: joules(row.energy_45nm_uj)),
        ("Loihi", lambda row: joules(row.energy_loihi_uj)),
    )
    return _table(
        [name for name, _ in columns], ([cell(x) for _, cell in columns] for x in table.rows)
    )


def times(tables: Sequence[TimeTable]) -> str:
    """Milliseconds per frame, a row per run of `bench`, as Markdown."""
    labels = {row.network: row.label for table in tables for row in table.rows}
    names = [name for name in NETWORKS if name in labels]
    headings = (
        "conversion",
        *(labels[name] for name in names),
        "int8 over engine",
        "engine, first frame",
        "engine px",
        "int8 px",
    )
    return _table(headings, (_times(table, names) for table in tables))


def _times(table: TimeTable, names: Iterable[str]) -> Iterator[str]:
    rows = {row.network: row for row in table.rows}
    engine, int8 = rows["engine"], rows.get("onnxruntime_int8")
    yield table.conversion
    for name in names:
        yield f"{rows[name].ms_per_frame:.1f}" if name in rows else MISSING
    yield number(None if int8 is None else int8.ms_per_frame / engine.ms_per_frame, ".1f")
    yield f"{engine.first_frame_ms:.1f}"
    yield number(engine.distance_px, ".2f")
    yield number(None if int8 is None else int8.distance_px, ".2f")


def _notes(table: StudyTable) -> Iterator[str]:
    first = ", ".join(
        f"{compact(operations)} ({name})"
        for name, operations in table.first_frame_operations.items()
    )
    if first:
        yield f"Operations of the first frame of a sequence, at lava's point: {first}."
    if table.pruned > 0:
        yield (
            f"{percent(table.pruned)} of the {compact(table.dense_operations)} dense operations are"
            " multiplications by weights of zero."
        )
    warned: dict[str, list[str]] = {}
    for name, texts in table.warnings.items():
        for text in texts:
            warned.setdefault(text, []).append(name)
    if warned:
        yield "\n".join(f"- {', '.join(names)}: {text}" for text, names in warned.items())
    if table.times:
        one = table.times[0]
        yield (
            f"Milliseconds per frame after the first, with {counted(one.threads, 'thread')}:"
            f" medians of {counted(one.rounds, 'round')} in which the networks of one conversion"
            f" take turns on the same {counted(one.frames, 'frame')}. Compare within a row. px:"
            " distance of the joints from the float32 ANN's; int8 is calibrated on these frames."
        )


def _commands(lines: Iterable[str]) -> str:
    return "\n".join(("```", *lines, "```"))


def _table(headings: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    names = tuple(headings)
    text = [names, tuple("---" for _ in names)]
    text += [tuple("" if cell == MISSING else cell for cell in row) for row in rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in text)
