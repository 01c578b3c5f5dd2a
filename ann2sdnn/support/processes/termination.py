"""SIGTERM and SIGHUP as an exception, so that an ended command cleans up as after Ctrl-C."""

import os
import signal
from types import FrameType

# What `kill`, `timeout` and batch systems send, and what a closed terminal does.
_SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))


class Terminated(BaseException):
    """The command was told to end by the signal ``number``."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.exit_code = 128 + number


def raise_on_termination() -> None:
    """From now on the signals raise ``Terminated``; those that the caller ignores stay ignored."""
    for number in _SIGNALS:
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _Handler(os.getpid()))


class _Handler:
    """Raises in the process ``pid``; one forked from it ends at once, as without a handler."""

    def __init__(self, pid: int) -> None:
        self._pid = pid

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        if os.getpid() != self._pid:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        for each in _SIGNALS:  # `timeout` sends it twice, and cleaning up is not to be cut short
            signal.signal(each, _pass)
        raise Terminated(number)


def _pass(_number: int, _frame: FrameType | None) -> None:
    """Unlike SIG_IGN, also right for a signal that has arrived and is yet to be handled."""
