"""Options of commands that read data of any source."""

from dataclasses import dataclass

from ann2sdnn.data.sources.registry import source_options
from ann2sdnn.data.sources.source import SourceOptions
from ann2sdnn.support.options.fields import CheckedOptions


@dataclass(frozen=True)
class OtherData(CheckedOptions):
    """Options of sources, for commands that have options of their own for DHP19 recordings."""

    source: SourceOptions | None = source_options(but=("dhp19",))
    """Options of the data's source."""
