"""The memory cells."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from lifesim.scenario.table import Activation, PresetTable, Share, Sigma, Span, Temperature


class Technology(PresetTable):
    """The memory cells: how often they can be programmed, how long they hold, how they read."""

    kind_of_preset: ClassVar[str] = "technology"
    endurance_scale_cycles: float = Field(gt=0, le=1e18)
    """Weibull scale of a cell's endurance, in programming operations: 63 % of the cells are stuck by then."""
    endurance_shape: float = Field(ge=0.1, le=20)
    """Weibull shape of a cell's endurance (no unit)."""
    endurance_spread_sigma_ln: Sigma
    """Device-to-device spread: sigma of the lognormal factor (median 1) on its endurance."""
    wear_stuck_at_1_share: Share
    """Share of the worn-out cells that are stuck at low resistance, reading 1; the others read 0."""
    retention_median_s: Span
    """Median time after programming until a cell loses its state, at the reference temperature, in s."""
    retention_sigma_ln: Sigma
    """Sigma of the lognormal retention time (of its natural logarithm)."""
    retention_reference_c: Temperature
    """Temperature at which the median retention holds, in C."""
    activation_energy_ev: Activation
    """Arrhenius activation energy of retention loss, in eV."""
    retention_spread_sigma_ln: Sigma
    """Device-to-device spread: sigma of the lognormal factor (median 1) on its retention."""
    retention_cell_share: Share
    """Share of the cells that keep one retention time for life; the others draw it anew when programmed."""
    retention_fails_to: Literal["hrs", "lrs"]
    """State that an expired cell has drifted to: hrs (high resistance, reads 0) or lrs (low, reads 1)."""
    read_noise: float = Field(ge=0, le=1)
    """Standard deviation of a weight in one read, relative to the weight; independent between weights."""
    read_noise_correlation: Share
    """Correlation of the noise between the reads of one visit (1: reading again does not help)."""
