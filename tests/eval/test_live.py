"""`live`: operating points, the network that changes between them, the player and its table."""

import itertools
import time
from collections import deque
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from commands import COMMANDS
from labelled import quarters
from live_cases import converted, player_of, walking_square, write_classifier
from networks import random_spec
from points import three_points
from rich.console import Console

from ann2sdnn.convert.folder import OpenedConversion, open_conversion
from ann2sdnn.data.sources.given import frames_of
from ann2sdnn.eval.bench.live.answers import Reader
from ann2sdnn.eval.bench.live.keys import press
from ann2sdnn.eval.bench.live.options import LiveOptions
from ann2sdnn.eval.bench.live.page import picture, reading_of, render_page
from ann2sdnn.eval.bench.live.player import Player
from ann2sdnn.eval.bench.live.points import live_points
from ann2sdnn.eval.bench.live.running import RunningSdnn
from ann2sdnn.eval.bench.live.source import opened
from ann2sdnn.eval.bench.live.terminal import Totals, show_in_terminal, table
from ann2sdnn.sdnn.engine.engine import Engine
from ann2sdnn.sdnn.engine.loops.frames import MESSAGES
from ann2sdnn.sdnn.spec.points import OperatingPoints
from ann2sdnn.support.errors import DataError, UsageError
from ann2sdnn.support.progress import SilentReporter, said_if_slow


@pytest.fixture(scope="module")
def conversion(tmp_path_factory: pytest.TempPathFactory) -> OpenedConversion:
    return converted(tmp_path_factory.mktemp("live") / "sdnn")


def test_points_are_the_conversions_and_scaled_ones() -> None:
    points, start = live_points(three_points(random_spec(threshold=6)))
    assert [one.name for one in points] == [
        "no thresholds",
        "thresholds x 0.5",
        "as converted",
        "thresholds x 2",
        "thresholds x 4",
        "engine's own",
        "memoryless",
    ]
    assert [one.spec.layers[0].threshold for one in points] == [0, 3, 6, 12, 24, 14, 14]
    assert points[start].name == "as converted"
    assert all(one.meaning.endswith(".") for one in points)


def test_a_conversion_without_thresholds_has_nothing_to_scale() -> None:
    points, start = live_points(OperatingPoints(random_spec(threshold=0)))
    assert [one.name for one in points] == ["as converted"]
    assert start == 0


def test_a_running_network_keeps_what_it_has_sent_when_thresholds_change() -> None:
    points, _ = live_points(three_points(random_spec(threshold=8)))
    shape = points[0].spec.input_shape
    frames = torch.from_numpy(np.random.default_rng(2).integers(0, 256, (4, *shape), np.uint8))
    frames[1:] = frames[0]
    frames[1:, :, :2] += 9
    sdnn, exact = RunningSdnn(points, 4), Engine(points[0].spec)
    for frame in frames[:3]:
        coarse = sdnn.step(frame).output.clone()
        expected = exact.step(frame).output.clone()
    assert not torch.equal(coarse, expected)
    sdnn.change_to(0)
    assert not sdnn.is_first
    # Without thresholds everything that was held back is sent in the next frame, and nothing else.
    following = sdnn.step(frames[3])
    assert torch.equal(following.output, exact.step(frames[3]).output)
    fresh = Engine(points[0].spec).step(frames[3])
    assert following.counts[0, MESSAGES] == 0
    assert following.counts[:, MESSAGES].sum() < fresh.counts[:, MESSAGES].sum()


def test_other_memory_begins_again() -> None:
    points, start = live_points(three_points(random_spec(threshold=8)))
    sdnn, alone = RunningSdnn(points, start), Engine(points[-1].spec)
    frame = torch.full(points[0].spec.input_shape, 90, dtype=torch.uint8)
    sdnn.step(frame)
    sdnn.change_to(len(points) - 1)
    assert sdnn.is_first
    assert torch.equal(sdnn.step(frame).output, alone.step(frame).output)


