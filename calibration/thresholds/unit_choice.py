"""Which unit a budget has without an option, and what its search needs of the frames."""

from ann2sdnn.calibration.thresholds.deviation import are_classes
from ann2sdnn.calibration.thresholds.trials import TrialBench
from ann2sdnn.calibration.thresholds.units import Unit
from ann2sdnn.data.sources.labels import TargetKind
from ann2sdnn.sdnn.spec.spec import Spec
from ann2sdnn.support.errors import ConversionError


def labelled_unit(spec: Spec, labelled: TargetKind | None) -> Unit | None:
    """The unit that labels ask for, which all runs have; None without them."""
    if labelled is None:
        return None
    named = labelled == "classes" and are_classes(spec.output_shapes)
    return "class" if named else "error"


def unlabelled_unit(spec: Spec, bench: TrialBench) -> Unit:
    """Pixels for heat maps of the frames' size in which the ANN is confident of a joint."""
    maps = spec.output_shape[1:] == spec.input_shape[1:] and bench.n_joints > 0
    return "px" if maps else "error"


def refuse_unmeasurable(unit: Unit, bench: TrialBench) -> None:
    """ConversionError where nothing can be measured in ``unit`` on the frames of ``bench``."""
    if unit == "px":
        refuse_without_joints(bench)
    elif unit == "class" and bench.base.added.classes is None:
        raise ConversionError(
            f"on {bench.base.n_frames} calibration frames no output of the network is the largest,"
            " so no change of a class can be measured; calibrate on other frames, or state the"
            " budget as a relative error of the output with --budget-error"
        )


def refuse_without_joints(bench: TrialBench) -> None:
    """ConversionError when the ANN is confident of no joint: no displacement can be measured."""
    if bench.n_joints == 0:
        raise ConversionError(
            f"the ANN is confident of no joint on {bench.base.n_frames} calibration frames, so no"
            " displacement can be measured; calibrate on other frames, or state the budget as"
            " a relative error of the output with --budget-error"
        )
