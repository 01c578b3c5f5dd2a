"""Accuracy against synaptic operations: calibration alone, and whatever was trained from it.

    python benchmarks/training/finetune.py MODEL.onnx DATA OUT [--again NAME] [--control OTHER.onnx]

DATA holds recordings of both sides of the split, best of overlapping windows (`ann2sdnn synth
--hop-events 3750 --normalise fixed`). OUT gets one conversion without thresholds and, on its curves
of rate and distortion, conversions with the thresholds for several errors of the output
(`calibrated-*`). Conversions that `ann2sdnn train-sdnn OUT/calibrated-0.2 --out OUT/tuned-1 ...`
put there are then measured with them (`tuned-*`, `pruned-*`, `scratch-*`), on the test side.
`--again NAME` chooses thresholds again for a network trained there (`again-NAME-*`). A control is
another ANN, such as the same one trained on; it is calibrated in the same way (`control-*`).
Measurements go to OUT/points.json, their picture to finetune.png; what is there already is not done
again.
"""

import argparse
import json
import shutil
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from ann2sdnn.calibration.thresholds.budget import pieces
from ann2sdnn.calibration.thresholds.measure_curves import measure_curves
from ann2sdnn.calibration.thresholds.rate_distortion import points_within, with_points
from ann2sdnn.convert.conversion import convert
from ann2sdnn.convert.folder import MODEL_FILE, REPORT_FILE, SPEC_FILE, open_conversion
from ann2sdnn.convert.options import ConvertOptions
from ann2sdnn.convert.report.report import ConversionReport, read_report, write_report
from ann2sdnn.data.pose.cameras import FRONT_CHANNELS
from ann2sdnn.data.pose.heatmaps import decode_heatmaps
from ann2sdnn.data.recordings.recording import open_recordings
from ann2sdnn.data.recordings.split import choose
from ann2sdnn.data.sources.dhp19 import FrameRun, plan_runs
from ann2sdnn.graph.operations import FloatNetwork
from ann2sdnn.sdnn.spec.file import read_spec, write_spec
from ann2sdnn.sdnn.spec.spec import Spec
from ann2sdnn.sdnn.training.check import check
from ann2sdnn.support.files.writing import atomic_file, atomic_folder
from ann2sdnn.support.page.figures import ANN
from ann2sdnn.support.progress import PlainReporter, Reporter

THRESHOLD_BITS = 4
ERRORS = (0.1, 0.2, 0.3, 0.45, 0.6)  # relative errors of the output that thresholds are to add
AGAIN = (0.1, 0.2, 0.3)  # and to that of a trained network
# Conversions by the beginning of their folder's name: what they are, colour, marker.
KINDS = {
    "calibrated-": ("calibration alone", "#0072b2", "s"),
    "control-": ("the ANN trained on, calibrated", "#56b4e9", "D"),
    "tuned-": ("fine-tuned on labels", "#e69f00", "v"),
    "pruned-": ("fine-tuned on the ANN's maps, pruned", "#d55e00", "o"),
    "again-": ("the same, thresholds chosen again", "#cc79a7", "P"),
    "scratch-": ("from scratch, same steps", "#009e73", "^"),
}


@dataclass(frozen=True)
class Point:
    """One network on the test frames; operations and messages without each run's first frame.
    ``zero_weights``: their share; ``overflows``: states and messages that left their range.
    """

    mpjpe_px: float
    synops_per_frame: float
    messages_per_frame: float
    zero_weights: float
    overflows: int


@dataclass(frozen=True)
class Study:
    """The recordings in ``data``, the folder ``out``, and how many frames are looked at."""

    data: Path
    out: Path
    calibration_frames: int
    curve_frames: int
    test_frames: int
    every: int
    reporter: Reporter

    def test_runs(self) -> tuple[FrameRun, ...]:
        """The beginnings of every so many of the test recordings, in both front cameras."""
        recordings = choose(open_recordings(self.data), "test")[:: self.every]
        return tuple(
            FrameRun(one, channel, 0, min(self.test_frames, one.n_frames))
            for one in recordings
            for channel in FRONT_CHANNELS
        )

    @property
    def points_file(self) -> Path:
        """What has been measured."""
        return self.out / "points.json"

    def points(self) -> dict[str, dict[str, float]]:
        """What has been measured so far, by name."""
        if not self.points_file.is_file():
            return {}
        found: dict[str, dict[str, float]] = json.loads(self.points_file.read_text("utf-8"))
        return found

    def keep(self, name: str, point: dict[str, float]) -> None:
        """Add what was measured of ``name``."""
        points = {**self.points(), name: point}
        self.points_file.write_text(json.dumps(points, indent=2) + "\n", encoding="utf-8")
        self.reporter.message(f"{name}: {point}")


def calibrate(study: Study, model: Path, prefix: str) -> None:
    """The conversion of ``model``, and its copies with thresholds."""
    plain = study.out / f"{prefix}0"
    if not plain.is_dir():
        options = ConvertOptions(threshold_bits=THRESHOLD_BITS, max_frames=study.calibration_frames)
        convert(model, study.data, plain, options, reporter=study.reporter)
    choose_thresholds(study, plain, prefix, ERRORS)


