"""A user's own schedule: found, made, checked; errors say what is wrong with it."""

import pytest

from lifesim.detection.schedules import Never, Periodic
from lifesim.detection.schedules.custom import make_custom
from lifesim.errors import UserError

SOURCE = """
from lifesim.detection.schedules import Periodic
from lifesim.detection.visits import Chosen, Grid

class Doubled(Periodic):
    def __init__(self, interval_ns, factor=2):
        if factor < 1:
            raise ValueError("no   factor")
        super().__init__(interval_ns * factor)

class Half:
    interval_ns = 5
    def visit_times(self, share, visit_ns): ...

class Choosing(Periodic):
    def next_visit(self, device, grid, points, course): ...

class Fraction(Periodic):
    def __init__(self, interval_ns):
        super().__init__(interval_ns / 2)

def function(interval_ns): ...
"""


@pytest.fixture(autouse=True)
def module(tmp_path, monkeypatch):
    (tmp_path / "own_schedules.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)


def test_it_is_made_with_interval_and_options():
    made = make_custom("own_schedules:Doubled", 10, {"factor": 3})
    assert isinstance(made, Periodic) and made.interval_ns == 30
    assert make_custom("own_schedules:Doubled", 10, {}).interval_ns == 20


def test_those_of_the_package_are_no_different():
    assert make_custom("lifesim.detection.schedules:Periodic", 7, {}) == Periodic(7)
    assert make_custom("lifesim.detection.schedules:Never", None, {}) == Never()


@pytest.mark.parametrize(
    ("name", "options", "problem"),
    [
        ("no_such_module:Own", {}, "no module 'no_such_module': neither installed nor in the working directory"),
        ("own_schedules:Double", {}, "own_schedules has no 'Double'; did you mean 'Doubled'?"),
        ("own_schedules:function", {}, "must be a class, not function"),
        ("own_schedules:Doubled", {"factor": 0}, "calling it fails: ValueError: no factor"),
        ("own_schedules:Doubled", {"often": 1}, "unexpected keyword argument 'often'"),
        ("own_schedules:Choosing", {}, "has no looks_back; a schedule is what"),
        ("own_schedules:Fraction", {}, "interval_ns = 5.0: must be a whole number of ns"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(name, options, problem):
    with pytest.raises(UserError) as caught:
        make_custom(name, 10, options)
    assert str(caught.value).startswith(f"schedule {name}: ") and problem in str(caught.value)


def test_all_that_is_missing_is_named():
    with pytest.raises(UserError) as caught:
        make_custom("own_schedules:Half", None, {})
    missing = str(caught.value).split("has no ")[1].split(";")[0].split(", ")
    assert missing == sorted(
        ["baseline_cost", "first_finding", "foresee", "longest_visit_ns", "pulses_per_cell", "set_baseline",
         "usual_interval_ns", "visit_cost"]
    )  # fmt: skip
