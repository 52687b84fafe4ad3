"""Plugins join the families when a sweep names them; what is wrong with one is told with its file and line, all at once."""

import json

import pytest
from plugins import written

from impray.spec import families
from impray.spec.axes import trials
from impray.spec.errors import SweepError
from impray.spec.load import load, read
from impray.spec.pack import Pack, measure_hash
from impray.spec.plugins import joined
from impray.spec.plugins.loading import PluginError, from_file, from_text
from impray.spec.schema import schema
from impray.spec.sweep import written as as_yaml
from impray.spec.trial import Lineage, Trial

RULE = """\
from impray.plugin import Member, Plugin, RuleSpec

class Cut(RuleSpec):
    "Cuts."
    size: int = 2

PLUGIN = Plugin(version="1", rules={"cut": Member(Cut, lambda past, scope, keep: None)})
"""


def told(path, **options):
    with pytest.raises(SweepError) as error:
        load(path, **options)
    return error.value.problems


@pytest.fixture
def mine(tmp_path):
    (tmp_path / "mine.py").write_text(written.MEASURE)
    return tmp_path


def test_a_member_is_asked_for_by_plugin_and_name(mine):
    sweep = load(written.sweep_with(mine, measures=["accuracy", {"mine.kept": {"factor": 3}}]))
    (_, kept) = sweep.measures
    assert kept.name == "mine.kept" and kept.factor == 3
    assert sweep.plugins == (str(mine / "mine.py"),)
    assert families.measures.tags[-1] == "mine.kept" and isinstance(kept, families.measures.base)


def test_parameters_of_a_member_are_held_to_its_class(mine):
    problems = told(written.sweep_with(mine, measures=[{"mine.kept": {"facto": 3}}, {"mine.kept": {"factor": "x"}}]))
    assert {p.path for p in problems} == {"measures[0].mine.kept.facto", "measures[1].mine.kept.factor"}
    assert "did you mean 'factor'?" in problems[0].right


def test_near_misses_and_unknown_plugins_are_told(mine):
    (near, unknown) = told(written.sweep_with(mine, measures=["mine.kpet", "other.thing"]))
    assert "did you mean 'mine.kept'?" in near.right and "no plugin 'other'" in unknown.right
    assert any("no plugin 'other'" in p.right for p in told(written.sweep_with(mine, methods=["imp", "other.rule"])))


def test_without_its_plugin_a_sweep_is_wrong_and_reading_text_runs_nothing(mine):
    path = written.sweep_with(mine, measures=["mine.kept"])
    with pytest.raises(SweepError, match=r"not one of"):
        read(path.read_text(), str(path))
    assert not joined.joined()


def test_parameters_of_a_method_are_a_part_of_prune_that_can_be_an_axis(tmp_path):
    (tmp_path / "mine.py").write_text(RULE)
    axis = "prune.rules.mine.cut.size"
    path = written.sweep_with(tmp_path, methods=["imp", "mine.cut"], search={"space": {axis: [2, 3]}, "pack": [axis]})
    sweep = load(path)
    assert [point[1].prune.rules.mine.cut.size for point in trials(sweep)] == [2, 3]
    lineages = [lineage for _, trial in trials(sweep) for lineage in trial.lineages(("mine.cut",), (0,))]
    assert [lineage.rule.size for lineage in lineages] == [2, 3]
    (wrong,) = told(path, sets=["prune.rules.mine.cut.sise=3"])
    assert "did you mean 'size'?" in wrong.right


def test_parameters_at_their_default_are_in_no_id(tmp_path):
    before = Lineage(trial={"data": {"kind": "nlgp"}}, method="imp", seed=0).id
    (tmp_path / "mine.py").write_text(RULE)
    joined.join(from_file(tmp_path / "mine.py"))
    for rules in ({}, {"mine": {}}, {"mine": {"cut": {}}}, {"mine": {"cut": {"size": 2}}}):
        trial = Trial.model_validate({"data": {"kind": "nlgp"}, "prune": {"rules": rules}})
        assert Lineage(trial=trial, method="imp", seed=0).id == before, rules
    assert Trial.model_validate({"data": {"kind": "nlgp"}}).prune.rules.mine.cut.size == 2


def ids(folder, text):
    (folder / "mine.py").write_text(text)
    joined.join(from_file(folder / "mine.py"))
    trial = Trial.model_validate({"data": {"kind": "nlgp"}})
    cut = Lineage(trial=trial, method="mine.cut", seed=0)
    return cut.id, cut.trunk, Lineage(trial=trial, method="imp", seed=0).id


