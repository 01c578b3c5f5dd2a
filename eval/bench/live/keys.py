"""Keys that steer a player from the terminal that the command runs in."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from ann2sdnn.eval.bench.live.player import Player

HELP = "space pause, s step, r restart, + and - thresholds, Ctrl-C ends"
_POLL_S = 0.2


@contextmanager
def pressed_keys(player: Player) -> Iterator[str]:
    """Keys steer ``player`` while this is open, where standard input is a terminal.

    Gives the line that explains them; an empty one where nobody can press any.
    """
    if sys.stdin is None or not sys.stdin.isatty():
        yield ""
        return
    try:
        import termios
        import tty
    except ImportError:  # Windows
        yield ""
        return
    before, ended = termios.tcgetattr(sys.stdin), threading.Event()
    thread = threading.Thread(target=_read, args=(player, ended), daemon=True)
    try:
        tty.setcbreak(sys.stdin)  # Ctrl-C goes on to interrupt
        thread.start()
        yield HELP
    finally:
        ended.set()
        thread.join()
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def press(player: Player, key: str) -> None:
    """Do what ``key`` stands for; nothing for another key."""
    if key == " ":
        (player.pause if player.is_playing else player.play)()
    elif key == "s":
        player.step()
    elif key == "r":
        player.restart()
    elif key in ("+", "-"):
        with suppress(ValueError):  # the last point
            player.change_to(player.point + (1 if key == "+" else -1))


def _read(player: Player, ended: threading.Event) -> None:
    import select

    while not ended.is_set():
        readable, _, _ = select.select([sys.stdin], [], [], _POLL_S)
        if readable:
            press(player, sys.stdin.read(1))
