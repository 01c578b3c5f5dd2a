"""The plots of the reports as matplotlib figures: ``sdnn.plot`` and ``comparison.plot``.

Each figure is drawn by the function that draws it in the pages. It does not belong to pyplot: a
notebook shows it after `%matplotlib inline`, and ``figure.savefig(path)`` writes it.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ann2sdnn.convert.render import charts, points
from ann2sdnn.convert.render.first_screen import Bar, operation_bars
from ann2sdnn.convert.report.report import ConversionReport
from ann2sdnn.support.errors import UsageError
from ann2sdnn.support.page.document import Picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class ReportPlots:
    """The plots of a conversion, on its calibration frames; made by ``Sdnn.plot``."""

    def __init__(self, report: ConversionReport) -> None:
        self._report = report

    def operations(self) -> "Figure":
        """Operations per frame of the ANN and of the SDNN at its operating points, as bars.

        Raises UsageError for a report of an earlier version, which did not measure them.
        """
        return _drawn(
            points.operations(self._report),
            "this report has no operations of the networks; convert the network again",
        )

    def curve(self) -> "Figure":
        """Operations against what thresholds add: every trial of the search, chosen ones ringed.

        Raises UsageError where no budget was searched for.
        """
        return _drawn(
            points.search(self._report),
            "no thresholds were searched in this conversion; convert with a budget",
        )

    def bits(self) -> "Figure":
        """Bits of the largest weight, message and state of each layer, of those available."""
        return charts.bits_in_use(self._report).draw()

    def errors(self) -> "Figure":
        """Each layer's share of the predicted error, by its source."""
        return charts.error_sources(self._report).draw()

    def signal_to_noise(self) -> "Figure":
        """Signal-to-noise ratios of each layer's weights and activations, in decibels."""
        return charts.signal_to_noise(self._report).draw()

    def layer_operations(self) -> "Figure":
        """Each layer's share of the operations."""
        return charts.operations(self._report).draw()

    def layer_messages(self) -> "Figure":
        """Messages per frame of each layer, beside its values in the ANN."""
        return charts.messages(self._report).draw()


class ComparisonPlots:
    """The plot of a comparison; made by ``Comparison.plot``. ``bars``: of its networks."""

    def __init__(self, bars: Sequence[Bar]) -> None:
        self._bars = bars

    def operations(self) -> "Figure":
        """Operations per frame of each network, as bars on a logarithmic scale."""
        return operation_bars(self._bars)


def _drawn(picture: Picture | None, missing: str) -> "Figure":
    if picture is None:
        raise UsageError(missing)
    return picture.draw()
