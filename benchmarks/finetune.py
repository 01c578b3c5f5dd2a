"""Accuracy against synaptic operations: calibration alone, fine-tuning, and training from scratch.

    python benchmarks/finetune.py MODEL.onnx DATA OUT

DATA holds recordings of both sides of the split, best of overlapping windows (`ann2sdnn synth
--hop-events 3750 --normalise fixed`). OUT gets a conversion's folder for every network, and what
was measured of it on the test side in points.json; what is there already is not done again.

Calibration alone: one conversion without thresholds, and on its curves of rate and distortion the
thresholds for several output errors (`calibrated-*`). Fine-tuning starts from one of those, with
several penalties (`tuned-*`); from scratch, with the same steps and thresholds (`scratch-*`).
"""

import argparse
import json
import shutil
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch

from ann2sdnn.calibration.rate_distortion import Memory, picks_for_harm, with_picks
from ann2sdnn.calibration.thresholds import ThresholdOptions
from ann2sdnn.convert.conversion import (
    MODEL_FILE,
    REPORT_FILE,
    SPEC_FILE,
    ConvertOptions,
    convert,
)
from ann2sdnn.convert.conversion_folder import open_conversion
from ann2sdnn.convert.fine_tuning import fine_tune
from ann2sdnn.convert.functional import FloatNetwork
from ann2sdnn.convert.report import ConversionReport, read_report, write_report
from ann2sdnn.convert.tuning import pieces, threshold_curves
from ann2sdnn.data.cameras import FRONT_CHANNELS
from ann2sdnn.data.heatmaps import decode_heatmaps
from ann2sdnn.data.recording import open_recordings
from ann2sdnn.data.sequences import FrameRun, plan_runs
from ann2sdnn.data.split import choose
from ann2sdnn.eval.finetune_plots import Place, Series, write_trade_off
from ann2sdnn.files import atomic_folder
from ann2sdnn.progress import PlainReporter, Reporter
from ann2sdnn.sdnn.spec import Spec
from ann2sdnn.sdnn.spec_file import read_spec, write_spec
from ann2sdnn.sdnn.training_check import check
from ann2sdnn.sdnn.training_options import SdnnTrainOptions

THRESHOLD_BITS = 4
ERRORS = (0.05, 0.1, 0.2, 0.3, 0.45)  # relative errors of the output that thresholds are to add
START = 0.2  # the calibration that is fine-tuned


@dataclass(frozen=True)
class Point:
    """One network on the test frames; operations without each run's first frame."""

    mpjpe_px: float
    synops_per_frame: float
    overflows: int = 0


@dataclass(frozen=True)
class Study:
    """Everything of one study: ``model`` and ``data``, ``out``, how many frames are looked at."""

    model: Path
    data: Path
    out: Path
    options: SdnnTrainOptions
    calibration_frames: int
    curve_frames: int
    test_frames: int
    reporter: Reporter

    def test_runs(self) -> tuple[FrameRun, ...]:
        """The beginnings of all test recordings."""
        recordings = choose(open_recordings(self.data), "test")
        return tuple(
            FrameRun(one, channel, 0, min(self.test_frames, one.n_frames))
            for one in recordings
            for channel in self.options.channels
        )

    def measured(self, name: str, point: Point | None = None) -> Point:
        """What the network ``name`` does on the test frames, from points.json or measured now."""
        path = self.out / "points.json"
        points = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        if name not in points:
            if point is None:
                found = check(read_spec(self.out / name / SPEC_FILE), self.test_runs())
                point = Point(found.mpjpe_px or 0.0, found.synops_per_frame, found.overflows)
            points[name] = asdict(point)
            path.write_text(json.dumps(points, indent=2) + "\n", encoding="utf-8")
            self.reporter.message(f"{name}: {points[name]}")
        return Point(**points[name])


def calibrated(error: float) -> str:
    """Name of a calibration."""
    return f"calibrated-{error:g}"


def calibrate(study: Study) -> None:
    """The conversion, and its copies with thresholds."""
    plain = study.out / "unthresholded"
    if not plain.is_dir():
        options = ConvertOptions(
            ThresholdOptions(bits=THRESHOLD_BITS), max_frames=study.calibration_frames
        )
        convert(study.model, study.data, plain, options, reporter=study.reporter)
    if all((study.out / calibrated(error)).is_dir() for error in ERRORS):
        return
    opened, report = open_conversion(plain), read_report(plain / REPORT_FILE)
    recordings = choose(open_recordings(study.data), "train")
    runs = pieces(plan_runs(recordings, FRONT_CHANNELS), study.curve_frames)
    curves = threshold_curves(opened.spec, runs, study.reporter)
    ann = FloatNetwork(opened.graph)
    energies = [
        float(ann(ann.encode(torch.from_numpy(chunk))).square().sum()) / len(chunk)
        for run in runs
        for chunk in run.chunks()
    ]
    for error in ERRORS:
        picks = picks_for_harm(curves, error**2 * float(np.mean(energies)), Memory.ALL)
        spec = with_picks(opened.spec, curves, picks)
        with atomic_folder(study.out / calibrated(error), force=True) as folder:
            shutil.copyfile(plain / MODEL_FILE, folder / MODEL_FILE)
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