def test_name_and_version_of_a_method_are_in_its_ids_and_in_no_others(tmp_path):
    first = ids(tmp_path, RULE)
    assert ids(tmp_path, RULE + "# a comment\n") == first
    second = ids(tmp_path, RULE.replace('version="1"', 'version="2"'))
    assert second[0] != first[0] and second[1:] == first[1:]


def test_version_of_a_measure_is_in_its_hash_and_in_no_lineage(mine):
    hashes = []
    for version in "12":
        (mine / "mine.py").write_text(written.MEASURE.replace('version="1"', f'version="{version}"'))
        sweep = load(written.sweep_with(mine, measures=["mine.kept"]))
        hashes.append((measure_hash(sweep.measures[0]), sweep.trial.id))
    assert hashes[0][0] != hashes[1][0] and hashes[0][1] == hashes[1][1]


@pytest.mark.parametrize(
    "name, part, key",
    [("my_data.stripe", "data", "kind"), ("my_nets.funnel", "net", "kind")],
)
def test_version_of_data_and_nets_is_in_trial_lineage_and_trunk(tmp_path, name, part, key):
    path, found = written.of_docs(tmp_path)[name.partition(".")[0]], []
    for version in "12":
        path.write_text(path.read_text().replace('version="1"', f'version="{version}"'))
        joined.join(from_file(path))
        trial = Trial.model_validate({"data": {"kind": "nlgp"}, part: {key: name}})
        lineage = Lineage(trial=trial, method="imp", seed=0)
        found.append({trial.id, lineage.id, lineage.trunk})
    assert not found[0] & found[1]


def test_a_pack_travels_as_text(mine):
    sweep = load(written.sweep_with(mine, measures=["mine.kept"]))
    pack = Pack(lineages=sweep.trial.lineages(("imp",), (0,)), rounds=1, measures=sweep.measures)
    parcel, text = json.loads(json.dumps(joined.sent(sweep))), pack.model_dump_json()
    joined.leave()
    (mine / "mine.py").unlink()  # an actor has no such file
    joined.receive(parcel)
    assert Pack.model_validate_json(text).asked == pack.asked


def test_the_schema_has_what_has_joined(mine):
    assert "mine.kept" not in json.dumps(schema())
    load(written.sweep_with(mine, measures=["mine.kept"]))
    assert "mine.kept" in json.dumps(schema())


def test_the_same_sweep_again_changes_nothing(mine):
    path = written.sweep_with(mine, measures=["mine.kept"])
    first = load(path)
    assert load(path) == first and type(load(path).measures[0]) is type(first.measures[0])
    assert as_yaml(first)["plugins"] == [str(mine / "mine.py")]


BROKEN = {
    "no PLUGIN": ("x = 1\n", "has no PLUGIN"),
    "not Python": ("x = 1\ndef (\n", "line 2: is not Python"),
    "raises": ("x = 1\n\ny = x / 0\n", "line 3: cannot be imported: ZeroDivisionError"),
    "exits": ("import sys\nsys.exit(3)\n", "line 2: cannot be imported: SystemExit"),
    "version": (written.MEASURE.replace('version="1"', "version=1"), "version: is 1; must be text"),
    "not derived": (written.MEASURE.replace("class Kept(MeasureSpec)", "class Kept(Column)"), "line 5: measures.kept"),
    "a tag": (written.MEASURE.replace("    factor", "    name: str = 'x'\n    factor"), "leave out its field name"),
    "no columns": (written.MEASURE.replace("    unit_columns", "    # unit_columns"), "has no columns"),
    "a column's type": (written.MEASURE.replace('"int", "w', '"integer", "w'), "none of float, int"),
    "a fixed column": (written.MEASURE.replace('"kept_inputs"', '"density"'), "one that every table has"),
    "a built-in's column": (
        written.MEASURE.replace('"kept_inputs"', '"fan_in"'),
        "its columns fan_in, fan_in_mean",
    ),
    "its mean": (
        written.MEASURE.replace("unit_columns", "lineage_columns").replace("kept_inputs", "ipr_mean"),
        "ipr_mean",
    ),
    "reads": (written.MEASURE.replace('"mask"', '"masks"'), "did you mean 'mask'?"),
    "no such function": (written.MEASURE.replace("Member(Kept, kept)", "Member(Kept, 'kpet')"), "did you mean 'kept'?"),
    "a name": (written.MEASURE.replace('{"kept": M', '{"Kept it": M'), "measures.Kept it"),
    "not a mapping": (written.MEASURE.replace('{"kept": Member(Kept, kept)}', "[1]"), "measures: must be a mapping"),
    "required": (RULE.replace("size: int = 2", "size: int"), "its parameter size needs a default"),
    "data without a shape": (
        "from impray.plugin import *\nclass D(DataSpec):\n    side: int = 2\n"
        "PLUGIN = Plugin(version='1', data={'d': Member(D, print)})\n",
        "line 2: data.d: must say its `input_shape`",
    ),
}


