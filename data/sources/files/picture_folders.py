"""Folders of pictures as a source: a sequence of numbered pictures each, or a class each.

In a folder of folders each is a sequence of consecutive pictures, whose labels stand in its
``labels.csv``. Where the option ``--folders classes`` or a file ``classes.txt`` says so, each is a
class: a picture in it is a sequence of its own, and a folder in it is a sequence of that class.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from ann2sdnn.data.recordings.split import Side
from ann2sdnn.data.sources.files.colours import Colour, ColourOptions
from ann2sdnn.data.sources.files.label_files import TABLE, table_targets
from ann2sdnn.data.sources.files.listing import files_in, natural, on_side
from ann2sdnn.data.sources.files.pictures import SUFFIXES, PictureReader, numbered, single
from ann2sdnn.data.sources.files.stored import LabelledStoredFrames, StoredFrames, stored
from ann2sdnn.data.sources.source import SourceOptions
from ann2sdnn.support.errors import DataError
from ann2sdnn.support.options.fields import choice

Meaning = Literal["auto", "sequences", "classes"]

CLASSES = "classes.txt"

_ADVICE = "; where folders are classes, give --folders classes"


@dataclass(frozen=True)
class PictureOptions(ColourOptions):
    """What folders of pictures are."""

    panel = "Data"

    folders: Meaning = choice("auto", option="--folders")
    """What the folders in a folder of pictures are: sequences of consecutive pictures, or classes;
    auto takes classes where there is a classes.txt."""


@dataclass(frozen=True)
class PictureSource:
    """Folders of pictures, and folders of such folders."""

    name: str = "pictures"
    options: tuple[type[SourceOptions], ...] = (PictureOptions, ColourOptions)

    def recognises(self, path: Path) -> bool:
        """Whether ``path`` is a folder that holds a picture, itself or in a folder inside, whose
        folders count as well.
        """
        return _holds_pictures(path) or any(_is_class(folder) for folder in _folders_in(path))

    def files(self, path: Path) -> tuple[Path, ...]:
        """The pictures and tables, and their folders."""
        folders = [path, *_folders_in(path)]
        folders += [inner for folder in folders[1:] for inner in _folders_in(folder)]
        files = [path, path / CLASSES]
        for folder in folders:
            if _holds_pictures(folder):
                files += [folder, folder / TABLE, *files_in(folder, SUFFIXES)]
        return tuple(dict.fromkeys(files))

    def open(
        self, path: Path, options: SourceOptions | None, split: Side
    ) -> tuple[StoredFrames, ...]:
        """Sequences in natural order of the folders' names, or class by class.

        The sequences of each class are split on their own (``split_in_order``).
        """
        colour = options.colour if isinstance(options, ColourOptions) else "stored"
        meaning = options.folders if isinstance(options, PictureOptions) else "auto"
        listed = (path / CLASSES).is_file() and not _holds_pictures(path)
        if meaning == "classes" or (meaning == "auto" and listed):
            return tuple(_of_classes(path, colour, split))
        return on_side(_sequences(path, colour, meaning), split)

    def warnings(self, path: Path, split: Side) -> tuple[str, ...]:
        """None."""
        return ()


def _sequences(path: Path, colour: Colour, meaning: Meaning) -> list[StoredFrames]:
    """A sequence per folder, with the labels of its table."""
    if _holds_pictures(path):
        reader = numbered(path, colour)
        return [_with_table(reader)]
    folders = [folder for folder in _folders_in(path) if _holds_pictures(folder)]
    if not folders:
        raise DataError(
            f"{path} holds pictures two folders deep; expected a folder per sequence, or --folders"
            " classes for a folder per class with one per sequence inside"
        )
    tables = any((folder / TABLE).is_file() for folder in folders)
    remark = None
    if meaning == "auto" and len(folders) > 1 and not tables:
        remark = (
            f"each of the {len(folders)} folders in {path} was read as a sequence of consecutive"
            " pictures; --folders sequences says so for certain, --folders classes that they are"
            " classes"
        )
    readers = [numbered(folder, colour, remark=remark, advice=_ADVICE) for folder in folders]
    return [_with_table(reader) for reader in readers]


def _with_table(reader: PictureReader) -> StoredFrames:
    labels = table_targets(reader.path / TABLE, reader.names)
    return stored(reader, reader.path.resolve().name, (0, reader.n_frames), labels)


def _of_classes(path: Path, colour: Colour, split: Side) -> Iterator[StoredFrames]:
    """The sequences of one side, class by class; DataError where folders are no classes."""
    if _holds_pictures(path):
        raise DataError(
            f"{path} holds pictures itself; expected only a folder per class, {path.name}/CLASS/..."
        )
    folders = {folder.name: folder for folder in _folders_in(path)}
    names = _class_names(path, tuple(sorted(folders)))
    for number, name in enumerate(names):
        if name in folders:
            readers = _readers(folders[name], colour)
            of_class = [
                LabelledStoredFrames(
                    reader,
                    f"{name}/{own}",
                    0,
                    reader.n_frames,
                    np.full(reader.n_frames, number, np.int64),
                    names,
                )
                for own, reader in readers
            ]
            yield from on_side(of_class, split)


def _class_names(path: Path, folders: tuple[str, ...]) -> tuple[str, ...]:
    """The classes by number: the lines of ``classes.txt``, or else the sorted names of folders.

    That is the order of torchvision's ImageFolder.
    """
    if not folders:
        raise DataError(f"{path} holds no folders; expected one per class")
    listed = path / CLASSES
    if not listed.is_file():
        return folders
    try:
        lines = [line.strip() for line in listed.read_text(encoding="utf-8-sig").splitlines()]
    except UnicodeDecodeError as error:
        raise DataError(f"{listed} cannot be read as text ({error}); write it as UTF-8") from error
    names = tuple(line for line in lines if line)
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(f"{listed} names {twice} twice; expected every class once, in order")
    unknown = [folder for folder in folders if folder not in names]
    if unknown:
        raise DataError(
            f"{path / unknown[0]} is no class in {listed}; expected the names of all folders there,"
            " one per line in the order of the network's outputs"
        )
    return names


def _readers(folder: Path, colour: Colour) -> Iterator[tuple[str, PictureReader]]:
    """The pictures of the class in ``folder``, and the sequences in its folders, with names."""
    if (folder / TABLE).is_file():
        raise DataError(
            f"{folder / TABLE} labels pictures of a folder that is a class; remove it, or give"
            " --folders sequences"
        )
    pictures = files_in(folder, SUFFIXES)
    inner = [each for each in _folders_in(folder) if _holds_pictures(each)]
    if not pictures and not inner:
        raise DataError(
            f"{folder} holds no pictures, and every folder counts as a class; remove it, or name"
            f" all classes in {folder.parent / CLASSES}"
        )
    for file in pictures:
        yield file.name, single(file, colour)
    for each in inner:
        yield each.name, numbered(each, colour)


def _is_class(folder: Path) -> bool:
    return _holds_pictures(folder) or any(map(_holds_pictures, _folders_in(folder)))


def _holds_pictures(folder: Path) -> bool:
    return folder.is_dir() and bool(files_in(folder, SUFFIXES))


def _folders_in(path: Path) -> tuple[Path, ...]:
    """The folders in ``path`` that are not hidden, in natural order."""
    if not path.is_dir():
        return ()
    inside = (each for each in path.iterdir() if each.is_dir() and each.name[0] != ".")
    return tuple(sorted(inside, key=lambda folder: natural(folder.name)))
