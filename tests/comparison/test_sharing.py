"""Retrainings that several schedules ask for are done once, and only those that are the same."""

from dataclasses import replace

import numpy as np
import pytest

from lifesim.comparison import sharing
from lifesim.comparison.sharing import SharingExecutor
from lifesim.crossbar.encoding import SLC
from lifesim.crossbar.faults import FaultMap
from lifesim.detection.testset import TestDesign, make_test_set
from lifesim.fleet.redeployment import Agreement, Retraining, prepare
from lifesim.recovery.agreed import agree
from lifesim.recovery.fitting import Fitting
from lifesim.recovery.retraining import RetrainingSettings
from lifesim.scenario.network import DataSource


def fault_map(*cells):
    empty = FaultMap.empty(3)
    stuck = np.array(cells, np.int64)
    return replace(
        empty,
        cells=(stuck, *empty.cells[1:]),
        values=(np.ones(len(stuck), empty.values[0].dtype), *empty.values[1:]),
    )


@pytest.fixture
def task(mlp_model):
    settings = RetrainingSettings(2, 16, 0.05, 0.05)
    return Retraining(
        mlp_model, fault_map(5), DataSource("mnist5k", None), settings, TestDesign(4, 0.1), 100, "cpu"
    )


@pytest.fixture
def ran(monkeypatch):
    """Count what is really retrained."""
    asked = []

    def counted(task):
        asked.append(task)
        return f"message {len(asked)}".encode()

    monkeypatch.setattr(sharing, "prepare", counted)
    return asked


def results(executor, *tasks):
    function = sharing.prepare
    return [executor.submit(function, task).result() for task in tasks]


def test_equal_tasks_are_run_once(task, ran):
    executor = SharingExecutor()
    assert results(executor, task, replace(task, fault_map=fault_map(5))) == [b"message 1"] * 2
    assert (len(ran), executor.asked, executor.shared) == (1, 2, 1)


def test_what_differs_in_anything_is_run(task, ran):
    others = [
        replace(task, fault_map=fault_map(6)), replace(task, required_correct=99), replace(task, fitting=Fitting()),
        replace(task, settings=replace(task.settings, steps=3)), replace(task, design=TestDesign(5, 0.1)),
        replace(task, keeps=np.zeros((2, 3))), replace(task, keeps=np.ones((2, 3))),
    ]  # fmt: skip
    results(SharingExecutor(), task, *others)
    assert len(ran) == 1 + len(others)


def test_tasks_with_test_sets_and_agreements_are_told_apart(task, ran, mlp_model):
    """What tasks of devices carry that write nearest codes and keep their pictures: nothing in it has a hash of its own."""
    data = DataSource("mnist5k", None)
    agreements = [Agreement(mlp_model, agree(mlp_model, data, share, SLC)) for share in (0.01, 0.01, 0.02)]
    group = make_test_set(mlp_model, mlp_model.codes, data, task.design, "cpu")
    tasks = [replace(task, agreement=a, group=group) for a in agreements]
    executor = SharingExecutor()
    results(executor, *tasks, replace(tasks[0], group=None))
    assert (len(ran), executor.shared) == (3, 1)


def test_only_so_many_are_kept(task, ran):
    executor = SharingExecutor(most_kept=2)
    maps = [replace(task, fault_map=fault_map(cell)) for cell in (1, 2, 3)]
    results(executor, *maps, maps[2], maps[0])
    assert len(ran) == 4, "the first was forgotten, the last was not"


def test_other_work_is_just_done(task):
    executor = SharingExecutor()
    assert executor.submit(max, 1, 2).result() == 2
    assert executor.asked == 0


def test_a_kept_message_is_the_one_that_retraining_gives(task):
    executor = SharingExecutor()
    first, second = (executor.submit(prepare, task).result() for _ in range(2))
    assert first == second == prepare(task)