def train(study: Study, name: str, options: SdnnTrainOptions) -> None:
    """Fine-tune the calibration that is the start, or go on doing so."""
    out = study.out / name
    if not (out / SPEC_FILE).is_file():
        resume = (out / "state.pt").is_file()
        source = study.out / calibrated(START)
        fine_tune(source, study.data, out, options, resume=resume, reporter=study.reporter)


def measure_ann(study: Study) -> Point:
    """The ANN's error, with the operations of multiplying every value."""
    path = study.out / "points.json"
    if path.is_file() and "ann" in json.loads(path.read_text(encoding="utf-8")):
        return study.measured("ann")
    network = FloatNetwork(open_conversion(study.out / "unthresholded").graph)
    distances = []
    for run in study.test_runs():
        labels = run.labels()
        found = [
            decode_heatmaps(network(network.encode(torch.from_numpy(chunk))))[0]
            for chunk in run.chunks()
        ]
        distance = np.linalg.norm(
            (np.concatenate(found) - labels.pixels).astype(np.float64), axis=-1
        )
        distances.append(distance[labels.visible])
    return study.measured("ann", Point(float(np.concatenate(distances).mean()), 0.0))


def draw(study: Study) -> None:
    """The plot of everything measured so far."""
    points = json.loads((study.out / "points.json").read_text(encoding="utf-8"))
    kinds = (
        ("calibration alone", "#0072b2", "s", ("unthresholded", "calibrated-")),
        ("fine-tuned", "#d55e00", "o", ("tuned-",)),
        ("from scratch, same steps", "#009e73", "^", ("scratch-",)),
    )
    series = []
    for label, colour, marker, prefixes in kinds:
        places = tuple(
            Place(one["synops_per_frame"], one["mpjpe_px"], name.rpartition("-")[2])
            for name, one in points.items()
            if name.startswith(prefixes)
        )
        if places:
            series.append(Series(label, colour, marker, places))
    ann = points.get("ann")
    write_trade_off(study.out / "finetune.png", series, ann["mpjpe_px"] if ann else None)


def main() -> None:
    """Run the study."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--penalties", type=float, nargs="+", default=(0.3, 1.0, 3.0))
    parser.add_argument("--scratch-penalties", type=float, nargs="*", default=(1.0,))
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--crop", type=int, nargs=2, default=(192, 96))
    parser.add_argument("--chunk-frames", type=int, default=2)
    parser.add_argument("--chunks", type=int, default=4)
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--learning-rate", type=float, default=1e-2)
    parser.add_argument("--threshold-rate", type=float, default=0.02)
    parser.add_argument("--calibration-frames", type=int, default=128)
    parser.add_argument("--curve-frames", type=int, default=48)
    parser.add_argument("--test-frames", type=int, default=16)
    parser.add_argument("--validation-frames", type=int, default=32)
    given = parser.parse_args()
    options = SdnnTrainOptions(
        epochs=given.epochs,
        crop=(given.crop[0], given.crop[1]),
        chunk_frames=given.chunk_frames,
        chunks=given.chunks,
        batch_size=given.batch_size,
        learning_rate=given.learning_rate,
        threshold_rate=given.threshold_rate,
        validation_frames=given.validation_frames,
        verified_frames=given.validation_frames,
    )
    study = Study(
        given.model,
        given.data,
        given.out,
        options,
        given.calibration_frames,
        given.curve_frames,
        given.test_frames,
        PlainReporter(sys.stderr, every_s=20),
    )
    given.out.mkdir(parents=True, exist_ok=True)
    calibrate(study)
    todo = [(f"tuned-{p:g}", replace(options, penalty=p)) for p in given.penalties]
    todo += [
        (f"scratch-{p:g}", replace(options, penalty=p, scratch=True))
        for p in given.scratch_penalties
    ]
    study.measured(calibrated(START))
    for name, one in todo:
        train(study, name, one)
        study.measured(name)
        draw(study)
    for name in ("unthresholded", *map(calibrated, ERRORS)):
        study.measured(name)
        draw(study)
    measure_ann(study)
    draw(study)


if __name__ == "__main__":
    main()
