"""Tables of pose errors: by movement, joint and camera, in the page and where asked for."""

import io

import pytest
from evaluations import MIXED, PER_JOINT, make_report
from rich.console import Console

from ann2sdnn.eval.render.document import print_evaluation, render_html
from ann2sdnn.eval.render.pose_errors import (
    errors_of_cameras,
    errors_of_joints,
    errors_of_movements,
)
from ann2sdnn.eval.results.evaluation import Evaluation
from ann2sdnn.eval.tasks.pose.movements import movement_of, words_of

TITLES = ("Error per movement", "Error per joint, in numbers", "Error per camera")


def test_movements_stand_by_name_the_worst_first() -> None:
    report = make_report(sdnn__per_movement_px={"session2_mov1": 9.75})
    sheet = errors_of_movements(Evaluation(report, ()))
    assert sheet is not None
    assert sheet.headings == (
        *("movement", "of the data set", "ANN\npx", "ANN\nmm"),
        *("Memoryless\npx", "Memoryless\nmm", "SDNN\npx", "SDNN\nmm"),
    )
    nothing = ("-",) * 6
    assert sheet.rows == (
        ("session2_mov1", "walk", "9.50", "103.0", "9.50", "103.0", "9.75", "103.0"),
        ("session1_mov1", "arm abduction, left", "7.00", "80.0", "7.00", "80.0", "-", "80.0"),
        ("session1_mov9", "", *nothing),
    )


def test_joints_and_cameras_stand_in_their_order() -> None:
    report = make_report(ann=None, memoryless=None, mixed=MIXED, comparison=None)
    joints = errors_of_joints(Evaluation(report, ()))
    cameras = errors_of_cameras(Evaluation(report, ()))
    assert joints is not None
    assert cameras is not None
    assert [row[0] for row in joints.rows] == list(PER_JOINT)
    assert joints.rows[0] == ("head", "8.00", "-", "8.00", "-")
    assert cameras.headings == ("camera", "SDNN (lava)\npx", "SDNN (engine, mixed)\npx")
    assert cameras.rows == (("2", "8.00", "8.00"), ("3", "8.50", "8.50"))


def test_the_page_has_them_and_the_terminal_only_where_asked() -> None:
    evaluation = Evaluation(make_report(), ())
    page = render_html(evaluation)
    for asked in (False, True):
        console = Console(width=120, file=io.StringIO(), record=True)
        print_evaluation(evaluation, console, last_line="Report: out", layers=asked)
        text = console.export_text()
        assert [title in text for title in TITLES] == [asked] * 3
    assert all(title in page for title in TITLES)


def test_without_poses_there_are_none() -> None:
    empty = ("per_joint_px", "per_channel_px", "per_movement_px")
    changes: dict[str, object] = {
        f"{who}__{key}": {} for who in ("ann", "sdnn", "memoryless") for key in empty
    }
    evaluation = Evaluation(make_report(**changes), ())
    for section in (errors_of_movements, errors_of_joints, errors_of_cameras):
        assert section(evaluation) is None


@pytest.mark.parametrize(
    ("group", "movement", "words"),
    [
        ("S1_session2_mov1", "session2_mov1", "walk"),
        ("S15_session5_mov7", "session5_mov7", "clap"),
        ("S3_session3_mov2", "session3_mov2", "punch forward, right"),
        ("S1_session1_mov40", "session1_mov40", ""),
        ("room 4", "room 4", ""),
    ],
)
def test_the_movement_follows_from_the_recordings_name(
    group: str, movement: str, words: str
) -> None:
    assert movement_of(group) == movement
    assert words_of(movement) == words
