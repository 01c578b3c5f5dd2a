"""Evaluations with plausible numbers, and reading the file of one."""

from pathlib import Path
from typing import Any

from ann2sdnn.data.pose.joints import JOINTS
from ann2sdnn.eval.results.schema import EvaluationReport
from ann2sdnn.support.errors import DataError
from ann2sdnn.support.files.json_text import read_model
from ann2sdnn.support.files.lfs import refuse_lfs_pointer

PER_JOINT = dict.fromkeys(JOINTS, 8.0)
ERRORS: dict[str, Any] = {
    "mpjpe_px": 8.25,
    "mpjpe_mm": 91.5,
    "per_joint_px": PER_JOINT,
    "per_joint_mm": dict.fromkeys(JOINTS),
    "per_channel_px": {"2": 8.0, "3": 8.5},
    "per_movement_px": {"session1_mov1": 7.0, "session2_mov1": 9.5, "session1_mov9": None},
    "per_movement_mm": {"session1_mov1": 80.0, "session2_mov1": 103.0, "session1_mov9": None},
}
SDNN: dict[str, Any] = ERRORS | {
    "backend": "engine",
    "counts_of": "converted",
    "displacement_capped_px": 0.81,
    "displacement_capped_px_interval": (0.6, 1.0),
    "events_per_frame": 623e3,
    "input_events_per_frame": 2e3,
    "synops_per_frame": 333e6,
    "sustained_events_per_frame": 600e3,
    "sustained_input_events_per_frame": 1950.0,
    "sustained_synops_per_frame": 300e6,
    "first_frame_synops": 470e6,
    "dense_macs_per_frame": 2.7e9,
    "overflows": 0,
    "oversized_messages": 0,
    "seconds_per_frame": 0.5,
}
# The engine's operating point, twice as cheap.
MIXED: dict[str, Any] = SDNN | {
    "displacement_capped_px": 0.33,
    "displacement_px_mean": 0.44,
    "displacement_px_median": 0.2,
    "moved_over_5px": 0.002,
    "heatmap_relative_error": 0.1,
    "events_per_frame": 300e3,
    "sustained_events_per_frame": 290e3,
    "synops_per_frame": 160e6,
    "sustained_synops_per_frame": 150e6,
    "first_frame_synops": 200e6,
}
LAYER: dict[str, Any] = {
    "name": "conv1",
    "neurons": 1_430_000,
    "ann_density": 0.12345,
    "event_density": 0.0456,
    "events_per_frame": 65_208.0,
    "synops_per_frame": 39.9e6,
    "threshold": 0.015625,
    "memoryless_events_per_frame": 0.0,
    "memoryless_synops_per_frame": 28.8e6,
    "mixed_events_per_frame": None,
    "mixed_synops_per_frame": None,
    "all_macs_per_frame": 202.4e6,
    "macs_per_frame": 202.4e6,
    "nonzero_macs_per_frame": 49.9e6,
    "overflows": 0,
    "oversized_messages": 0,
}


def make_report(**changes: Any) -> EvaluationReport:
    """A report with plausible numbers; ``changes`` such as ``sdnn__overflows=3``."""
    values: dict[str, Any] = {
        "split": "test",
        "channels": (2, 3),
        "recordings": ("S6_session1_mov1",),
        "frames": 64,
        "source_sha256": "ab" * 32,
        "threads": 2,
        "ann": ERRORS
        | {
            "offset_px": {"2": (3.6, -4.6), "3": None},
            "mpjpe_px_without_offset": 5.5,
            "all_macs_per_frame": 2.81e9,
            "macs_per_frame": 2.81e9,
            "nonzero_macs_per_frame": 546e6,
            "nonzero_activations_per_frame": 1.23e6,
            "sustained_nonzero_macs_per_frame": 540e6,
            "seconds_per_frame": 0.123,
        },
        "sdnn": SDNN,
        "memoryless": ERRORS
        | {
            "events_per_frame": 523e3,
            "input_events_per_frame": 4e3,
            "synops_per_frame": 444e6,
            "displacement_capped_px": 0.6,
            "displacement_capped_px_interval": (0.4, 0.8),
            "sustained_events_per_frame": 520e3,
            "sustained_input_events_per_frame": 3900.0,
            "sustained_synops_per_frame": 440e6,
            "first_frame_synops": 450e6,
            "from_point": "memoryless",
            "displacement_px_mean": 0.9,
            "displacement_px_median": 0.5,
            "moved_over_5px": 0.01,
            "heatmap_relative_error": 0.2,
            "seconds_per_frame": 0.6,
        },
        "mixed": None,
        "comparison": {
            "displacement_px_mean": 1.13,
            "displacement_px_median": 0.7,
            "moved_over_5px": 0.011,
            "heatmap_relative_error": 0.16,
            "synops_reduction_vs_dense": 2810 / 333,
            "synops_reduction_vs_nonzero": 546 / 333,
            "synops_reduction_vs_memoryless": 444 / 333,
            "best": "sdnn",
            "best_reduction_vs_dense": 2810 / 300,
            "best_reduction_vs_nonzero": 540 / 300,
            "best_reduction_vs_memoryless": 440 / 300,
            "n_joints": 700,
            "displacement_histogram": {"edges_px": (0.0, 1.0, 2.0), "counts": (500, 150, 50)},
        },
        "baseline_mean_pose_px": 14.5,
        "baseline_mean_pose_mm": 150.0,
        "baseline_mean_pose_from": "train",
        "baseline_mean_pose_per_joint_px": PER_JOINT,
        "layers": (LAYER, LAYER | {"name": "relay", "ann_density": None, "macs_per_frame": None}),
        "warnings": (),
    }
    for path, value in changes.items():
        *parents, key = path.split("__")
        target = values
        for parent in parents:
            target[parent] = dict(target[parent])
            target = target[parent]
        target[key] = value
    return EvaluationReport.model_validate(values)


def read_evaluation(path: Path) -> EvaluationReport:
    """evaluation.json; DataError for anything else."""
    refuse_lfs_pointer(path, DataError)
    try:
        return read_model(path, EvaluationReport, schema=1)
    except ValueError as error:
        raise DataError(f"{path} is no evaluation of schema 1 ({error})") from error
