"""Compares the DHP19 paper's network with an hourglass that has skips, at equal operations.

    python benchmarks/training/hourglass.py OUT [--seeds N] [--steps N]

Makes overlapping windows of 16 synthetic people and trains both networks of `train-ann --network`
on 12 of them, from the same seeds, with the same steps, batches, crops and loss. Both are converted
with the default options on the same calibration frames and evaluated on the other four people.
Prints a table in Markdown. What OUT holds already is not made again, and an interrupted training
continues. A seed takes half an hour on one core.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ann2sdnn.ann.architectures import ARCHITECTURES

SYNTH = (
    *("--subjects", "16", "--movements", "6", "--frames", "24", "--normalise", "fixed"),
    *("--hop-events", "3750", "--kinds", "walk,jog,jump,hop,knee lift,kick"),
)
TRAIN = ("--crop", "192x96", "--validation-frames", "32", "--workers", "0")
CALIBRATION_FRAMES, EVALUATION_FRAMES = 72, 128
COLUMNS = ("network", "error px", "moved px", "messages", "operations", "of dense")


def main() -> None:
    """Parse the arguments and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seeds", type=int, default=1, help="runs of each network")
    parser.add_argument("--steps", type=int, default=2000, help="of training, two pictures each")
    arguments = parser.parse_args()
    out = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    if not (out / "data").exists():
        run("synth", str(out / "data"), *SYNTH)
    say("| " + " | ".join(COLUMNS) + " |")
    say("|---" * len(COLUMNS) + "|")
    for seed in range(arguments.seeds):
        for name in ARCHITECTURES:
            folder = out / f"{name}-{seed}"
            train(out / "data", folder, name, seed=seed, steps=arguments.steps)
            for row in rows(f"{name}, seed {seed}", evaluation(out / "data", folder)):
                say("| " + " | ".join(row) + " |")


def train(data: Path, folder: Path, name: str, *, seed: int, steps: int) -> None:
    """Train the network ``name`` into ``folder``, or go on with it, unless that is done."""
    if (folder / "model.onnx").exists():
        return
    length = ("--epochs", str(steps), "--max-steps", str(steps))  # an epoch has a step or more
    more = ("--resume",) if (folder / "state.safetensors").exists() else ()
    to = ("--data", str(data), "--out", str(folder), "--network", name)
    run("train-ann", *to, *TRAIN, *length, "--seed", str(seed), *more)


def evaluation(data: Path, folder: Path) -> dict[str, Any]:
    """Convert and evaluate the network in ``folder``; the contents of evaluation.json."""
    sdnn, result = (folder.parent / f"{folder.name}-{what}" for what in ("sdnn", "evaluation"))
    if not sdnn.exists():
        to = ("--calibrate", str(data), "--out", str(sdnn), "--frames", str(CALIBRATION_FRAMES))
        run("convert", str(folder / "model.onnx"), *to)
    if not result.exists():
        to = ("--data", str(data), "--out", str(result), "--frames", str(EVALUATION_FRAMES))
        run("evaluate", str(sdnn), *to)
    found: dict[str, Any] = json.loads((result / "evaluation.json").read_text())
    return found


def rows(title: str, found: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    """The table's rows of one network: the ANN, and its sigma-delta networks after each
    sequence's first frame.
    """
    ann = found["ann"]
    dense = ann["macs_per_frame"]

    def row(name: str, error: float, moved: float | None, sent: float | None, work: float) -> Any:
        return (
            f"{title}: {name}",
            f"{error:.2f}",
            "" if moved is None else f"{moved:.2f}",
            "" if sent is None else f"{sent / 1e3:,.0f} k",
            f"{work / 1e6:,.1f} M",
            f"{work / dense:.1%}",
        )

    yield (f"{title}: always the mean pose", f"{found['baseline_mean_pose_px']:.2f}", *[""] * 4)
    yield row("ANN, dense", ann["mpjpe_px"], None, None, dense)
    sent = ann["nonzero_activations_per_frame"]
    work = ann["sustained_nonzero_macs_per_frame"]
    yield row("ANN, skipping zeros", ann["mpjpe_px"], None, sent, work)
    kinds = (("memoryless", "memoryless SDNN"), ("sdnn", "SDNN"), ("mixed", "SDNN, engine's point"))
    for key, name in kinds:
        one = found[key]
        if one is not None:
            moved, sent = one["displacement_capped_px"], one["sustained_events_per_frame"]
            yield row(name, one["mpjpe_px"], moved, sent, one["sustained_synops_per_frame"])


def run(*arguments: str) -> None:
    """Run one ann2sdnn command quietly, and stop where it fails."""
    code = "import sys; from ann2sdnn.cli.app import main; sys.exit(main())"
    command = [sys.executable, "-c", code, *arguments, "--quiet"]
    subprocess.run(command, check=True, stdout=sys.stderr)


def say(line: str) -> None:
    """Print a row at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
