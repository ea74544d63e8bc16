"""What a journal keeps of a run's work: results come back bit for bit, under a hash of all that they depend on and of nothing else."""

from __future__ import annotations

import enum
import functools
import operator
from concurrent.futures import Future
from pathlib import Path

import numpy as np
import pytest

from lifesim.crossbar.overlay import Written
from lifesim.detection.criteria import Golden
from lifesim.detection.screening import Doubt, Seen, look_into
from lifesim.errors import LifesimError
from lifesim.experiment.content import content_key
from lifesim.experiment.executors import InProcessExecutor
from lifesim.experiment.journal import Journal
from lifesim.experiment.judging import Judgement, judge_states
from lifesim.experiment.lives import live
from lifesim.experiment.paired import Tally
from lifesim.experiment.regions import RegionResult, simulate_region
from lifesim.experiment.remembering import CODECS, RememberingExecutor
from lifesim.fleet.redeployment import Retraining, prepare
from lifesim.scenario.models import Regions, Scenario
from lifesim.scenario.network import DataSource

DAY_S = 86_400.0


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


DIFFERENT = [
    None, 0, 1, True, 1.0, "1", b"1", "", (), ((),), (1, 2), ((1,), 2), (1, (2,)), {"a": 1}, {"a": 2}, {"b": 1}, Colour.RED, Colour.BLUE,
    np.arange(4), np.arange(4.0), np.arange(4).reshape(2, 2), np.arange(4, dtype=np.int32), np.array([0, 1, 2, 4]), np.empty(0), np.empty((0, 2)),
    Tally(1, 2, 3, 4), Judgement(), Judgement(1), Written(np.arange(3), 0), Written(np.arange(3), 1), Written(np.arange(3), 0, 5),
    Golden(np.arange(3), np.arange(3)), DataSource("mnist5k"),
]  # fmt: skip


def test_different_contents_have_different_keys_and_equal_ones_the_same() -> None:
    keys = [content_key(value) for value in DIFFERENT]
    assert len(set(keys)) == len(keys)
    assert content_key("a", "bc") != content_key("ab", "c") != content_key(("a", "bc"))
    levels = functools.partial(np.full_like, fill_value=1, dtype=np.uint8)
    assert content_key(Written(np.arange(3), levels)) == content_key(
        Written(np.arange(3), np.ones(3, np.uint8))
    )
    assert content_key(np.arange(6).reshape(2, 3)[:, ::2]) == content_key(np.array([[0, 2], [3, 5]]))
    assert content_key([1, 2]) == content_key((1, 2))


def test_a_data_set_is_its_pictures_and_not_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    before = content_key(DataSource("mnist5k"))

    class Other:
        digest = b"other pictures"

    monkeypatch.setattr("lifesim.experiment.content.load_dataset", lambda source: Other)
    assert content_key(DataSource("mnist5k")) != before


def test_of_what_nothing_is_known_there_is_no_key() -> None:
    with pytest.raises(TypeError, match="nothing is known of what function holds"):
        content_key(lambda: 0)


def same(one: object, other: object) -> bool:
    if isinstance(one, np.ndarray):
        return isinstance(other, np.ndarray) and one.dtype == other.dtype and np.array_equal(one, other)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, Seen):
        return all(same(getattr(one, name), getattr(other, name)) for name in ("passes", "golden", "doubts"))
    if isinstance(one, Golden):
        return same((one.classes, one.thousandths), (other.classes, other.thousandths))
    if isinstance(one, RegionResult):
        return one == other
    return type(one) is type(other) and one == other


