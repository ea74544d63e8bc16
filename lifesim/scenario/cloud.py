"""Who retrains, and how long it takes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from lifesim.scenario.table import Sigma, Span, Table


class FixedService(Table):
    """Every retraining job takes the same time."""

    kind: Literal["fixed"]
    time_s: Span
    """Time of a job, in s."""


class LognormalService(Table):
    """The time of a retraining job is drawn from a lognormal distribution."""

    kind: Literal["lognormal"]
    median_s: Span = Field(default="30 s", validate_default=True)  # type: ignore[assignment]
    """Median time of a job, in s."""
    sigma_ln: Sigma = 0.5
    """Sigma of the natural logarithm of the time."""


class WorkService(Table):
    """The time of a retraining job is its number of training steps times the time of a step."""

    kind: Literal["work"]
    step_time_s: Span
    """Time of a training step, in s."""


RetrainingKind = Literal["mask", "straight_through", "nearest_code"]
Service = Annotated[FixedService | LognormalService | WorkService, Field(discriminator="kind")]


class Retraining(Table):
    """Retraining in the cloud; the policy of a group says of which kind."""

    steps: int = Field(default=150, ge=1, le=1_000_000)
    """Number of training steps of a job."""
    batch_size: int = Field(default=64, ge=1, le=100_000)
    """Pictures in a training step."""
    learning_rate: float | None = Field(default=None, gt=0, le=100)
    """Learning rate; default: 0.05 (mask, plain gradient descent); with Adam, in root mean squares of a layer's weights, 0.01 (straight_through) and 0.03
    (nearest_code)."""
    trainable_fraction: float | None = Field(default=None, gt=0, le=1)
    """Share of the weights that are trained: those with the largest gradient; default: 0.05 (mask, straight_through; 1 trains all), 0.009 (nearest_code, of which
    only dense layers are trained)."""

    def rate_and_fraction(self, kind: RetrainingKind) -> tuple[float, float]:
        """Return learning rate and share of the weights for a kind of retraining."""
        usual = {"mask": (0.05, 0.05), "straight_through": (0.01, 0.05), "nearest_code": (0.03, 0.009)}
        rate, fraction = usual[kind]
        return self.learning_rate or rate, self.trainable_fraction or fraction


class Cloud(Table):
    """Who retrains: some workers with one queue."""

    workers: int = Field(default=1, ge=1, le=100_000)
    """Number of retraining jobs served at a time."""
    service: Service = LognormalService(kind="lognormal")
    """Time that a job takes."""
    order: Literal["fifo", "worst_first"] = "fifo"
    """Who is served first: who came first, or who has most stuck cells that its model was not made for."""
    expires_after_s: Span = Field(default="1000 y", validate_default=True)  # type: ignore[assignment]
    """A job that has not been started for so long is given up, and the device is told, in s."""
    outages_per_year: float = Field(default=0.0, ge=0, le=100_000)
    """Outages of the whole cloud in a year (of time without outage): no job starts, those in progress pause."""
    outage_mean_s: Span = Field(default="1 h", validate_default=True)  # type: ignore[assignment]
    """Mean duration of an outage, exponentially distributed, in s."""
    retraining: Retraining = Retraining()
    """Settings of the retraining itself."""
