"""The policy table: how a device diagnoses."""

from typing import get_args

import pytest
from pydantic import ValidationError

from lifesim.crossbar.march import MARCH_TESTS
from lifesim.scenario.policy import Diagnosis, Policy


def test_the_scenario_knows_every_march_test_and_no_other():
    assert get_args(Diagnosis.model_fields["test"].annotation) == tuple(MARCH_TESTS)


def test_the_default_diagnosis_is_march_c_minus_and_a_refresh():
    assert Policy().diagnosis == Diagnosis(
        test="march_c_minus", levels="extreme", retries=0, read_only=False, refresh=True
    )


def test_only_a_read_only_diagnosis_may_go_without_a_refresh():
    assert not Diagnosis(read_only=True, refresh=False).refresh
    with pytest.raises(ValidationError, match="a March test destroys the weights; needs read_only = true"):
        Diagnosis(refresh=False)


def test_compensation_is_of_nearest_codes():
    assert Policy(ladder=("nearest_code", "retrain"), compensation=True).compensation
    with pytest.raises(ValidationError, match="needs nearest_code in the ladder"):
        Policy(compensation=True)
