"""Options that every training on recordings of poses has."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ann2sdnn.data.pose.cameras import camera_channels
from ann2sdnn.data.recordings.options import CROP_MULTIPLE
from ann2sdnn.support.options.fields import number, size
from ann2sdnn.support.options.limits import MOST_FRAMES
from ann2sdnn.support.training.options import RunOptions

if TYPE_CHECKING:
    from ann2sdnn.data.recordings.samples import Augmentation


@dataclass(frozen=True)
class PoseRunOptions(RunOptions):
    """Options of a training run on recordings; raises UsageError for values that cannot work."""

    crop: tuple[int, int] | None = size(
        (192, 96), multiple=CROP_MULTIPLE, option="--crop", none="none", panel="Data"
    )
    """Height and width in pixels of the windows trained on; none for whole frames."""
    mirror: bool = True
    """Whether half of the samples are flipped left to right (joints change sides too)."""
    channels: tuple[int, ...] = camera_channels()
    """Cameras of a frame file, 0 to 3."""
    validation_frames: int = number(
        64, at_least=1, at_most=MOST_FRAMES, option="--validation-frames", panel="Data"
    )
    """Whole pictures of the validation subjects, evenly spaced, to validate each epoch on."""
    output_slope: float = number(0.1, at_least=0, at_most=1)
    """Gradient that the last ReLU passes where it is silent, during training only."""

    def augmentation(self) -> "Augmentation":
        """The random changes of training pictures."""
        from ann2sdnn.data.recordings.samples import Augmentation

        return Augmentation(self.crop, self.mirror)
