"""Finished work is found again, unless something else shaped it."""

import pytest

from lifesim.paper.tasks import Task, work

CALLS = []


def double(number):
    CALLS.append(number)
    return {"twice": 2 * number}


def task(number, **shaped_by):
    return Task("double", double, (number,), {"number": number, **shaped_by})


def test_what_is_done_is_kept(tmp_path):
    with pytest.raises(LookupError):
        task(3).kept(tmp_path)
    assert work(task(3), tmp_path) == {"twice": 6} == task(3).kept(tmp_path)
    assert CALLS[-1:] == [3]


@pytest.mark.parametrize("other", [task(4), task(3, version=2)])
def test_what_something_else_shaped_is_not_found(tmp_path, other):
    work(task(3), tmp_path)
    with pytest.raises(LookupError):
        other.kept(tmp_path)


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"fingerprint": 1}', "\0"])
def test_a_damaged_file_is_not_believed(tmp_path, damage):
    work(task(3), tmp_path)
    task(3).path(tmp_path).write_text(damage)
    with pytest.raises(LookupError):
        task(3).kept(tmp_path)
    assert work(task(3), tmp_path) == {"twice": 6}
