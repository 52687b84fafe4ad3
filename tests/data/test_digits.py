"""scikit-learn's digits: tasks, the division by digit, and what a pack gives."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from impray.data import open_pack, sample
from impray.data.digits import division, parts
from impray.spec.data import Digits

TASKS = {
    "all": lambda digit: digit,
    "zero_one": lambda digit: {0: 0, 1: 1}.get(digit),
    "even_odd": lambda digit: digit % 2,
    "three_eight": lambda digit: {3: 0, 8: 1}.get(digit),
}
PIXELS, OF_ROW = load_digits(return_X_y=True)


@pytest.mark.parametrize("task", TASKS)
def test_a_task_has_the_digits_and_labels_it_says_each_row_once(task):
    expected = [(*row / 16, TASKS[task](int(digit))) for row, digit in zip(PIXELS, OF_ROW, strict=True)]
    expected = sorted(row for row in expected if row[-1] is not None)
    (x, labels), (aside, of_aside) = parts(Digits(task=task))
    found = np.concatenate([np.column_stack([x, labels]), np.column_stack([aside, of_aside])])
    np.testing.assert_array_equal(sorted(map(tuple, found)), expected)
    assert labels.dtype == np.int64 and set(labels) == set(range(Digits(task=task).classes))
    assert (np.diff(of_aside) >= 0).all()


def test_the_division_is_by_digit_and_the_same_in_every_task():
    held_out = division(0.25, 0)
    counts, taken = np.bincount(OF_ROW), np.bincount(OF_ROW[held_out])
    assert (abs(taken - counts / 4) <= 0.5).all()
    for task in TASKS:
        rows = {tuple(row) for row in parts(Digits(task=task))[1][0]}
        assert rows <= {tuple(row / 16) for row in PIXELS[held_out]}
    assert not np.array_equal(division(0.25, 1), held_out)
    # Chosen at random: of 450 rows in another draw a quarter are the same, within 5 standard errors
    both = (division(0.25, 1) & held_out).sum()
    assert abs(both - 450 / 4) < 5 * np.sqrt(450 * 3 / 16)
    for fraction in (1e-6, 1 - 1e-6):  # never none, nor all
        share = division(fraction, 0)
        assert all(0 < share[OF_ROW == digit].sum() < counts[digit] for digit in range(10))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_batches_are_rows_of_the_whole_set_of_each_net_alone(dtype):
    spec = Digits(task="even_odd")
    together = open_pack([spec] * 16, range(16), batch=9, dtype=dtype, device=torch.device("cpu"))
    together.start(2)
    raw = together.draw(2)
    x, labels = together.batch(raw, 1)
    assert labels.dtype == torch.int64 and len(together._tables[0].rows) == 1347  # one table for all seeds
    for net in range(16):
        inputs, of_inputs = together.whole(net)
        places = raw["order"][net, 1]
        assert torch.equal(inputs[places], x[net]) and torch.equal(of_inputs[places], labels[net])
        alone = open_pack([spec], [net], batch=9, dtype=dtype, device=torch.device("cpu"))
        alone.start(2)
        own, of_own = alone.batch(alone.draw(2), 1)
        assert torch.equal(own[0], x[net]) and torch.equal(of_own[0], labels[net])
        assert all(torch.equal(a, b) for a, b in zip(alone.held_out(0), together.held_out(net), strict=True))
    assert not torch.equal(x[0], x[1])


def test_samples_are_images_sorted_by_class():
    x, labels = sample(Digits(task="three_eight"), 5)
    assert x.shape == (10, 8, 8) and labels.tolist() == [0] * 5 + [1] * 5
    rows = {tuple(row / 16): int(digit) for row, digit in zip(PIXELS, OF_ROW, strict=True)}
    assert [rows[tuple(row.flatten().double().tolist())] for row in x] == [3] * 5 + [8] * 5
