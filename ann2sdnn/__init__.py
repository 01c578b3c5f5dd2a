"""ann2sdnn: convert a trained ReLU CNN into a sigma-delta network (SDNN) and compare the two.

The folders of the repository are the sub-packages: ``data``, ``ann``, ``calibration``,
``convert``, ``sdnn`` and ``eval``. Importing this package imports none of them.
"""

__version__ = "0.1.0"