@pytest.mark.parametrize("text, words", BROKEN.values(), ids=BROKEN)
def test_a_broken_plugin_is_told_with_its_place(tmp_path, text, words):
    (tmp_path / "mine.py").write_text(text)
    problems = told(written.sweep_with(tmp_path, measures=["mine.kept"]))
    assert {problem.path for problem in problems} == {"plugins[0]"} and problems[0].line is not None
    assert all(str(tmp_path / "mine.py") in problem.right for problem in problems)
    assert words in problems[0].right
    assert not joined.joined()


@pytest.mark.parametrize("broken", ["classes", "input_shape"])
def test_a_class_that_breaks_while_a_sweep_is_read_is_told_with_its_line(tmp_path, broken):
    text = written.of_docs(tmp_path)["my_data"].read_text()
    at = f"    def {broken}(self):\n"
    (tmp_path / "mine.py").write_text(text.replace(at, f"{at}        1 / 0\n"))
    line = text[: text.index(at)].count("\n") + 2
    (problem,) = told(written.sweep_with(tmp_path, **{"trial.data": {"kind": "mine.stripe"}}))
    assert f"mine.py, line {line}: ZeroDivisionError" in problem.right


def test_tables_have_the_columns_and_types_that_plugins_are_held_to():
    from impray.results.schema import TYPES as of_tables
    from impray.results.schema import columns
    from impray.spec.measures.base import RESERVED, TYPES
    from impray.spec.plugins.declared import COLUMNS, columns_of

    assert set(TYPES) == set(of_tables) - {"json", "time"}
    of_measures = {name for spec in families.measures.specs for name in columns_of(spec)}
    tables = {kind.removesuffix("_columns") for kind in COLUMNS} - {"lineage"}
    of_rounds = {c.name for table in ("rounds", *(f"{t}s" for t in tables)) for c in columns(table)}
    images = {c.name for kind in ("image", "histogram", "step") for c in columns(f"{kind}s")}
    assert of_rounds - of_measures - images <= RESERVED
    assert RESERVED <= of_rounds


def test_all_that_is_wrong_is_told_at_once(mine):
    (mine / "other.py").write_text("1 / 0\n")
    path = written.sweep_with(mine, plugins=["mine.py", "other.py", "absent.py"], measures=["other.x"], rounds=-1)
    assert [p.path for p in told(path)] == ["plugins[1]", "plugins[2]", "rounds"]


def test_two_plugins_of_one_name_are_told(mine):
    (mine / "deeper").mkdir()
    (mine / "deeper" / "mine.py").write_text(written.MEASURE.replace("kept_inputs", "others"))
    (problem,) = told(written.sweep_with(mine, plugins=["mine.py", "deeper/mine.py"]))
    assert problem.path == "plugins[1]" and "Plugin(name=...)" in problem.right


def test_two_files_of_one_name_are_told(mine):
    (mine / "deeper").mkdir()
    text = written.MEASURE.replace("kept_inputs", "others").replace("Plugin(version", 'Plugin(name="another", version')
    (mine / "deeper" / "mine.py").write_text(text)
    (problem,) = told(written.sweep_with(mine, plugins=["mine.py", "deeper/mine.py"]))
    assert problem.path == "plugins[1]" and "same file name" in problem.right


def test_nothing_in_a_results_folder_is_run(mine):
    results = mine / "runs" / "x"
    results.mkdir(parents=True)
    (results / "provenance.json").write_text("{}")
    (results / "mine.py").write_text("raise AssertionError('it was run')\n")
    (mine / "linked.py").symlink_to(results / "mine.py")
    for place in (results / "mine.py", mine / "linked.py"):
        with pytest.raises(PluginError, match="results"):
            from_file(place)


def test_lines_of_a_text_without_a_file_are_in_traces(tmp_path):
    import traceback

    text = written.MEASURE.replace("    return Readings", "    raise ValueError(asked)\n    return Readings")
    joined.join(from_text(text, "/nowhere/mine.py"))
    try:
        families.measures.member("mine.kept").does(1, 2)
    except ValueError as error:
        assert "raise ValueError(asked)" in "".join(traceback.format_exception(error))
