"""The command line: which commands there are, and how their errors are shown.

A command's module is imported when the command runs or shows its own help.
"""

import ast
import importlib
import importlib.util
import os
import re
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from ann2sdnn.cli.parsing.derive import derived
from ann2sdnn.support import __version__
from ann2sdnn.support.errors import Ann2SdnnError, UsageError
from ann2sdnn.support.options.nearest import did_you_mean
from ann2sdnn.support.processes.leaving import leave
from ann2sdnn.support.processes.termination import Terminated, raise_on_termination

# Panel of the help -> commands. A command is the function of its name in a module of this package.
_PANELS = {
    "Pipeline": {"demo": "demo", "results": "results"},
    "Data": {"synth": "data", "prepare": "data", "show": "data"},
    "ANN": {"train-ann": "train", "import-ann": "train"},
    "Conversion": {
        "convert": "convert",
        "inspect": "convert",
        "evaluate": "evaluate",
        "bench": "evaluate",
        "live": "evaluate",
    },
    "Loihi": {"export": "netx", "lower": "netx", "simulate": "netx", "drift": "netx"},
    "Learning": {"diagnose": "diagnose", "train-sdnn": "train"},
    "Installation": {"doctor": "doctor"},
}
COMMANDS = {
    name: f"ann2sdnn.cli.{module}" for panel in _PANELS.values() for name, module in panel.items()
}


class _LazyGroup(TyperGroup):
    """Commands that are imported when one of them is called; the list of all of them needs none."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command's name, panel and first sentence."""
        if cmd_name not in COMMANDS:
            return None
        (panel,) = [title for title, commands in _PANELS.items() if cmd_name in commands]
        return TyperCommand(cmd_name, help=_summary(cmd_name), rich_help_panel=panel)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args[0] not in COMMANDS:
            if ctx.resilient_parsing:  # the shell asks how it goes on, and it does not
                return None, None, args
            if not args[0].startswith("-"):
                near = did_you_mean(args[0], COMMANDS)
                raise UsageError(
                    f"there is no command {args[0]}{near or ';'} `ann2sdnn --help` lists them"
                )
        name, _, rest = super().resolve_command(ctx, args)
        return name, load(str(name)), rest


app = typer.Typer(
    cls=_LazyGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"ann2sdnn {__version__}")
        raise typer.Exit


@app.callback()
def ann2sdnn(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version and exit.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Convert a trained ReLU CNN into a sigma-delta network, and measure what it costs."""


def load(name: str) -> Any:
    """The command ``name`` of ``COMMANDS``, with its options."""
    function = getattr(importlib.import_module(COMMANDS[name]), name.replace("-", "_"))
    alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    alone.command(name)(derived(function))
    return typer.main.get_command(alone)


def _summary(name: str) -> str:
    """The docstring of the command ``name``, read without importing its module."""
    spec = importlib.util.find_spec(COMMANDS[name])
    assert spec is not None
    assert spec.origin is not None
    for node in ast.parse(Path(spec.origin).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef) and node.name == name.replace("-", "_"):
            return (ast.get_docstring(node) or "").split("\n\n")[0]
    return ""


# What typer raises for a command line it cannot parse; it has this class from click, or, in later
# versions, from a module of its own that is not public.
_CommandLineError: Any = typer.BadParameter.__bases__[0]
_INTERRUPTED = 130  # typer makes an exit code of Ctrl-C
_BROKEN = 1  # Python's exit code after a traceback


def main() -> None:
    """Run the command line; a user's mistake, or the machine's, is one sentence and exit code 2."""
    raise_on_termination()
    try:
        code = exit_code()
    except BaseException:  # one of ours
        sys.excepthook(*sys.exc_info())
        code = _BROKEN
    if code:
        leave(code)
    sys.exit()


def exit_code() -> int:
    """Run the command line of ``sys.argv`` and say in one sentence why it failed, if it did."""
    try:
        code = _run()
        _flush()
    except Ann2SdnnError as error:
        code = _say(str(error))
    except SystemExit as end:  # of typer after a completion, of rich where nobody reads it
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
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
    return code


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
    given = [word for word in sys.argv[1:2] if not word.startswith("-")]
    command = " ".join(("ann2sdnn", *given)) if error.ctx is None else error.ctx.command_path
    message = getattr(error, "message", "") if hasattr(error, "possibilities") else ""
    fault = " ".join((message or error.format_message()).split()).rstrip(".")
    fault = fault.replace("Value error, ", "")
    near = _nearest(error, fault) or ";"
    return f"{fault[:1].lower()}{fault[1:]}{near} `{command} --help` lists what there is"


def _nearest(error: Any, fault: str) -> str:
    """The nearest option, or the nearest of a few values, to what was typed."""
    if hasattr(error, "possibilities"):
        return did_you_mean(error.option_name, error.possibilities or ())
    listed = re.search(r"'([^']*)' is not one of (.*)", fault)
    return did_you_mean(listed[1], re.findall(r"'([^']*)'", listed[2])) if listed else ""


def _say(sentence: str) -> int:
    from ann2sdnn.support.terminal import plain

    sys.stderr.write(f"ann2sdnn: {plain(sentence)}\n")
    return 2


def _sentence(error: OSError) -> str:
    """The file and what was wrong with it, in one line."""
    reason = os.strerror(error.errno) if error.errno else str(error) or type(error).__name__
    reason = reason.splitlines()[0]
    files = [str(name) for name in (error.filename, error.filename2) if name is not None]
    return f"{' to '.join(files)}: {reason}" if files else reason
