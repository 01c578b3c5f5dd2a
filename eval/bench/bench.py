"""Times the networks on the same frames, alternating, in one process.

Timings depend on the machine and the day: compare the networks of one run, not two runs.
"""

import statistics
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from ann2sdnn.convert.folder import open_conversion
from ann2sdnn.data.sources.frames import picture_scale
from ann2sdnn.data.sources.registry import open_frames
from ann2sdnn.data.sources.resized import resized
from ann2sdnn.eval.bench.distance import measure_distances
from ann2sdnn.eval.bench.networks.registry import chosen_networks, make_networks
from ann2sdnn.eval.bench.networks.sdnn import compare_messages, make_backends
from ann2sdnn.eval.bench.networks.subject import Subject
from ann2sdnn.eval.bench.options import BenchOptions
from ann2sdnn.eval.bench.profile import profile_points
from ann2sdnn.eval.bench.report import BenchReport
from ann2sdnn.eval.bench.timing import time_networks, torch_threads
from ann2sdnn.support.progress import SILENT, Reporter


def bench(
    folder: Path, data: Path, options: BenchOptions, *, reporter: Reporter = SILENT
) -> BenchReport:
    """Time the conversion in ``folder`` on the first sequence of ``data``.

    The ANN runs in torch, in ONNX Runtime, also quantised to int8, and in OpenVINO, if that is
    installed; the SDNN in the engine and in slayer, whose messages are compared first, if lava is
    installed. Where the engine has an operating point of its own, it runs that too. ``networks`` of
    the options leaves some of them out. What cannot run here is named in the report. Raises
    ModelError and DataError for what cannot be read, UsageError for a network with memoryless
    layers, which slayer does not have, and for names of networks that there are not.
    """
    names = chosen_networks(options.networks)
    with torch_threads(options.threads):
        return _bench(folder, data, options, names, reporter)


def _bench(
    folder: Path, data: Path, options: BenchOptions, names: Sequence[str], reporter: Reporter
) -> BenchReport:
    conversion = open_conversion(folder)
    opened = open_frames(data, options.source, reporter=reporter)[:1]
    sequence = resized(opened, conversion.spec.preprocessing.resize)[0].part(0, options.frames)
    frames = torch.from_numpy(np.concatenate(list(sequence.chunks())))
    subject = Subject(conversion, frames, *make_backends(conversion, with_slayer="slayer" in names))
    compared, equal = compare_messages(subject, reporter)
    networks, not_timed = make_networks(subject, names)
    # Every network's first run, which may compile, is the one that is not timed.
    shapes, scale = conversion.spec.output_shapes, picture_scale(sequence)
    distances = measure_distances(networks, frames, shapes, reporter, scale)
    times = time_networks(networks, frames, options.rounds, reporter)
    profiles = None
    if options.profile:
        profiles = profile_points(conversion.points, frames, options.rounds, reporter)
    return BenchReport(
        frames=len(frames),
        rounds=options.rounds,
        threads=torch.get_num_threads(),
        messages_equal=equal,
        messages_compared=compared,
        first_ms={name: statistics.median(of.first_ms) for name, of in times.items()},
        all_ms_per_frame={name: of.later_ms for name, of in times.items()},
        displacement_px={name: far.displacement_px for name, far in distances.items()},
        relative_error={name: far.relative_error for name, far in distances.items()},
        not_timed=not_timed,
        profiles=profiles,
    )
