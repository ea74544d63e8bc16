"""The memory cells."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from lifesim.scenario.table import Activation, PresetTable, Share, Sigma, Span, Temperature, mistake

Cycles = Field(default=None, gt=0, le=1e18)
_WEIBULL = ("endurance_scale_cycles", "endurance_shape")
_LOGNORMAL = ("endurance_median_cycles", "endurance_sigma_ln")
_TAIL = ("endurance_tail_ppm", "endurance_tail_cycles")


class Technology(PresetTable):
    """The memory cells: how they hold a weight, how often they can be programmed, how long they hold, how they read.

    Endurance is Weibull or lognormal; its position is given by the scale (or median), or by a point of the tail: so many cells in a million
    have failed by so many cycles.
    """

    kind_of_preset: ClassVar[str] = "technology"

    # -- the cell --
    bits_per_cell: Literal[1, 2] = 1
    """Bits in a cell: 1 (SLC, 16 cells a weight) or 2 (MLC, 8 cells)."""
    encoding: Literal["twos_complement", "offset_binary", "paper_bits"] | None = None
    """How a weight lies in its cells; default: twos_complement for one bit, offset_binary (code + 32768) for two; paper_bits: two's
    complement in two-bit cells, whose column currents cannot be summed: for reproduction only."""
    array: Literal["1t1r", "passive"] = "1t1r"
    """1t1r: an access transistor isolates cells; passive: writing half-selects the cells on the same lines."""

    # -- endurance --
    endurance_distribution: Literal["weibull", "lognormal"] = "weibull"
    """Distribution of a cell's endurance."""
    endurance_scale_cycles: float | None = Cycles
    """Weibull scale of a cell's endurance, in programming operations: 63 % of the cells are stuck by then."""
    endurance_shape: float | None = Field(default=None, ge=0.1, le=20)
    """Weibull shape of a cell's endurance (no unit)."""
    endurance_median_cycles: float | None = Cycles
    """Median of a lognormal endurance, in programming operations."""
    endurance_sigma_ln: float | None = Field(default=None, gt=0, le=5)
    """Sigma of a lognormal endurance (of its natural logarithm)."""
    endurance_tail_ppm: float | None = Field(default=None, gt=0, lt=1e6)
    """Instead of scale or median: so many cells in a million have failed ..."""
    endurance_tail_cycles: float | None = Cycles
    """... by so many programming operations."""
    endurance_spread_sigma_ln: Sigma
    """Device-to-device spread: sigma of the lognormal factor (median 1) on its endurance."""
    wear_stuck_at_1_share: Share
    """Share of the worn-out cells that are stuck at low resistance, reading 1 (or the top level), of those not stuck between; the others read 0."""
    wear_stuck_between_share: Share = 0.0
    """Share of the worn-out cells of two bits that are stuck at one of the two intermediate levels."""
    reload_wear_share: Share = 1.0
    """Share of the cells that a reload switches: what it wears, in cycles."""
    verify_pulse_wear_share: Share = 0.0
    """What each further pulse of write-verify wears, in cycles; the first wears one."""

    # -- writing --
    verify_pulses_mean: float | None = Field(default=None, ge=1, le=1e6)
    """Mean number of write pulses until a cell verifies (geometric); default: that of the cost preset."""
    verify_pulses_most: int = Field(default=1000, ge=1, le=1_000_000)
    """Write pulses after which a cell is given up, until the next programming: a temporary write failure."""

    # -- defects --
    fabrication_rate: Share = 0.0
    """Share of the cells that are stuck after fabrication and repair; known from a factory test."""
    fabrication_stuck_at_1_share: Share = 0.5
    """Share of these that are stuck at low resistance."""
    fabrication_clustering: float | None = Field(default=None, gt=0, le=1e6)
    """Stapper's alpha: the number in a crossbar is negative binomial; the smaller, the more they cluster; default: not at all."""
    line_failures_per_year: float = Field(default=0.0, ge=0, le=1e6)
    """Word or bit lines of a device that fail in a year, with all their cells in a crossbar."""
    line_word_share: Share = 0.5
    """Share of word lines among them."""
    line_stuck_at_1_share: Share = 0.0
    """Share of failed lines that are shorted (their cells read low resistance); the others are open."""

    # -- retention --
    retention_median_s: Span
    """Median time after programming until a cell loses its state, at the reference temperature, in s."""
    retention_sigma_ln: Sigma
    """Sigma of the lognormal retention time (of its natural logarithm)."""
    retention_reference_c: Temperature
    """Temperature at which the median retention holds, in C."""
    activation_energy_ev: Activation
    """Arrhenius activation energy of retention loss and drift, in eV."""
    retention_spread_sigma_ln: Sigma
    """Device-to-device spread: sigma of the lognormal factor (median 1) on its retention."""
    retention_cell_share: Share
    """Share of the cells that keep one retention time for life; the others draw it anew when programmed."""
    retention_fails_to: Literal["hrs", "lrs"]
    """State that an expired cell has drifted to: hrs (high resistance, reads 0) or lrs (low, reads 1)."""
    soft_fault_step: Literal["state", "level"] = "state"
    """How far a soft fault moves a cell of two bits: all the way to its state, or by one level towards it."""

    # -- disturb --
    read_voltage_v: float = Field(default=0.2, gt=0, le=5)
    """Voltage of a read pulse, in V."""
    read_voltage_sigma_v: float = Field(default=0.0, ge=0, le=1)
    """Its spread from cell to cell, in V."""
    disturb_median_pulses: float | None = Field(default=None, gt=0, le=1e30)
    """Median number of read pulses that disturb a cell, at 0.2 V; default: reads do not disturb."""
    disturb_volts_per_decade: float = Field(default=0.06, gt=0, le=10)
    """Increase of the read voltage that divides this median by ten, in V."""
    disturb_sigma_ln: Sigma = 1.0
    """Sigma of the lognormal number of disturbing pulses (of its natural logarithm)."""
    disturb_spread_sigma_ln: Sigma = 0.0
    """Device-to-device spread: sigma of the lognormal factor (median 1) on the number of disturbing pulses."""
    disturb_cell_share: Share = 0.5
    """Share of the cells that keep one such number for life; the others draw it anew when programmed."""
    disturb_fails_to: Literal["hrs", "lrs"] = "lrs"
    """State that read pulses move a cell to."""
    half_select_median: float | None = Field(default=None, gt=0, le=1e30)
    """Median number of half-selecting write pulses that disturb a cell of a passive array; default: they do not."""
    half_select_sigma_ln: Sigma = 1.0
    """Sigma of the lognormal number of half-selecting pulses (of its natural logarithm)."""
    half_select_fails_to: Literal["hrs", "lrs"] = "lrs"
    """State that half-selecting pulses move a cell to."""

    # -- drift of levels --
    drift: Literal["none", "conductance", "weight"] = "none"
    """Drift of two-bit cells: conductance (mean and standard deviation grow with ln t), or weight (RRAMedy, Eq. 8: w + theta)."""
    drift_mean_us: float = Field(default=0.0, ge=-1000, le=1000)
    """Mean shift of a cell's conductance for each unit of ln(t / 1 s), in microsiemens."""
    drift_sd_us: float = Field(default=0.0, ge=0, le=1000)
    """Standard deviation of the shift for each unit of ln(t / 1 s), in microsiemens."""
    drift_sd_1s_us: float = Field(default=0.0, ge=0, le=1000)
    """Standard deviation of the shift one second after programming, in microsiemens."""
    drift_span_us: float = Field(default=90.0, gt=0, le=100_000)
    """Conductance of the top level above the lowest, in microsiemens."""
    drift_reference_c: Temperature = 25.0
    """Temperature at which the drift of levels is stated, in C; at others it runs faster or slower as retention loss does."""
    drift_theta: float = Field(default=0.0, ge=0, le=1)
    """Standard deviation of theta of Eq. 8, reached ..."""
    drift_theta_reached_s: Span = Field(default="1 y", validate_default=True)  # type: ignore[assignment]
    """... so long after programming (at drift_reference_c); before, it grows with the logarithm of time."""
    reference_column: bool = True
    """Whether a column of reference cells, which drift alike, takes the mean drift out."""

    # -- reading --
    read_noise: float = Field(ge=0, le=1)
    """Standard deviation of the noise of one read; relative to what, read_noise_kind says."""
    read_noise_kind: Literal["weight", "cell_analog", "cell_adc"] = "weight"
    """weight: relative to the weight; cell_analog: to each cell's conductance; cell_adc: to the full scale of each conversion."""
    read_noise_correlation: Share
    """Correlation of the noise between the reads of one visit (1: reading again does not help)."""
    temperature_coefficient_per_k: float = Field(default=0.0, ge=-0.1, le=0.1)
    """Relative change of conductance for each kelvin that the cells are warmer than at programming, per K."""
    reference_tracking_residue: Share = 0.1
    """Share of this change that is left after the references have tracked it."""

    @classmethod
    def merged(cls, preset: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
        """Return a preset's values with those given on top; another way to state endurance replaces the preset's."""
        positions = {_TAIL: (_WEIBULL[0], _LOGNORMAL[0]), _WEIBULL[:1]: _TAIL, _LOGNORMAL[:1]: _TAIL}
        dropped = {
            key for keys, others in positions.items() if any(k in given for k in keys) for key in others
        }
        if given.get("endurance_distribution", preset.get("endurance_distribution")) != preset.get(
            "endurance_distribution"
        ):
            dropped |= {*_WEIBULL, *_LOGNORMAL}
        return {**{key: value for key, value in preset.items() if key not in dropped}, **given}

    @model_validator(mode="after")
    def _endurance_is_stated_once(self) -> Self:
        weibull = self.endurance_distribution == "weibull"
        (position, shape), others = (_WEIBULL, _LOGNORMAL) if weibull else (_LOGNORMAL, _WEIBULL)
        for key in others:
            if getattr(self, key) is not None:
                raise mistake(
                    f"does not belong to a {self.endurance_distribution} distribution",
                    (key,),
                    (("endurance_distribution",),),
                )
        if getattr(self, shape) is None:
            raise mistake(f"is missing; a {self.endurance_distribution} endurance needs it", (shape,))
        tail = [key for key in _TAIL if getattr(self, key) is not None]
        if len(tail) == 1:
            (missing,) = set(_TAIL) - set(tail)
            raise mistake(f"is missing; it belongs to {tail[0]}", (missing,))
        if bool(tail) == (getattr(self, position) is not None):
            raise mistake(
                f"give either {position} or {' and '.join(_TAIL)}" + (", not both" if tail else ""),
                (position,),
            )
        return self

    @model_validator(mode="after")
    def _bits_fit(self) -> Self:
        if self.bits_per_cell == 2 and self.encoding == "twos_complement":
            raise mistake(
                "two-bit cells hold no two's complement that column currents could sum; allowed: offset_binary, paper_bits",
                ("encoding",),
                (("bits_per_cell",),),
            )
        if self.bits_per_cell == 1 and self.encoding == "paper_bits":
            raise mistake("is for two-bit cells; allowed: twos_complement, offset_binary", ("encoding",))
        if self.drift != "none" and self.bits_per_cell == 1:
            raise mistake(
                "levels drift in two-bit cells only; must be none", ("drift",), (("bits_per_cell",),)
            )
        if self.drift != "none" and self.encoding == "paper_bits":
            raise mistake(
                "columns of paper_bits cannot be summed; must be none", ("drift",), (("encoding",),)
            )
        if self.half_select_median is not None and self.array == "1t1r":
            raise mistake(
                "an access transistor keeps half-selects away; must not be given",
                ("half_select_median",),
                (("array",),),
            )
        return self
