"""Folders of pictures that are classes, as torchvision's ImageFolder has them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ann2sdnn.data.sources.files.colours import ColourOptions
from ann2sdnn.data.sources.files.picture_folders import PictureOptions
from ann2sdnn.data.sources.frames import Frames
from ann2sdnn.data.sources.labels import LabelledFrames, class_names, kind_of_targets
from ann2sdnn.data.sources.registry import open_frames, remarks, source_files, source_options
from ann2sdnn.data.sources.resized import resized
from ann2sdnn.support.errors import DataError
from ann2sdnn.support.options.fields import declared_of

CLASSES = PictureOptions(folders="classes")


def write_picture(path: Path, shade: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((6, 8), shade, np.uint8)).save(path)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Classes 10, 2 and cat in torchvision's order, of 4, 8 and 1 pictures of their shades."""
    for name, n_pictures, shade in (("2", 8, 20), ("10", 4, 100), ("cat", 1, 200)):
        for number in range(n_pictures):
            write_picture(tmp_path / "data" / name / f"{number}.png", shade + number)
    (tmp_path / "data" / ".cache").mkdir()
    return tmp_path / "data"


def labels_of(sequences: tuple[Frames, ...]) -> dict[str, list[int]]:
    assert kind_of_targets(sequences) == "classes"
    return {x.name: x.targets().tolist() for x in sequences if isinstance(x, LabelledFrames)}


def test_a_picture_is_a_sequence_of_its_folders_class(data: Path) -> None:
    sequences = open_frames(data, CLASSES)
    assert class_names(sequences) == ("10", "2", "cat")
    labels = labels_of(sequences)
    assert list(labels) == [
        *(f"10/{n}.png" for n in range(4)),
        *(f"2/{n}.png" for n in range(8)),
        "cat/0.png",
    ]
    assert list(labels.values()) == [[0]] * 4 + [[1]] * 8 + [[2]]
    shades = [int(next(frames.chunks())[0, 0, 0, 0]) for frames in sequences]
    assert shades == [*range(100, 104), *range(20, 28), 200]
    assert len({frames.group for frames in sequences}) == len(sequences)
    assert remarks(sequences) == ()
    assert data / "cat" / "0.png" in source_files(data)


def test_every_class_is_on_every_side_of_the_split(data: Path) -> None:
    test = labels_of(open_frames(data, CLASSES, split="test"))
    assert list(test) == ["10/3.png", "2/6.png", "2/7.png", "cat/0.png"]
    train = labels_of(open_frames(data, CLASSES, split="train"))
    assert len(train) == 2 + 5 + 1
    assert set(train) & set(test) == {"cat/0.png"}  # the only one of its class
    validation = labels_of(open_frames(data, CLASSES, split="validation"))
    assert list(validation) == ["10/2.png", "2/5.png", "cat/0.png"]


def test_a_folder_of_a_class_is_a_sequence_of_it(data: Path) -> None:
    for number in range(3):
        write_picture(data / "cat" / "walk" / f"img{number}.png", number)
    sequences = open_frames(data, CLASSES)
    assert labels_of(sequences)["cat/walk"] == [2, 2, 2]
    assert labels_of((sequences[-1].part(1, 3),)) == {"cat/walk": [2, 2]}
    assert data / "cat" / "walk" / "img1.png" in source_files(data)


def test_a_list_of_classes_gives_their_numbers(data: Path) -> None:
    """And says that folders are classes; not all of them need pictures."""
    (data / "classes.txt").write_text("dog\ncat\n2\n10\n")
    sequences = open_frames(data)
    assert class_names(sequences) == ("dog", "cat", "2", "10")
    labels = labels_of(sequences)
    assert (labels["cat/0.png"], labels["2/1.png"], labels["10/3.png"]) == ([1], [2], [3])
    as_sequences = open_frames(data, PictureOptions(folders="sequences"))
    assert [frames.name for frames in as_sequences] == ["2", "10", "cat"]


def test_resized_pictures_keep_the_names_of_their_classes(data: Path) -> None:
    sequences = resized(open_frames(data, CLASSES), (3, 4))
    assert sequences[0].shape == (1, 3, 4)
    assert class_names(sequences) == ("10", "2", "cat")


def test_without_a_word_folders_are_sequences_and_that_is_said(data: Path) -> None:
    sequences = open_frames(data)
    assert [(frames.name, frames.n_frames) for frames in sequences] == [
        ("2", 8),
        ("10", 4),
        ("cat", 1),
    ]
    (remark,) = remarks(sequences)
    assert "each of the 3 folders" in remark
    assert "--folders classes" in remark
    assert remarks(open_frames(data, PictureOptions(folders="sequences"))) == ()
    (data / "2" / "labels.csv").write_text("".join(f"{n}.png,{n}\n" for n in range(8)))
    assert remarks(open_frames(data)) == (), "its labels say that it is a sequence"


def alone(data: Path) -> None:
    write_picture(data / "0.png", 0)


def empty(data: Path) -> None:
    (data / "dog").mkdir()


def unlisted(data: Path) -> None:
    (data / "classes.txt").write_text("cat\n2\n")


def twice(data: Path) -> None:
    (data / "classes.txt").write_text("cat\n2\n10\ncat\n")


def with_table(data: Path) -> None:
    (data / "cat" / "labels.csv").write_text("0.png,1\n")


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (alone, "holds pictures itself; expected only a folder per class"),
        (empty, r"dog holds no pictures, and every folder counts as a class"),
        (unlisted, r"10 is no class in .*classes\.txt; expected the names of all folders"),
        (twice, r"classes\.txt names cat twice"),
        (with_table, r"labels\.csv labels pictures of a folder that is a class"),
    ],
)
def test_what_is_no_folder_of_classes_is_refused(
    damage: Callable[[Path], None], sentence: str, data: Path
) -> None:
    damage(data)
    with pytest.raises(DataError, match=sentence):
        open_frames(data, CLASSES)


def test_errors_of_sequences_say_what_else_folders_may_be(tmp_path: Path) -> None:
    write_picture(tmp_path / "cat" / "walk" / "0.png", 1)
    with pytest.raises(DataError, match=r"two folders deep; .*--folders classes"):
        open_frames(tmp_path)
    write_picture(tmp_path / "cat" / "tom.png", 1)
    write_picture(tmp_path / "cat" / "tim.png", 1)
    with pytest.raises(DataError, match=r"no number in its name; .*--folders classes"):
        open_frames(tmp_path)
    assert len(open_frames(tmp_path, CLASSES)) == 3


def test_an_option_that_videos_have_too_asks_for_no_pictures() -> None:
    classes = declared_of(source_options()).classes
    assert classes is not None
    with_colour = [one for one in classes() if "colour" in one.__dataclass_fields__]
    assert with_colour == [ColourOptions, PictureOptions]
