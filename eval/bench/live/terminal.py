"""Shows a player as a table of at most 80 columns."""

from collections import deque

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ann2sdnn.eval.bench.live.player import Player, Shown
from ann2sdnn.support.page.blocks import short_names
from ann2sdnn.support.terminal import WIDTH, compact, number

_BARS = " ▁▂▃▄▅▆▇█"
_LINE = 56  # frames of the moving line
_BAR = 24  # columns of a layer's bar
_MOST_LAYERS = 20  # rows; a terminal has some 24


class Totals:
    """What was played so far; ``dense``: operations per frame of the dense ANN."""

    def __init__(self, dense: int) -> None:
        self._dense, self._frames, self._operations = dense, 0, 0

    def add(self, shown: Shown) -> None:
        """Count a frame."""
        self._frames += 1
        self._operations += shown.operations

    @property
    def sentence(self) -> str:
        """Frames, and operations per frame."""
        if not self._frames:
            return "No frame was played."
        mean = self._operations / self._frames
        share = f" ({mean / self._dense:.1%} of dense)" if self._dense else ""
        return f"Played {self._frames} frames, {compact(mean)} operations per frame{share}."


def show_in_terminal(player: Player, totals: Totals, console: Console, keys: str) -> None:
    """Play to the end; a table that changes, or one line per frame where nobody watches.

    ``keys``: the line that explains the keys.
    """
    line: deque[float] = deque(maxlen=_LINE)
    if not console.is_terminal:
        for shown in player.readings():
            totals.add(shown)
            console.print(one_line(player, shown), markup=False, highlight=False)
        return
    with Live(console=console, auto_refresh=False) as display:
        for shown in player.readings():
            totals.add(shown)
            line.append(shown.operations / max(player.dense, 1))
            display.update(table(player, shown, line, keys), refresh=True)


def one_line(player: Player, shown: Shown) -> str:
    """A frame in one line."""
    return (
        f"{shown.index + 1:>4} {player.points[shown.point].name:<16}"
        f" {compact(shown.operations):>7} operations {compact(sum(shown.messages)):>7} messages"
        f" {shown.sdnn_ms:7.1f} ms"
    )


def table(player: Player, shown: Shown, line: "deque[float]", keys: str) -> RenderableType:
    """The operating point, costs and answers of one frame, and messages per layer."""
    point = player.points[shown.point]
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(max_width=WIDTH - 18)
    share = f"{shown.operations / player.dense:.1%} of {compact(player.dense)}, the dense ANN's"
    rate = "" if shown.fps is None else f", {shown.fps:.1f} frames per second"
    for name, text in (
        ("frame", f"{shown.index + 1} of {shown.n_frames}, {shown.sequence}{rate}"),
        ("point", f"{shown.point + 1} of {len(player.points)}: {point.name}. {point.meaning}"),
        ("operations", f"{compact(shown.operations)}, {share}"),
        ("", sparkline(line)),
        ("milliseconds", f"SDNN {shown.sdnn_ms:.1f}, ANN {shown.ann_ms:.1f} (ONNX Runtime)"),
        ("difference", _difference(shown)),
    ):
        grid.add_row(Text(name), Text(text))
    return Group(grid, _layers(player, shown), Text(keys, style="dim"))


def sparkline(values: "deque[float]") -> str:
    """Shares of dense as bars, the highest of them full."""
    top = max(values, default=0.0) or 1.0
    return "".join(_BARS[round(value / top * (len(_BARS) - 1))] for value in values)


def _difference(shown: Shown) -> str:
    answers = shown.answers
    text = f"relative error {number(answers.relative_error, '.3f')}"
    if answers.moved_px is not None:
        text += f", joints moved {answers.moved_px:.2f} px"
    if answers.classes:
        ann = max(answers.classes, key=lambda one: one.ann).name
        sdnn = max(answers.classes, key=lambda one: one.sdnn).name
        text += f", ANN says {ann}, SDNN {sdnn}"
    return text


def _layers(player: Player, shown: Shown) -> Table:
    """Messages of the input and the layers; of many layers those that send most."""
    sends = list(zip(short_names(player.names), shown.messages, player.neurons, strict=True))
    chosen = sorted(range(len(sends)), key=lambda i: -sends[i][1])[:_MOST_LAYERS]
    rows = Table.grid(padding=(0, 2))
    rows.add_column(no_wrap=True, max_width=24)
    rows.add_column(justify="right", no_wrap=True)
    rows.add_column(no_wrap=True)
    most = max(shown.messages) or 1
    for name, messages, neurons in (sends[i] for i in sorted(chosen)):
        bar = "█" * round(_BAR * messages / most)
        rows.add_row(Text(name), Text(f"{compact(messages)} ({messages / neurons:.1%})"), Text(bar))
    return rows
