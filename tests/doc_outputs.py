"""What the documents show as outputs, made by running the commands and the code that they show."""

import contextlib
import io
import os
import shlex
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from applications_script import row, script
from doc_blocks import code, fenced
from netx_files import write_experiment
from torch import nn
from trained_networks import (
    Stripes,
    export,
    stripes,
    train_classifier,
    train_u_network,
    write_stripes,
)
from typer.testing import CliRunner

from ann2sdnn.api import load
from ann2sdnn.cli.app import app
from ann2sdnn.convert.report.report import read_report
from ann2sdnn.graph.onnx.operators import supported

YOUR_NETWORK = "your-network.md"
_SEQUENCE_FRAMES = 4


class Workplace:
    """A folder in which commands are run one after another."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """The folder as the working directory."""
        before = Path.cwd()
        os.chdir(self.folder)
        try:
            yield
        finally:
            os.chdir(before)

    def run(self, command: str) -> str:
        """What a command line of a document prints on standard output."""
        program, *arguments = shlex.split(command.replace("\\\n", " "))
        assert program == "ann2sdnn"
        with self.entered():
            result = CliRunner().invoke(app, arguments, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return str(result.stdout)

    def python(self, block: str, names: dict[str, Any] | None = None) -> str:
        """What a block of Python in a document prints.

        ``names`` are those that it expects; those that it defines are added.
        """
        printed = io.StringIO()
        with self.entered(), contextlib.redirect_stdout(printed):
            exec(compile(block, "<document>", "exec"), {} if names is None else names)
        return printed.getvalue()


@cache
def _kept_folder() -> TemporaryDirectory[str]:
    return TemporaryDirectory()


@cache
def _networks() -> dict[str, nn.Sequential]:
    training = stripes(n_sequences=200, length=1, seed=1)
    return {
        "classifier": train_classifier(training, steps=120),
        "U-shaped": train_u_network(training, steps=50),
    }


@cache
def _unseen() -> Stripes:
    return stripes(n_sequences=12, length=_SEQUENCE_FRAMES, seed=2)


@cache
def own_network() -> Workplace:
    """Where the first blocks of your-network.md were run: lenet.onnx and frames.npz are there."""
    place = Workplace(Path(_kept_folder().name))
    recorded = stripes(n_sequences=60, length=1, seed=3).frames.numpy()
    sequences = [one[None] for one in recorded]
    writing = code(YOUR_NETWORK, "savez_compressed", "python")
    place.python(writing, {"net": _networks()["classifier"], "sequences": sequences})
    export(_networks()["U-shaped"], place.folder / "u.onnx")
    return place


def _convert_command() -> str:
    return code(YOUR_NETWORK, "ann2sdnn convert lenet.onnx")


@cache
def _converted() -> str:
    return own_network().run(_convert_command())


def your_network_convert() -> str:
    """What `convert` prints, without the tables."""
    before, rest = _converted().split("Range: ", 1)
    return fenced(before + "...\nWarnings\n" + rest.split("Warnings\n", 1)[1])


def your_network_evaluate() -> str:
    """What `evaluate` prints, without the last line."""
    _converted()
    folder = own_network().folder / "unseen"
    if not folder.exists():
        folder.mkdir()
        write_stripes(folder, _unseen(), _SEQUENCE_FRAMES)
    printed = own_network().run(code(YOUR_NETWORK, "ann2sdnn evaluate lenet-stock") + " --force")
    return fenced(printed.rpartition("Report: ")[0])


def your_network_compare() -> str:
    """What the block that compares with labels prints."""
    _converted()
    names = {
        "unseen": list(torch.split(_unseen().frames, _SEQUENCE_FRAMES)),
        "classes": list(torch.split(_unseen().kinds, _SEQUENCE_FRAMES)),
    }
    return fenced(own_network().python(code(YOUR_NETWORK, "a2s.load(", "python"), names))


def your_network_options() -> str:
    """Errors with several options of convert, as a table."""
    rows = ["| options of convert | network | predicted | calibration frames | other frames |"]
    rows.append("|---|---|---|---|---|")
    for options in ("", "--relays 1", "--shifts per-layer"):
        for name, model in (("classifier", "lenet.onnx"), ("U-shaped", "u.onnx")):
            predicted, measured, unseen = _errors(model, options)
            label = f"`{options}`" if options else "as above"
            rows.append(f"| {label} | {name} | {predicted:.3f} | {measured:.3f} | {unseen:.3f} |")
    return "\n".join((*rows, ""))


def _errors(model: str, options: str) -> tuple[float, float, float]:
    """Relative errors: predicted, and measured on calibration frames and on others."""
    place, out = own_network(), f"sdnn-{Path(model).stem}{options.replace(' ', '')}"
    command = _convert_command().replace("lenet.onnx", model).replace("--out lenet-stock", "")
    place.run(f"{command.strip()} {options} --out {out}")
    report = read_report(place.folder / out / "report.json")
    assert report.fidelity.heatmap_relative_error is not None
    sequences = list(torch.split(_unseen().frames, _SEQUENCE_FRAMES))
    unseen = load(place.folder / out).compare(sequences)["sdnn"].relative_error
    assert unseen is not None
    return report.plan.foreseen_error, report.fidelity.heatmap_relative_error, unseen


def applications() -> str:
    """The table of networks with data of their own."""
    names = script().APPLICATIONS
    return str(script().table([row(name) for name in names]))


@contextlib.contextmanager
def loihi_network() -> Iterator[tuple[Workplace, str]]:
    """A folder with a small network of the experiment's kinds of blocks, OLD.net and NEW.net, and
    what `lower` printed.
    """
    with TemporaryDirectory() as folder:
        place = Workplace(Path(folder))
        write_experiment(place.folder / "OLD.net")
        yield place, place.run("ann2sdnn lower OLD.net NEW.net")


def loihi_lower() -> str:
    """What `lower` prints."""
    with loihi_network() as (_, printed):
        return fenced(printed)


@cache
def loihi_branches() -> str:
    """What the block about networks with branches prints."""
    return fenced(Workplace(Path()).python(code("loihi.md", "cost.growth", "python")))


def operators() -> str:
    """The support table, from what operators say of themselves."""
    rows = [
        "| operator | opsets | becomes | restrictions | backends |",
        "|---|---|---|---|---|",
        *(
            f"| {name} | {one.opsets[0]} to {one.opsets[1]} | {one.reads} | {one.limits}"
            f" | {one.backends} |"
            for name, one in supported().items()
            if one.reads
        ),
    ]
    return "\n".join([*rows, ""])


OUTPUTS: Mapping[str, Callable[[], str]] = {
    "your-network-convert": your_network_convert,
    "your-network-evaluate": your_network_evaluate,
    "your-network-compare": your_network_compare,
    "your-network-options": your_network_options,
    "applications": applications,
    "loihi-branches": loihi_branches,
    "loihi-lower": loihi_lower,
    "operators": operators,
}
# Minutes: several conversions, some with training.
SLOW = ("your-network-options", "applications")
