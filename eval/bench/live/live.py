"""`live`: plays a recording through ANN and SDNN, and shows what both answer and cost."""

from pathlib import Path

from rich.console import Console

from ann2sdnn.ann.weights.pretrained import PRETRAINED, SHIPPED
from ann2sdnn.convert.folder import open_conversion
from ann2sdnn.data.sources.resized import resized
from ann2sdnn.eval.bench.live.keys import pressed_keys
from ann2sdnn.eval.bench.live.options import LiveOptions
from ann2sdnn.eval.bench.live.page import reading_of, render_page
from ann2sdnn.eval.bench.live.player import Player
from ann2sdnn.eval.bench.live.server import Latest, LiveServer
from ann2sdnn.eval.bench.live.source import opened
from ann2sdnn.eval.bench.live.terminal import Totals, show_in_terminal
from ann2sdnn.support.progress import SILENT, Reporter, said_if_slow

COMPILES = (
    "Preparing both networks; the first run on a machine compiles the engine, in about a minute"
)


def live(
    folder: Path,
    source: str,
    options: LiveOptions,
    console: Console,
    *,
    reporter: Reporter = SILENT,
) -> None:
    """Play ``source``, a path or the name of a movement, through the conversion in ``folder``.

    Returns at Ctrl-C, or after one round with ``options.once``. Raises ModelError, DataError and
    UsageError as the parts do.
    """
    conversion = open_conversion(folder)
    with opened(source, options, reporter) as sequences:
        shown = resized(sequences, conversion.spec.preprocessing.resize)
        with said_if_slow(reporter, COMPILES):
            player = Player(conversion, shown, rate=options.rate, once=options.once)
        totals = Totals(player.dense)
        try:
            if options.terminal:
                with pressed_keys(player) as keys:
                    show_in_terminal(player, totals, console, keys)
            else:
                name = PRETRAINED if folder == SHIPPED else folder.name
                _serve(player, totals, f"{name}, {source}", options.port, console)
        except KeyboardInterrupt:
            pass  # the way to end it
        console.print(totals.sentence, markup=False)


def _serve(
    player: Player, totals: "Totals", title: str, port: int | None, console: Console
) -> None:
    latest = Latest()
    commands = {
        "pause": lambda _: player.pause(),
        "play": lambda _: player.play(),
        "step": lambda _: player.step(),
        "restart": lambda _: player.restart(),
        "point": player.change_to,
    }
    with LiveServer(render_page(player, title), latest, commands, port) as server:
        console.print(f"Open {server.url}", markup=False, soft_wrap=True)
        console.print("Ctrl-C ends it.")
        for shown in player.readings():
            totals.add(shown)
            latest.put(reading_of(player, shown))