def choose_thresholds(study: Study, source: Path, prefix: str, errors: tuple[float, ...]) -> None:
    """Copies of the conversion in ``source`` with thresholds by rate and distortion, not its own.

    ``errors``: what they are to add to its output, relative to the size of the ANN's.
    """
    if all((study.out / f"{prefix}{error:g}").is_dir() for error in errors):
        return
    opened, report = open_conversion(source), read_report(source / REPORT_FILE)
    layers = tuple(replace(layer, threshold=0) for layer in opened.spec.layers)
    plain = replace(opened.spec, layers=layers)
    recordings = choose(open_recordings(study.data), "train")
    runs = pieces(plan_runs(recordings, FRONT_CHANNELS), study.curve_frames)
    curves = measure_curves(plain, runs, study.reporter)
    ann = FloatNetwork(opened.graph)
    energies = [
        float(ann(ann.encode(torch.from_numpy(chunk))).square().sum()) / len(chunk)
        for run in runs
        for chunk in run.chunks()
    ]
    for error in errors:
        points = points_within(curves, error**2 * float(np.mean(energies)), "all")
        spec = with_points(plain, curves, points)
        with atomic_folder(study.out / f"{prefix}{error:g}", force=True) as folder:
            shutil.copyfile(source / MODEL_FILE, folder / MODEL_FILE)
            write_spec(folder / SPEC_FILE, spec, force=True)
            write_report(folder / REPORT_FILE, with_thresholds(report, spec))


def with_thresholds(report: ConversionReport, spec: Spec) -> ConversionReport:
    """The report of the conversion whose thresholds were replaced by those of ``spec``."""
    step = spec.grid.threshold_step
    layers = [
        layer.model_copy(
            update={
                "threshold": own.threshold * step,
                "threshold_ann": own.threshold * step / float(own.scale.mean()),
            }
        )
        for layer, own in zip(report.layers, spec.layers, strict=True)
    ]
    update = {"layers": layers, "thresholds": "rate-distortion", "lowering": None}
    return report.model_copy(update=update)


def measure(study: Study, name: str) -> None:
    """What the conversion ``name`` does on the test frames."""
    spec = read_spec(study.out / name / SPEC_FILE)
    found = check(spec, study.test_runs())
    weights = np.concatenate([layer.weight.ravel() for layer in spec.layers])
    point = Point(
        mpjpe_px=float("nan") if found.mpjpe_px is None else found.mpjpe_px,
        synops_per_frame=found.synops_per_frame,
        messages_per_frame=float(found.events_per_frame.sum()),
        zero_weights=float((weights == 0).mean()),
        overflows=found.overflows,
    )
    study.keep(name, asdict(point))


def measure_ann(study: Study, name: str, conversion: str) -> None:
    """The error of the float network that ``conversion`` was made from."""
    network = FloatNetwork(open_conversion(study.out / conversion).graph)
    distances = []
    for run in study.test_runs():
        labels = run.labels()
        found = [
            decode_heatmaps(network(network.encode(torch.from_numpy(chunk))))[0]
            for chunk in run.chunks()
        ]
        off = (np.concatenate(found) - labels.pixels).astype(np.float64)
        distances.append(np.linalg.norm(off, axis=-1)[labels.visible])
    study.keep(name, {"mpjpe_px": float(np.concatenate(distances).mean())})


def draw(study: Study) -> None:
    """Plot the error against operations, a line per kind, both axes logarithmic."""
    figure = Figure(figsize=(7.5, 5.0), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    points = study.points()
    for prefix, (label, colour, marker) in KINDS.items():
        places = sorted(
            (point["synops_per_frame"] / 1e6, point["mpjpe_px"], name.rpartition("-")[2])
            for name, point in points.items()
            if name.startswith(prefix)
        )
        if not places:
            continue
        operations, errors, names = zip(*places, strict=True)
        axes.plot(operations, errors, marker=marker, color=colour, label=label)
        for x, y, name in zip(operations, errors, names, strict=True):
            axes.annotate(name, (x, y), xytext=(4, 4), textcoords="offset points", fontsize=7)
    if "ann" in points:
        ann_px = points["ann"]["mpjpe_px"]
        axes.axhline(ann_px, color=ANN.colour, linestyle="--", label=ANN.label)
    axes.set_xlabel("million synaptic operations per frame")
    axes.set_ylabel("MPJPE [px]")
    # A network that learned nothing lies far from the others, in both directions.
    for axis, set_scale in ((axes.xaxis, axes.set_xscale), (axes.yaxis, axes.set_yscale)):
        set_scale("log")
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter(NullFormatter())
    axes.grid(alpha=0.3)
    axes.legend()
    with atomic_file(study.out / "finetune.png") as temporary:
        figure.savefig(temporary, dpi=110, format="png")


def main() -> None:
    """Run the study."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--again", nargs="*", default=())
    parser.add_argument("--control", type=Path)
    parser.add_argument("--calibration-frames", type=int, default=256)
    parser.add_argument("--curve-frames", type=int, default=96)
    parser.add_argument("--test-frames", type=int, default=10, help="of a recording and camera")
    parser.add_argument("--every", type=int, default=2, help="of how many recordings one is tested")
    given = parser.parse_args()
    study = Study(
        given.data,
        given.out,
        given.calibration_frames,
        given.curve_frames,
        given.test_frames,
        given.every,
        PlainReporter(sys.stderr, every_s=20),
    )
    given.out.mkdir(parents=True, exist_ok=True)
    calibrate(study, given.model, "calibrated-")
    if given.control is not None:
        calibrate(study, given.control, "control-")
    for name in given.again:
        choose_thresholds(study, study.out / name, f"again-{name}-", AGAIN)
    anns = {"ann": "calibrated-0", "control ann": "control-0"}
    for name, conversion in anns.items():
        if name not in study.points() and (study.out / conversion).is_dir():
            measure_ann(study, name, conversion)
    folders = sorted(path.parent.name for path in given.out.glob(f"*/{SPEC_FILE}"))
    for name in folders:
        if name.startswith(tuple(KINDS)) and name not in study.points():
            measure(study, name)
            draw(study)
    draw(study)


if __name__ == "__main__":
    main()
