"""Frames of numbered pictures and of videos: order, colours, labels, sides, damage."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from ann2sdnn.data.sources.files import decoding
from ann2sdnn.data.sources.files.colours import ColourOptions
from ann2sdnn.data.sources.frames import Frames
from ann2sdnn.data.sources.labels import LabelledFrames
from ann2sdnn.data.sources.registry import open_frames, source_files, source_of
from ann2sdnn.support.errors import DataError

Bytes = NDArray[np.uint8]


def whole(frames: Frames, n_frames: int = 4) -> NDArray[Any]:
    return np.concatenate(list(frames.chunks(n_frames)))


def write_pictures(folder: Path, frames: Bytes, suffix: str = ".png") -> Path:
    """Pictures of frames [T, H, W] or [T, H, W, 3], numbered without leading zeros."""
    folder.mkdir(exist_ok=True, parents=True)
    for number, frame in enumerate(frames):
        Image.fromarray(frame).save(folder / f"img{number}{suffix}", quality=95)
    return folder


def greys(n_frames: int = 12, height: int = 6, width: int = 8) -> Bytes:
    return np.random.default_rng(n_frames).integers(0, 256, (n_frames, height, width), np.uint8)


def colours(n_frames: int = 5) -> Bytes:
    return np.random.default_rng(n_frames).integers(0, 256, (n_frames, 6, 8, 3), np.uint8)


def test_pictures_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    (frames,) = open_frames(write_pictures(tmp_path / "walk", greys()))
    assert (frames.name, frames.n_frames, frames.shape) == ("walk", 12, (1, 6, 8))
    assert np.array_equal(whole(frames)[:, 0], greys())
    assert np.array_equal(whole(frames.part(3, 11).part(1, 4), 2)[:, 0], greys()[4:7])


def test_colours_are_those_of_the_file_or_as_asked_for(tmp_path: Path) -> None:
    write_pictures(tmp_path, colours())
    (frames,) = open_frames(tmp_path)
    assert np.array_equal(whole(frames), np.moveaxis(colours(), -1, 1))
    (grey,) = open_frames(tmp_path, ColourOptions("grey"))
    expected = colours() @ np.array([0.299, 0.587, 0.114])
    assert grey.shape == (1, 6, 8)
    assert np.abs(whole(grey)[:, 0] - expected).max() <= 1
    write_pictures(tmp_path / "grey", greys())
    (rgb,) = open_frames(tmp_path / "grey", ColourOptions("rgb"))
    assert np.array_equal(whole(rgb), np.repeat(greys()[:, None], 3, axis=1))


def test_a_folder_of_folders_is_a_sequence_each_and_is_split_in_order(tmp_path: Path) -> None:
    for number in (1, 2, 10):
        write_pictures(tmp_path / f"run{number}", greys(number), ".jpg")
    (tmp_path / "notes").mkdir()
    names = {side: [one.name for one in open_frames(tmp_path, split=side)] for side in SIDES}
    assert names == {
        "train": ["run1"],
        "validation": ["run2"],
        "test": ["run10"],
        "all": ["run1", "run2", "run10"],
    }
    assert tmp_path / "run2" / "img1.jpg" in source_files(tmp_path)


SIDES: Any = ("train", "validation", "test", "all")


@pytest.mark.parametrize(
    ("table", "labels"),
    [
        ("img0.png,2\nimg1.png,0\nimg2.png,1\n", [2, 0, 1]),
        ("file,class\nimg2.png,1\nimg0.png,2\nimg1.png,0\nother.png,7\n", [2, 0, 1]),
        ("img0.png,2.5,-1\nimg1.png,0,nan\nimg2.png,1,3\n", [[2.5, -1], [0, np.nan], [1, 3]]),
        ("img0.png,2.0\nimg1.png,0\nimg2.png,1\n", [[2.0], [0], [1]]),
    ],
)
def test_a_table_holds_classes_or_values(table: str, labels: list[Any], tmp_path: Path) -> None:
    write_pictures(tmp_path, greys(3))
    (tmp_path / "labels.csv").write_text(table)
    (frames,) = open_frames(tmp_path)
    assert isinstance(frames, LabelledFrames)
    found = frames.targets()
    assert found.dtype == (np.int64 if isinstance(labels[0], int) else np.float32)
    assert np.array_equal(found, np.array(labels), equal_nan=True)
    assert len(frames.part(1, 3).targets()) == 2


def damaged(folder: Path) -> None:
    write_pictures(folder, greys(3))
    path = folder / "img1.png"
    path.write_bytes(path.read_bytes()[:60])


def other_size(folder: Path) -> None:
    write_pictures(folder, greys(3))
    Image.fromarray(greys(1, 7, 8)[0]).save(folder / "img3.png")


def mixed(folder: Path) -> None:
    write_pictures(folder, greys(3))
    Image.fromarray(colours(1)[0]).save(folder / "img3.png")


def unnumbered(folder: Path) -> None:
    write_pictures(folder, greys(3))
    Image.fromarray(greys(1)[0]).save(folder / "cat.png")


def alpha(folder: Path) -> None:
    Image.fromarray(colours(1)[0]).convert("RGBA").save(folder / "img0.png")


def sixteen_bits(folder: Path) -> None:
    Image.fromarray(greys(1)[0].astype(np.uint16)).save(folder / "img0.png")


def with_table(text: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        write_pictures(folder, greys(3))
        (folder / "labels.csv").write_text(text)

    return write


@pytest.mark.parametrize(
    ("write", "sentence"),
    [
        (damaged, r"img1\.png cannot be read as a picture"),
        (other_size, r"img3\.png is 1x7x8 .* and img0\.png is 1x6x8; expected pictures of one"),
        (mixed, r"img3\.png is 3x6x8 .*--colour rgb or grey"),
        (unnumbered, r"cat\.png has no number in its name"),
        (alpha, r"img0\.png has an alpha channel; give --colour"),
        (sixteen_bits, r"img0\.png has pixels of the mode I"),
        (with_table("img0.png,1\nimg1.png,2\n"), r"labels\.csv has no row for img2\.png"),
        (with_table("img0.png,1\nimg1.png,cat\nimg2.png,2\n"), r"the row of img1\.png holds cat"),
        (with_table("img0.png,1\nimg1.png,1,2\nimg2.png,2\n"), "as many numbers in every row"),
    ],
)
def test_what_is_wrong_with_pictures_is_one_sentence(
    write: Callable[[Path], None], sentence: str, tmp_path: Path
) -> None:
    write(tmp_path)
    with pytest.raises(DataError, match=sentence) as caught:
        [list(frames.chunks()) for frames in open_frames(tmp_path)]
    assert "\n" not in str(caught.value)


def test_an_alpha_channel_is_left_out_where_that_is_asked_for(tmp_path: Path) -> None:
    alpha(tmp_path)
    (frames,) = open_frames(tmp_path, ColourOptions("rgb"))
    assert np.array_equal(whole(frames), np.moveaxis(colours(1), -1, 1))


# Each decoder is tried where it is installed: OpenCV comes with lava, PyAV with the extra `video`.
DECODERS = [
    pytest.param(
        kind,
        marks=pytest.mark.skipif(
            importlib.util.find_spec(module) is None, reason=f"{module} is not installed"
        ),
        id=module,
    )
    for module, kind in (("av", decoding.PyAv), ("cv2", decoding.OpenCv))
]


@pytest.fixture(params=DECODERS)
def decoder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> type:
    """Frames are decoded by this class."""
    kind: type = request.param
    monkeypatch.setattr("ann2sdnn.data.sources.files.video.decoder", lambda path: kind())
    return kind


def moving(n_frames: int = 20) -> Bytes:
    """A red field that grows by three columns per frame, on black: [T, 48, 64, 3]."""
    frames = np.zeros((n_frames, 48, 64, 3), np.uint8)
    for number, frame in enumerate(frames):
        frame[:, : 3 * (number + 1)] = (220, 20, 20)
    return frames


def write_video(path: Path, frames: Bytes) -> Path:
    """An AVI file of JPEG pictures, by whichever library is there."""
    if importlib.util.find_spec("av") is not None:
        import av

        with av.open(str(path), "w") as container:
            stream = container.add_stream("mjpeg", rate=10)
            stream.width, stream.height, stream.pix_fmt = (
                frames.shape[2],
                frames.shape[1],
                "yuvj420p",
            )
            for frame in frames:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "rgb24")))
            container.mux(stream.encode())
        return path
    cv2 = pytest.importorskip("cv2")
    size = (frames.shape[2], frames.shape[1])
    video = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, size)
    for frame in frames:
        video.write(frame[:, :, ::-1])
    video.release()
    return path


@pytest.mark.usefixtures("decoder")
def test_a_video_is_its_frames(tmp_path: Path) -> None:
    path = write_video(tmp_path / "drive.avi", moving())
    (frames,) = open_frames(path)
    assert (frames.name, frames.n_frames, frames.shape) == ("drive", 20, (3, 48, 64))
    found = whole(frames)
    edges = (found[:, 0, 20] > 110).sum(axis=1)  # where red ends in the middle row
    assert np.abs(edges - np.minimum(3 * np.arange(1, 21), 64)).max() <= 2
    assert found[:, 0].max() > 180  # red, neither green nor blue
    assert found[:, 1:].max() < 90
    assert np.array_equal(whole(frames.part(5, 12).part(1, 3), 1), found[6:8])
    (grey,) = open_frames(path, ColourOptions("grey"))
    assert grey.shape == (1, 48, 64)
    assert source_of(tmp_path).name == "videos"


@pytest.mark.usefixtures("decoder")
def test_what_is_wrong_with_a_video_is_one_sentence(tmp_path: Path) -> None:
    path = write_video(tmp_path / "cut.avi", moving())
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    with pytest.raises(DataError, match=r"cut\.avi (should have 20 frames and has|cannot be deco)"):
        open_frames(path)
    (tmp_path / "text.mp4").write_text("no video" * 100)
    with pytest.raises(DataError, match=r"text\.mp4 cannot be decoded as a video"):
        open_frames(tmp_path / "text.mp4")
    with pytest.raises(DataError, match=r"missing\.mp4 does not exist"):
        open_frames(tmp_path / "missing.mp4")


def test_a_video_without_a_decoder_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "drive.mp4").touch()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DataError, match=r'drive\.mp4 is a video.*pip install "ann2sdnn\[video\]"'):
        open_frames(tmp_path / "drive.mp4")


@pytest.mark.usefixtures("decoder")
def test_a_video_that_ends_early_while_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_video(tmp_path / "drive.avi", moving())
    (frames,) = open_frames(path)
    write_video(path, moving(7))
    with pytest.raises(DataError, match="should have 20 frames and has 7"):
        whole(frames)
