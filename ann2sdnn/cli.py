"""The command line. A command imports what it needs when it runs, so that --help is fast."""

import sys

import typer

from ann2sdnn import (
    ann_commands,
    convert_commands,
    data_commands,
    diagnose_command,
    drift_command,
    evaluate_commands,
    loihi_commands,
    lower_command,
    sdnn_commands,
)
from ann2sdnn.errors import Ann2SdnnError

app = typer.Typer(
    help="Convert a trained ReLU CNN into a sigma-delta network, and measure what it costs.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for commands in (  # in the order of the help
    data_commands,
    ann_commands,
    convert_commands,
    evaluate_commands,
    loihi_commands,
    lower_command,
    drift_command,
    diagnose_command,
    sdnn_commands,
):
    commands.register(app)


def main() -> None:
    """Run the command line; a user's mistake is one sentence and exit code 2."""
    try:
        app()
    except Ann2SdnnError as error:
        sys.stderr.write(f"ann2sdnn: {error}\n")
        sys.exit(2)
    except KeyboardInterrupt:
        sys.stderr.write("ann2sdnn: interrupted\n")
        sys.exit(130)
