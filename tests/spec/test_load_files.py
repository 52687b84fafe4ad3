"""Files that are no sweep, or hardly one: told, with their line; and what YAML lets a file do."""

import pytest
from spec.good_file import replaced

from impray.spec.errors import SweepError
from impray.spec.load import load

FILES = [
    ("", "line 1: file    is empty"),
    ("# nothing\n\n", "line 1: file    is empty"),
    ("- 1", "line 1: file    must be a mapping with the keys question, trial"),
    ("a: [1", "line 1: file    is not valid YAML: while parsing a flow sequence: expected ',' or ']'"),
    ("a:\n\tb: 1", "line 2: file    is not valid YAML: "),
    ("a:\n\tb: 1", "(indent with spaces, not tabs)"),
    ("a: 1\n  b: 2", "line 2: file    is not valid YAML: mapping values are not allowed here"),
    ("--- 1\n--- 2", "line 2: file    is not valid YAML: expected a single document"),
    ("a: *b", "is not valid YAML: found undefined alias 'b'"),
    ("\n" + "[" * 5000, "line 2: file    is not valid YAML: nested too deeply"),
    (b"\x00\x01", "line 1: file    is not valid YAML: special characters are not allowed"),
    (b"a: 1\nb: \x01", "line 2: file    is not valid YAML: special characters are not allowed"),
    (b"\xff\xfe\x00", "line 1: file    cannot be read: it is not text in UTF-8"),
    (b"a: 1\n\nb: caf\xe9", "line 3: file    cannot be read: it is not text in UTF-8"),
    ("\n\nquestion", "line 3: file    must be a mapping with the keys question, trial"),
    ("? [1]\n: 2", "line 1: file    a key must be a word, not a list or mapping"),
    ("a: &x [*x]", "line 1: a[0]    this alias holds itself"),
    ("a: !!python/object:os.system x", "line 1: a = 'x'    cannot be read as"),
    ("a: !!int x", "line 1: a = 'x'    cannot be read as"),
    ("<<: 3", "line 1: file    cannot be merged"),
    (
        "trial: {data: {kind: nlgp, gain: 1, gain: 2}}",
        "line 1: trial.data.gain    is written twice (first on line 1)",
    ),
    ("on: 3", "line 1: on = 3    not a key of a sweep"),
]


@pytest.mark.parametrize("text, message", FILES, ids=[str(text)[:20] for text, _ in FILES])
def test_a_file_that_is_no_sweep_is_told_not_raised(wrong, text, message):
    assert any(message in line for line in wrong(text)), wrong(text)


@pytest.mark.parametrize("depth", [61, 340, 400, 450, 1200])
def test_a_file_that_is_nested_too_deeply_is_told(wrong, depth):
    """Also where every bracket is closed: pydantic and what walks a document would end in RecursionError."""
    blocks = "".join(f"{' ' * level}a:\n" for level in range(depth)) + " " * depth + "b: 1"
    for text in (f"question: {'[' * depth}{']' * depth}", f"trial: {'{a: ' * depth}1{'}' * depth}", blocks):
        assert any("nested too deeply" in line for line in wrong(text)), text[:100]


def test_a_null_character_in_a_path_is_told(wrong):
    text = replaced("kind: nlgp, shape: [12, 12], gain: 1e-1", r'kind: arrays, path: "a\0b.npz"')
    assert any("trial.data.path" in line and "null character" in line for line in wrong(text))


def test_aliases_of_aliases_do_not_fill_the_memory(wrong):
    text = "a: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n"
    text += "".join(f"b{n}: &a{n + 1} [{', '.join([f'*a{n}'] * 10)}]\n" for n in range(8))
    assert "holds more than" in wrong(text)[0]


def test_a_file_that_is_not_there_names_its_neighbour(sweep_file):
    path = sweep_file()
    with pytest.raises(SweepError, match=r"there is no such file; did you mean '.*sweep\.yaml'"):
        load(path.with_name("swep.yaml"))
    with pytest.raises(SweepError, match="this is a folder"):
        load(path.parent)
    with pytest.raises(SweepError, match="cannot be read"):
        load("a\0b.yaml")


def test_anchors_and_merges_work(sweep_file):
    text = replaced("gain: 1e-1}", "gain: 1}\n  train: &t {lr: 2}").replace("  train: {lr: 1e-3, steps: 1e3}\n", "")
    assert load(sweep_file(text)).trial.train.lr == 2
    merged = text.replace("&t {lr: 2}", "{<<: {lr: 5, batch: 3}, lr: 2}")
    assert load(sweep_file(merged)).trial.train.lr == 2
    assert load(sweep_file(merged)).trial.train.batch == 3


@pytest.mark.parametrize("written, read", [("010", 10), ("1_000", 1000), ("1e3", 1000), ("2.", 2)])
def test_numbers_are_decimal(sweep_file, written, read):
    assert load(sweep_file(replaced("steps: 1e3", f"steps: {written}"))).trial.train.steps == read


@pytest.mark.parametrize("written", ["1e1", "10.0", "10", "1_0"])
def test_an_integer_may_be_written_as_any_other_one_wherever_one_may_stand_alone(sweep_file, written):
    text = replaced("seeds: 2", f"seeds: {written}").replace("rounds: 3", f"rounds: {written}")
    sweep = load(sweep_file(text), [f"net.hidden={written}", f"rows_at=[{written}]"])
    assert (sweep.seeds, sweep.rounds, sweep.rows_at) == (tuple(range(10)), 10, (10,))
    assert sweep.trial.net.hidden == (10,)  # pyright: ignore


@pytest.mark.parametrize("written", ["1e-1", "1e400", "0e0", "-1e1"])
def test_numbers_that_are_no_count_of_seeds_are_refused(wrong, written):
    assert any(line.startswith("line 5: seeds") for line in wrong(replaced("seeds: 2", f"seeds: {written}")))


def test_base_60_is_no_number(wrong):
    assert "trial.train.steps = '1:30'    must be a whole number" in wrong(replaced("steps: 1e3", "steps: 1:30"))[0]
