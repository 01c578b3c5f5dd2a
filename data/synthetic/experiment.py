"""Synthetic recordings as the one file that the `dhp19_sdnn` experiment reads."""

import tempfile
from pathlib import Path

from ann2sdnn.data.recordings.experiment_file import SEQUENCE_FRAMES, SUFFIX, write_experiment_file
from ann2sdnn.data.recordings.recording import open_recordings
from ann2sdnn.data.synthetic.generate import synthesise
from ann2sdnn.data.synthetic.options import SynthOptions
from ann2sdnn.support.errors import UsageError
from ann2sdnn.support.files.targets import check_file, refuse_overlap
from ann2sdnn.support.progress import SILENT, Reporter


def synthesise_experiment_file(
    path: Path,
    options: SynthOptions,
    *,
    raw: Path | None = None,
    force: bool = False,
    reporter: Reporter = SILENT,
) -> int:
    """Make recordings and write their sequences of 8 frames; returns the number of sequences.

    Raises UsageError for recordings that do not divide into sequences and for a ``path`` that
    ``diagnose`` would not take for such a file, and what ``synthesise`` raises.
    """
    check_file(path, force=force)
    if raw is not None:
        refuse_overlap(path, raw)
    if path.suffix != SUFFIX:
        raise UsageError(f"{path} does not end in {SUFFIX}, as a file of dhp19-sdnn has to")
    if options.scheduler is not None:
        raise UsageError(
            f"--scheduler {options.scheduler}: recordings of the format dhp19-sdnn are made in a"
            " temporary folder of this machine; use --workers"
        )
    if options.frames % SEQUENCE_FRAMES:
        raise UsageError(
            f"--frames {options.frames}; sequences of dhp19-sdnn have {SEQUENCE_FRAMES} frames, so"
            " give a multiple of that"
        )
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        synthesise(data, options, raw=raw, force=force, reporter=reporter)
        return write_experiment_file(path, open_recordings(data), force=force, reporter=reporter)