def test_a_player_counts_what_the_engine_does(conversion: OpenedConversion) -> None:
    player = player_of(conversion)
    shown = list(player.readings())
    run = Engine(conversion.spec).run(torch.from_numpy(walking_square()))
    assert [one.operations for one in shown] == run.synops.sum(dim=1).tolist()
    assert [list(one.messages) for one in shown] == run.events.tolist()
    assert [one.is_first for one in shown] == [True] + 11 * [False]
    # 13 outputs of 4 channels of 3x3, and 4 of one; the border has fewer taps.
    assert player.dense == (13 * 4 + 4) * (3 * 16 - 2) ** 2
    answers = shown[-1].answers
    assert len(answers.ann) == len(answers.sdnn) == 13
    assert answers.relative_error is not None
    assert 0 < answers.relative_error < 0.5


def test_classes_are_the_anns_largest_with_the_names_of_the_data(tmp_path: Path) -> None:
    conversion = open_conversion(write_classifier(tmp_path / "sdnn"))
    frames, kinds = quarters(1, 10, seed=3)
    names = ("left above", "right above", "left below")
    reader = Reader(conversion.spec, names)
    assert (reader.kind, reader.bones) == ("classes", ())
    ann = torch.tensor([0.1, 0.7, 0.3, 0.2]).reshape(4, 1, 1)
    answers = reader.read(ann, ann)
    assert [one.name for one in answers.classes] == [names[1], names[2], "class 3", names[0]]
    assert answers.is_same_class is True
    assert (answers.ann, answers.sdnn, answers.moved_px) == ((), (), None)
    other = torch.tensor([0.1, 0.2, 0.3, 0.7]).reshape(4, 1, 1)
    answers = reader.read(ann, other)
    assert answers.is_same_class is False
    assert [round(one.sdnn, 1) for one in answers.classes] == [0.2, 0.3, 0.7, 0.1]
    player = Player(conversion, frames_of(frames[0]), rate=1000.0, once=True)
    shown = list(player.readings())
    said = [max(one.answers.classes, key=lambda each: each.ann).name for one in shown]
    right = np.mean([name == f"class {kind}" for name, kind in zip(said, kinds[0], strict=True)])
    assert right > 0.7
    text = Console(width=80, record=True, force_terminal=False)
    text.print(table(player, shown[-1], deque([0.5]), ""))
    assert f"ANN says {said[-1]}, SDNN class" in text.export_text()


def test_of_many_classes_the_sdnns_own_is_shown_too() -> None:
    spec = random_spec()
    reader = Reader(spec)
    reader.kind = "classes"
    ann, sdnn = torch.arange(9.0).reshape(9, 1, 1), torch.zeros(9, 1, 1)
    sdnn[2] = 1.0
    answers = reader.read(ann, sdnn)
    assert [one.name for one in answers.classes] == [f"class {n}" for n in (8, 7, 6, 5, 2)]
    assert answers.is_same_class is False


def test_a_wait_for_the_compiler_is_explained() -> None:
    said: list[str] = []

    class Saying(SilentReporter):
        def message(self, text: str) -> None:
            said.append(text)

    with said_if_slow(Saying(), "slow", after_s=0.01):
        time.sleep(0.2)
    with said_if_slow(Saying(), "fast", after_s=5.0):
        pass
    assert said == ["slow"]


def test_pause_step_restart_and_another_point(conversion: OpenedConversion) -> None:
    player = player_of(conversion, once=False)
    playing = player.readings()
    assert [one.index for one in itertools.islice(playing, 3)] == [0, 1, 2]
    player.pause()
    assert not player.is_playing
    player.step()
    player.step()
    assert [next(playing).index for _ in range(2)] == [3, 4]
    press(player, "-")
    player.step()
    cheaper = next(playing)
    assert player.points[cheaper.point].name == "thresholds x 0.5"
    assert not cheaper.is_first
    player.restart()
    begun = next(playing)
    assert (begun.index, begun.is_first) == (0, True)
    player.play()
    assert next(playing).index == 1
    player.restart()
    assert next(playing).index == 0
    with pytest.raises(ValueError, match="no operating point"):
        player.change_to(len(player.points))


