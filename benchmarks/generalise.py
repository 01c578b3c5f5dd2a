"""How well a conversion carries over to data unlike its calibration data.

    python benchmarks/generalise.py MODEL.onnx OUT [--calibrate DATA] [--frames N]
        [--evaluated N]

Converts MODEL with the default options, once with thresholds and once without, calibrated on DATA
or, without it, on synthetic people of all 33 movements, front cameras, disjoint frames. Evaluates
both on other synthetic people: all movements; side cameras; overlapping windows; three times fewer
and three times more events per frame; and prints a row for each. What is in OUT is used again.
"""

import argparse
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Data:
    """Recordings to make with `synth`, and the cameras to evaluate."""

    name: str
    options: tuple[str, ...]
    channels: str = "2,3"


_ALL = ("--subjects", "1", "--movements", "33")
CALIBRATION = Data("calibration", ("--subjects", "4", "--movements", "33", "--frames", "4"))
SETS = (
    Data("other people", (*_ALL, "--first-subject", "13", "--frames", "3", "--seed", "7")),
    Data("side cameras", (*_ALL, "--first-subject", "13", "--frames", "3", "--seed", "7"), "0,1"),
    Data(
        "overlapping",
        (
            *("--subjects", "1", "--first-subject", "15", "--movements", "10", "--frames", "12"),
            *("--seed", "6", "--hop-events", "3750", "--normalise", "fixed"),
        ),
    ),
    Data(
        "a third of the events",
        (
            *("--subjects", "1", "--first-subject", "14", "--movements", "33", "--frames", "3"),
            *("--seed", "5", "--window-events", "10000"),
        ),
    ),
    Data(
        "three times the events",
        (
            *("--subjects", "1", "--first-subject", "14", "--movements", "33", "--frames", "3"),
            *("--seed", "5", "--window-events", "90000"),
        ),
    ),
)


def main() -> None:
    """Parse the arguments and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--calibrate", type=Path)
    parser.add_argument("--frames", type=int, default=192, help="calibration frames")
    parser.add_argument("--evaluated", type=int, default=10**6, help="frames per set at most")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    calibration = arguments.calibrate or made(arguments.out, CALIBRATION)
    say("conversion  data  frames  heat-map error  over 5 px  median  mean  capped px  Mops")
    for name, more in (("none", ("--thresholds", "none")), ("default", ())):
        folder = arguments.out / f"sdnn-{name}"
        if not folder.exists():
            frames = ("--frames", str(arguments.frames))
            to = ("--calibrate", str(calibration), "--split", "all", "--out", str(folder))
            run("convert", str(arguments.model), *to, *frames, *more)
        for data in SETS:
            say(f"{name}  {row(folder, made(arguments.out, data), data, arguments.evaluated)}")


def made(out: Path, data: Data) -> Path:
    """The folder of ``data``, made if it is not there. Sets of equal options share one."""
    folder = out / ("data-" + "-".join(data.options).replace("--", ""))
    if not folder.exists():
        run("synth", str(folder), *data.options, "--workers", "2")
    return folder


def row(conversion: Path, folder: Path, data: Data, n_frames: int) -> str:
    """Evaluate ``conversion`` and say what came out."""
    out = conversion.parent / f"{conversion.name}-{data.name.replace(' ', '-')}"
    if not out.exists():
        common = ("--split", "all", "--channels", data.channels, "--frames", str(n_frames))
        to = ("--data", str(folder), "--out", str(out))
        run("evaluate", str(conversion), *to, *common)
    result = json.loads((out / "evaluation.json").read_text())
    found, sdnn = result["comparison"], result["sdnn"]
    return "  ".join(
        [
            data.name,
            str(result["frames"]),
            f"{found['heatmap_relative_error']:.3f}",
            f"{found['moved_over_5px']:.2%}",
            f"{found['displacement_px_median']:.0f}",
            f"{found['displacement_px_mean']:.2f}",
            f"{sdnn['displacement_capped_px']:.2f}",
            f"{sdnn['sustained_synops_per_frame'] / 1e6:.0f}",
        ]
    )


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