@pytest.mark.parametrize(
    ("work", "result"),
    [
        (prepare, b"\x00message\xff"),
        (judge_states, [Judgement(3, Tally(30, 18, 2, 1), 3, -1, 5, True), Judgement()]),
        (look_into, []),
        (
            look_into,
            [
                Seen(np.array([True, False]), None),
                Seen(
                    np.zeros(0, bool),
                    Golden(np.arange(3, dtype=np.int16), np.arange(3, dtype=np.int32)),
                    [Doubt(1, True, 7)],
                ),
                Seen(np.ones(5, bool), np.array([[0.1, -1e-30]], np.float32), [Doubt(0, False, -2)]),
            ],
        ),
    ],
)
def test_results_come_back_bit_for_bit(work, result) -> None:
    codec = CODECS[work]
    assert same(codec.decode(codec.encode(result)), result)


@pytest.fixture(scope="module")
def harsh(scenario: Scenario) -> Scenario:
    return scenario.model_copy(
        update={
            "group": {name: scenario.group[name] for name in ("harsh", "noisy")},
            "horizon_s": 200 * DAY_S,
            "report_interval_s": 100 * DAY_S,
        }
    )


def test_a_region_comes_back_bit_for_bit(harsh: Scenario) -> None:
    two = harsh.model_copy(update={"regions": Regions(count=2)})
    result, codec = simulate_region(two, 1), CODECS[simulate_region]
    again = codec.decode(codec.encode(result))
    assert same(again, result) and again.events.schema == result.events.schema
    assert codec.encode(again) == codec.encode(result)


class Counting(InProcessExecutor):
    def __init__(self) -> None:
        self.ran: list[str] = []

    def submit(self, fn, /, *args, **kwargs) -> Future:
        self.ran.append(fn.__name__)
        return super().submit(fn, *args, **kwargs)


def test_a_life_lived_again_finds_all_its_work(harsh: Scenario, tmp_path: Path) -> None:
    """Retrainings, windows and judgements of the first are looked up in the second, and both are the same life."""
    lives, ran = [], []
    for _ in range(2):
        with Journal(tmp_path / "journal", {}) as journal:
            counting = Counting()
            remembering = RememberingExecutor(counting, journal)
            lives.append(live(harsh, remembering))
            ran.append(counting.ran)
    assert ran[1] == [] and remembering.found == len(ran[0])
    assert set(ran[0]) == {"prepare", "look_into", "judge_states"}
    first, second = lives
    assert [a.events for a in first.accounts] == [a.events for a in second.accounts]
    assert all(
        np.array_equal(a.time_ns, b.time_ns) for a, b in zip(first.accounts, second.accounts, strict=True)
    )


def test_what_work_depends_on_is_in_its_key(harsh: Scenario, tmp_path: Path) -> None:
    """Another seed is other silicon and other faults: of its retrainings and judgements none is found that had any."""
    tasks: list[Retraining] = []

    class Noting(InProcessExecutor):
        def submit(self, fn, /, *args, **kwargs) -> Future:
            if fn is prepare:
                tasks.append(args[0])
            return super().submit(fn, *args, **kwargs)

    for seed in (3, 4):
        live(harsh.model_copy(update={"seed": seed}), Noting())
    assert len(tasks) >= 3
    keys = {content_key(task) for task in tasks}
    assert len(keys) == len({(t.model.digest, t.fault_map.digest()) for t in tasks})


def test_errors_and_other_work_are_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(number: int) -> bytes:
        if number < 0:
            raise ValueError("negative")
        return bytes(number)

    monkeypatch.setitem(CODECS, failing, CODECS[prepare])
    with Journal(tmp_path / "journal", {}) as journal:
        executor = RememberingExecutor(InProcessExecutor(), journal)
        assert executor.submit(operator.neg, 3).result() == -3 and len(journal) == 0
        with pytest.raises(ValueError, match="negative"):
            executor.submit(failing, -1).result()
        assert len(journal) == 0 and executor.submit(failing, 2).result() == b"\0\0" and len(journal) == 1

        def full(key: bytes, contents: bytes) -> None:
            raise LifesimError("run.journal: No space left on device")

        monkeypatch.setattr(journal, "add", full)
        assert executor.submit(failing, 2).result() == b"\0\0"
        with pytest.raises(LifesimError, match="No space left"):
            executor.submit(failing, 3).result()