def test_frames_keep_the_rate(conversion: OpenedConversion) -> None:
    shown = list(player_of(conversion, rate=25.0).readings())
    rates = [one.fps for one in shown if one.fps is not None]
    assert len(rates) == len(shown) - 1
    assert max(rates) <= 25.5


def test_frames_of_another_size_are_refused(conversion: OpenedConversion) -> None:
    with pytest.raises(DataError, match="frames of 1x8x8 for a network whose input is 1x16x16"):
        Player(conversion, frames_of(np.zeros((2, 1, 8, 8), np.uint8)), rate=10.0)


def test_the_page_has_no_way_out_of_its_script(conversion: OpenedConversion) -> None:
    first = replace(conversion.spec.layers[0], name="</script><b>")
    spec = replace(conversion.spec, layers=(first, *conversion.spec.layers[1:]))
    player = player_of(replace(conversion, points=OperatingPoints(spec)))
    page = render_page(player, "<i>title")
    assert page.count("</script>") == 1
    assert "<i>title" not in page
    assert "http" not in page
    shown = next(player.readings())
    assert reading_of(player, shown)["operations"] == shown.operations


def test_pictures_in_colour_and_events_as_ink() -> None:
    assert not picture(torch.zeros(3, 4, 4, dtype=torch.uint8))["is_mask"]
    assert picture(torch.zeros(2, 4, 4, dtype=torch.uint8))["is_mask"]
    assert picture(torch.zeros(3, 4, 4))["is_mask"]


def test_the_terminal_shows_a_table_of_80_columns(conversion: OpenedConversion) -> None:
    player = player_of(conversion)
    console = Console(width=80, record=True, force_terminal=False)
    shown = next(player.readings())
    console.print(table(player, shown, deque([0.5, 1.0]), "space pause"))
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= 80
    for word in ("operations", "the dense ANN's", "milliseconds", "input", "▄█", "space pause"):
        assert word in text


def test_lines_where_nobody_watches_and_the_sum(conversion: OpenedConversion) -> None:
    player = player_of(conversion)
    console, totals = Console(width=80, record=True, force_terminal=False), Totals(player.dense)
    show_in_terminal(player, totals, console, "")
    lines = console.export_text().splitlines()
    assert len(lines) == 12
    assert max(map(len, lines)) <= 80
    assert totals.sentence.startswith("Played 12 frames, ")


def test_a_source_that_is_nothing_is_one_sentence(tmp_path: Path) -> None:
    with (
        pytest.raises(DataError, match=r"--source wlak does not exist; did you mean walk\?"),
        opened("wlak", LiveOptions()),
    ):
        pass


def test_a_movement_is_made_and_deleted() -> None:
    with opened("wave", LiveOptions(frames=2, seed=4)) as sequences:
        assert {frames.n_frames for frames in sequences} == {2}
        assert {frames.shape for frames in sequences} == {(1, 260, 344)}
        file = next(iter(sequences)).recording.frames_path  # type: ignore[attr-defined]
        assert file.exists()
    assert not file.exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--terminal", "--port", "8000"), "--port has no effect with --terminal"),
        (("--seed", "1"), "--seed has no effect without a movement to make as --source"),
    ],
)
def test_options_without_effect(tmp_path: Path, arguments: tuple[str, ...], sentence: str) -> None:
    np.save(tmp_path / "frames.npy", walking_square())
    with pytest.raises(UsageError, match=sentence):
        COMMANDS["live"].main(
            ["pretrained", "--source", str(tmp_path / "frames.npy"), *arguments],
            standalone_mode=False,
        )
