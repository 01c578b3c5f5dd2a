"""The estimate of energy in evaluation.json."""

from pydantic import Field

from ann2sdnn.sdnn.costs.energy import (
    LoihiEnergy,
    float32_uj,
    int8_uj,
    loihi_energy,
    sigma_delta_uj,
)
from ann2sdnn.support.files.json_text import Record


class EnergyEstimate(Record):
    """Microjoules per frame of one network, an estimate from published energies per operation
    (``sdnn/costs/energy.py``). Memory, data movement and static power are left out.
    """

    float32_uj: float | None = Field(
        default=None, description="ANN: multiplications and additions in float32, 45 nm"
    )
    integer_uj: float = Field(
        description="the same in integers, 45 nm: of the ANN 8-bit values; of an SDNN 16-bit"
        " messages, and its neurons' comparisons"
    )
    loihi_uj: float | None = Field(default=None, description="SDNN on Loihi 1, the sum of these:")
    loihi_operations_uj: float | None = Field(default=None, description="synaptic operations")
    loihi_updates_uj: float | None = Field(default=None, description="updates of all neurons")
    loihi_messages_uj: float | None = Field(default=None, description="messages within a tile")


class EnergyReport(Record):
    """Of every network that ran, after the first frame of each sequence; null for others.

    ``ann``: dense; ``ann_skipping``: without multiplications by a zero activation.
    """

    ann: EnergyEstimate | None = None
    ann_skipping: EnergyEstimate | None = None
    memoryless: EnergyEstimate | None = None
    sdnn: EnergyEstimate | None = None
    mixed: EnergyEstimate | None = None


def ann_energy(macs: float) -> EnergyEstimate:
    """Of ``macs`` multiplications of activations by weights, per frame."""
    return EnergyEstimate(float32_uj=float32_uj(macs), integer_uj=int8_uj(macs))


def sdnn_energy(
    operations: float, messages: float, input_messages: float, neurons: int
) -> EnergyEstimate:
    """Of a sigma-delta network's frame; ``messages``: of all planes, ``neurons``: of all layers."""
    loihi: LoihiEnergy = loihi_energy(operations, neurons, messages, input_messages)
    return EnergyEstimate(
        integer_uj=sigma_delta_uj(operations, neurons),
        loihi_uj=loihi.total_uj,
        loihi_operations_uj=loihi.operations_uj,
        loihi_updates_uj=loihi.updates_uj,
        loihi_messages_uj=loihi.messages_uj,
    )
