"""The four DHP19 cameras: projection of points in the room to pixels, and back to rays.

The matrices are those published with the data set (Calabrese et al., "DHP19: Dynamic Vision
Sensor 3D Human Pose Dataset", CVPR Workshops 2019, files ``P1.npy`` to ``P4.npy`` and
``camera_positions.npy`` of its repository). They map homogeneous millimetres (z up) to
homogeneous pixels whose row axis points up.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ann2sdnn.support.errors import DataError
from ann2sdnn.support.options.fields import number, numbers

FloatArray = NDArray[np.float64]

SENSOR_HEIGHT = 260
SENSOR_WIDTH = 346
USED_WIDTH = 344  # the network sees columns 0..343

_MATRICES = {
    "P1": (
        (-0.06506658794292798, 0.10280371611880136, -0.02991671991993662, 226.32713855489936),
        (-0.07982530276208322, -0.005739210846646318, 0.08041816785398746, 19.108805492245697),
        (-0.0002985130992924634, -2.6319147339609605e-05, -0.00016321114926096114, 1.0),
    ),
    "P2": (
        (0.04504472931694892, 0.09380784662930192, -0.014391922975556649, 160.94826518059733),
        (-0.0369902927897163, 0.047861798931755, 0.08092164901391627, 43.386977678106064),
        (-0.0001639806790971754, 0.00019276984391487437, -7.910054207826804e-05, 1.0),
    ),
    "P3": (
        (0.09385359589564321, -0.03211491168723093, -0.02381457697985833, 171.9239972226072),
        (0.04888594811112287, 0.04378180959764298, 0.07345563524481341, 52.69097143832967),
        (0.0001649830265849639, 0.00019099866454787284, -0.00010198764454588324, 1.0),
    ),
    "P4": (
        (0.05547159207521162, -0.099648113038456, -0.03531374152052813, 195.34742544632326),
        (0.08271149398364297, 0.0017698764732507197, 0.07409964275720979, 32.111135629052015),
        (0.0002786441186927585, 2.790850290513517e-05, -0.00016420305584222833, 1.0),
    ),
}

_CENTRES_MM = {
    "P1": (2270.6251849220166, -181.43877076340618, 2003.3187312188911),
    "P2": (2231.3468966043083, -2487.250377163, 1954.9215409613585),
    "P3": (-2101.647417541063, -2318.5248972857717, 2063.276292672452),
    "P4": (-2312.7304984530674, -89.09663338134828, 2150.2930808570036),
}

# Channel c of a frame file was recorded by the camera with this matrix.
_MATRIX_OF_CHANNEL = ("P4", "P1", "P3", "P2")

N_CAMERAS = len(_MATRIX_OF_CHANNEL)
FRONT_CHANNELS = (2, 3)


def camera_channel(default: int) -> int:
    """A field of options that holds one camera's channel of the frame files."""
    return number(default, at_least=0, at_most=N_CAMERAS - 1, option="--channel")


def camera_channels() -> tuple[int, ...]:
    """A field of options that holds different channels, those of the front cameras by default."""
    return numbers(
        FRONT_CHANNELS,
        at_least=0,
        at_most=N_CAMERAS - 1,
        fewest=1,
        distinct=True,
        option="--channels",
        panel="Data",
    )


@dataclass(frozen=True)
class Camera:
    """A pinhole camera: ``matrix`` [3, 4] from homogeneous mm to pixels, ``centre_mm`` [3]."""

    channel: int
    matrix: FloatArray
    centre_mm: FloatArray

    def project(self, points_mm: FloatArray) -> FloatArray:
        """Project points [..., 3] to real-valued (column, row) [..., 2], row 0 at the top.

        DHP19 flips rows against the sensor's height: row = 260 - v / w.
        """
        homogeneous = np.concatenate([points_mm, np.ones_like(points_mm[..., :1])], axis=-1)
        u, v, w = np.moveaxis(homogeneous @ self.matrix.T, -1, 0)
        return np.stack([u / w, SENSOR_HEIGHT - v / w], axis=-1)

    def ray(self, pixels: FloatArray) -> FloatArray:
        """Unit directions [..., 3] from the camera's centre through (column, row) [..., 2]."""
        column, row = pixels[..., 0], pixels[..., 1]
        image = np.stack([column, SENSOR_HEIGHT - row, np.ones_like(row)], axis=-1)
        back_projected = image @ np.linalg.pinv(self.matrix).T
        points = back_projected[..., :3] / back_projected[..., 3:]
        direction = points - self.centre_mm
        return np.asarray(direction / np.linalg.norm(direction, axis=-1, keepdims=True))


def camera(channel: int) -> Camera:
    """Return the camera that recorded channel 0..3 of a frame file.

    Raises DataError for another channel.
    """
    if channel not in range(N_CAMERAS):
        raise DataError(f"channel {channel} does not exist; a frame file has channels 0 to 3")
    name = _MATRIX_OF_CHANNEL[channel]
    return Camera(channel, np.array(_MATRICES[name]), np.array(_CENTRES_MM[name]))


def triangulate(cameras: tuple[Camera, ...], pixels: tuple[FloatArray, ...]) -> FloatArray:
    """Least-squares intersection [..., 3] in mm of one ray per camera.

    ``pixels`` holds one array [..., 2] of (column, row) per camera. The point minimises the sum of
    squared distances to the rays: sum_i (I - d_i d_i^T) x = sum_i (I - d_i d_i^T) c_i.
    """
    normal = np.zeros((*pixels[0].shape[:-1], 3, 3))
    right = np.zeros((*pixels[0].shape[:-1], 3))
    for one, pixel in zip(cameras, pixels, strict=True):
        direction = one.ray(pixel)
        projector = np.eye(3) - direction[..., :, None] * direction[..., None, :]
        normal += projector
        right += projector @ one.centre_mm
    return np.asarray(np.linalg.solve(normal, right[..., None])[..., 0])
