"""A sweep file that is right, for tests that change a word of it."""

GOOD = """\
question: does it load?
trial:
  data: {kind: nlgp, shape: [12, 12], gain: 1e-1}
  train: {lr: 1e-3, steps: 1e3}
seeds: 2
rounds: 3
measures: [accuracy, rf_width, {kurtosis: {at: [start, end]}}]
search:
  space: {data.gain: [1e-1, 3]}
"""


def replaced(old, new):
    assert old in GOOD
    return GOOD.replace(old, new)
