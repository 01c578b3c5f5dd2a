"""The command line. A command imports what it needs when it runs, so that --help is fast."""

import os
import sys
from typing import Any

import typer

from ann2sdnn.cli import (
    ann,
    convert,
    data,
    diagnose,
    drift,
    evaluate,
    lower,
    netx,
    train_sdnn,
)
from ann2sdnn.support.errors import Ann2SdnnError
from ann2sdnn.support.termination import Terminated, raise_on_termination

app = typer.Typer(
    help="Convert a trained ReLU CNN into a sigma-delta network, and measure what it costs.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for commands in (  # in the order of the help
    data,
    ann,
    convert,
    evaluate,
    netx,
    lower,
    drift,
    diagnose,
    train_sdnn,
):
    commands.register(app)

# What typer raises for a command line it cannot parse; it has this class from click, or, in later
# versions, from a module of its own that is not public.
_CommandLineError: Any = typer.BadParameter.__bases__[0]
_INTERRUPTED = 130  # typer makes an exit code of Ctrl-C


def main() -> None:
    """Run the command line; a user's mistake, or the machine's, is one sentence and exit code 2."""
    raise_on_termination()
    try:
        code = _run()
        _flush()
    except Ann2SdnnError as error:
        code = _say(str(error))
    except BrokenPipeError:  # whoever read the output has seen enough
        code = 1
    except OSError as error:
        code = _say(_sentence(error))
    except MemoryError as error:
        reason = str(error) or "there is not enough of it"
        code = _say(f"out of memory ({reason}); use fewer frames, or fewer at a time")
    except KeyboardInterrupt:
        _say("interrupted")
        code = _INTERRUPTED
    except Terminated as end:
        _say("terminated")
        code = end.exit_code
    try:
        _flush()
    except OSError:  # what is left in the buffer cannot be written, and Python would try once more
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)


def _run() -> int:
    """The exit code of the command."""
    try:
        code = app(sys.argv[1:] or ["--help"], prog_name="ann2sdnn", standalone_mode=False)
    except _CommandLineError as error:
        return _say(_command_line_sentence(error))
    if code == _INTERRUPTED:
        _say("interrupted")
    return code if isinstance(code, int) else 0


def _flush() -> None:
    if sys.stdout is not None:  # as it is where the caller has closed it
        sys.stdout.flush()


def _command_line_sentence(error: Any) -> str:
    """What typer found wrong with the command line, and where the options are listed."""
    # An option without its value comes without a context, but the command stands before it.
    given = [one for one in sys.argv[1:2] if not one.startswith("-")]
    command = " ".join(("ann2sdnn", *given)) if error.ctx is None else error.ctx.command_path
    found = " ".join(error.format_message().split()).rstrip(".").replace("Value error, ", "")
    return f"{found[:1].lower()}{found[1:]}; `{command} --help` lists what there is"


def _say(sentence: str) -> int:
    sys.stderr.write(f"ann2sdnn: {sentence}\n")
    return 2


def _sentence(error: OSError) -> str:
    """The file and what was wrong with it, in one line."""
    reason = os.strerror(error.errno) if error.errno else str(error) or type(error).__name__
    reason = reason.splitlines()[0]
    files = [str(name) for name in (error.filename, error.filename2) if name is not None]
    return f"{' to '.join(files)}: {reason}" if files else reason
