"""The documentation is that of this code: pages made from it are up to date, links lead somewhere, what is shown runs."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from conftest import sweep_into, tiny_sweep

from docs.make import findings as of_findings
from docs.make.markdown import anchor
from docs.make.measures import GROUPS
from docs.make.pages import DOCS, PAGES
from docs.make.pictures import PICTURES, draw, words
from impray.cli.app import EXIT_CODES
from impray.figures.findings import shipped_recipe
from impray.results.quantities import QUANTITIES
from impray.results.schema import TABLES
from impray.results.tables import dictionary
from impray.service.said import load_sweep
from impray.shipped import shipped
from impray.spec import families
from impray.spec.family import BUILT_IN
from impray.spec.schema import schema

ROOT = DOCS.parent
ALL = sorted({*ROOT.glob("*.md"), *DOCS.glob("*.md")})
FENCED = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"!?\[(?:[^\]\\]|\\.)*\]\(([^)\s]+)\)")


def text_of(path):
    """A page without its blocks of code."""
    return FENCED.sub("", path.read_text("utf-8"))


def blocks(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```", (DOCS / page).read_text("utf-8"), re.DOTALL | re.MULTILINE)


def built_in():
    return {
        member.spec
        for family in families.ALL.values()
        for member in family.members.values()
        if member.source == BUILT_IN
    }


# -- made pages ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def written():
    """Every made page, by a process of its own: plugins of other tests have joined this one."""
    script = "import json; from docs.make.pages import PAGES; print(json.dumps({n: t() for n, t in PAGES.items()}))"
    made = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    return json.loads(made.stdout)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_that_is_made_from_the_code_is_what_would_be_made_now(name, written):
    """To mend: python -m docs.make."""
    assert (DOCS / name).read_text("utf-8") == written[name]


def test_every_key_of_the_schema_is_on_the_page_of_keys_or_of_measures(written):
    cells = set(re.findall(r"^\| `(\w+)` \|", written["keys.md"] + written["measures.md"], re.MULTILINE))
    known = {kind.__name__ for kind in built_in()}
    made = schema()
    plain = {
        name
        for name in made["$defs"]
        if name in known or name not in {k.__name__ for f in families.ALL.values() for k in f.specs}
    }
    keys = {key for name in plain for key in made["$defs"][name].get("properties", {})} | set(made["properties"])
    assert len(keys) > 100 and keys - cells <= {"name"}


def test_every_column_command_and_exit_code_is_on_its_page(written):
    for row in dictionary():
        assert f"| `{row['column']}` |" in written["tables.md"]
    listed = subprocess.run([sys.executable, "-m", "impray", "--help"], cwd=ROOT, capture_output=True, text=True).stdout
    commands = re.findall(r"^  ([a-z]+)  ", listed.split("Commands:")[1], re.MULTILINE)
    assert len(commands) > 10 and all(f"\n## `impray {name}`\n" in written["commands.md"] for name in commands)
    codes = set(re.findall(r"\b\d{1,3}\b", EXIT_CODES))
    assert codes == set(re.findall(r"^\| `(\d+)` \|", written["exit_codes.md"], re.MULTILINE))


def test_every_quantity_is_on_its_page_and_says_what_it_is(written):
    for name in QUANTITIES:
        (row,) = re.findall(rf"^\| `{name}` \| (.*) \|$", written["quantities.md"], re.MULTILINE)
        assert len(row.rpartition(" | ")[2].split()) > 3, name


def test_every_measure_has_its_section_limits_and_picture(written):
    names = {families.measures.tag_of(spec) for spec in built_in() if spec in families.measures.specs}
    assert {name for group in GROUPS.values() for name in group} == names
    for name in names:
        assert len(families.measures.member(name).spec.limits.split()) > 3, name
        assert name in PICTURES, name


@pytest.mark.some(8)
@pytest.mark.parametrize("name", PICTURES)
def test_the_numbers_in_a_picture_are_those_of_its_measure_now(name):
    """Not the strokes: these are rounded otherwise by other machines. To mend: python -m docs.make."""
    stored = (DOCS / "pictures" / f"{name}.svg").read_text("utf-8")
    assert words(stored) == words(draw(name)) and words(stored)


def test_there_are_no_other_pictures():
    there = {path.stem for path in (DOCS / "pictures").iterdir()}
    assert there == {*PICTURES, "sweep"}  # of README.md


# -- findings -------------------------------------------------------------------------------------------------------------


def test_tables_of_findings_are_of_the_sweeps_as_shipped():
    """To mend: python -m docs.make findings FOLDER..., of new runs; or of those that are left."""
    text = (DOCS / "findings_tables.md").read_text("utf-8")
    sections = dict(re.findall(r"^## (\w+)\n.*?recipe (\w+)\.$", text, re.DOTALL | re.MULTILINE))
    assert len(sections) > 20
    assert {name: shipped_recipe(name) for name in sections} == sections
    absent = set(re.findall(r"`(\w+)`", text.split("## Not here")[1]))
    with_figures = {
        path.stem for path in shipped("sweeps").glob("*.yaml") if yaml.safe_load(path.read_text()).get("figures")
    }
    assert not absent & set(sections) and with_figures <= absent | set(sections)


def test_sections_of_other_sweeps_stay_and_stale_ones_go():
    text = (DOCS / "findings_tables.md").read_text("utf-8")
    assert of_findings.page([], text) == text
    recipe = shipped_recipe("controls")
    stale = of_findings.page([], text.replace(f"recipe {recipe}.", "recipe 000000000000."))
    assert (
        "\n## controls\n" in text and "\n## controls\n" not in stale and "`controls`" in stale.split("## Not here")[1]
    )


def test_a_folder_of_another_recipe_is_not_for_the_page(tmp_path):
    sweep_into(tmp_path / "quickstart", tiny_sweep(rounds=1, seeds=1, measures=["accuracy"]))
    with pytest.raises(ValueError, match="not the sweep as shipped"):
        of_findings.page([str(tmp_path / "quickstart")])


# -- links ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.name)
def test_links_lead_to_files_and_headings_that_are_there(path):
    wrong = []
    for target in LINK.findall(text_of(path)):
        file, _, heading = target.partition("#")
        if "://" in file or file.startswith("mailto:"):
            continue
        to = path if not file else (path.parent / file).resolve()
        if not to.is_file() or not to.is_relative_to(ROOT):
            wrong.append(target)
        elif heading and to.suffix == ".md" and heading not in headings(to):
            wrong.append(target)
    assert wrong == []


def headings(path):
    return [anchor(line.lstrip("#").strip()) for line in text_of(path).splitlines() if re.match(r"#{1,6} ", line)]


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.name)
def test_a_page_links_to_the_files_for_readers_that_it_names(path):
    """Once at least: pages, examples, files of clusters. Source code is named, not linked."""
    text, wrong = text_of(path), []
    linked = {(path.parent / target.partition("#")[0]).resolve() for target in LINK.findall(text)}
    for name in set(re.findall(r"`((?:docs/|sweeps/)?[\w.]+\.(?:md|cff|yaml|py|sbatch))`", text)):
        places = [place for place in ((ROOT / name).resolve(), (path.parent / name).resolve()) if place.is_file()]
        if places and path not in places and not linked & set(places):
            wrong.append(name)
    assert wrong == []


def test_no_two_headings_of_a_page_have_one_anchor():
    """GitHub and the site number them differently."""
    for path in ALL:
        found = headings(path)
        linked = {target.partition("#")[2] for page in ALL for target in LINK.findall(text_of(page)) if "#" in target}
        assert [one for one in set(found) if found.count(one) > 1 and one in linked] == [], path.name


def test_a_list_begins_after_a_blank_line():
    """GitHub makes a list of it anyway, the site a paragraph."""
    wrong = []
    for path in ALL:
        lines = text_of(path).splitlines()
        for before, line in zip(lines, lines[1:], strict=False):
            if re.match(r"- ", line) and before and not re.match(r"\s|- ", before):
                wrong.append(f"{path.name}: {line[:60]}")
    assert wrong == []


def test_every_page_is_in_the_navigation_and_on_the_first_page():
    site = yaml.safe_load((DOCS / "make" / "site.yml").read_text())

    def pages(part):
        if isinstance(part, dict):
            part = list(part.values())
        return [part] if isinstance(part, str) else [page for each in part for page in pages(each)]

    named = {page for page in pages(site["nav"]) if "/" not in page}
    assert named == {"index.md"} | {path.name for path in DOCS.glob("*.md")}
    linked = {target.partition("#")[0] for target in LINK.findall(text_of(ROOT / "README.md"))}
    assert {f"docs/{page}" for page in named - {"index.md"}} <= linked


def test_the_glossary_names_columns_and_keys_that_there_are():
    columns = {f"{row['table']}.{row['column']}" for row in dictionary()}
    named = re.findall(r"`([a-z_]+)\.([a-z_0-9]+)`", text_of(DOCS / "glossary.md"))
    made = schema()["$defs"]
    parts = {"data": families.data.specs, "prune": [families.ALL], "search": []}
    keys = {"data": {key for kind in parts["data"] for key in kind.model_fields}}
    keys |= {"prune": set(made["Prune"]["properties"]), "search": set(made["Search"]["properties"])}
    for first, second in named:
        assert (
            f"{first}.{second}" in columns
            if first in TABLES and first != "trials"
            else second in keys.get(first, {second})
        )
    assert sum(first in TABLES for first, _ in named) > 20


# -- what is shown --------------------------------------------------------------------------------------------------------


def test_the_code_on_the_page_of_checkpoints_runs(tmp_path, monkeypatch, capsys):
    sweep_into(tmp_path / "runs" / "tiny", tiny_sweep(rounds=2, seeds=1, measures=["accuracy"]))
    monkeypatch.chdir(tmp_path)
    code = "\n".join(blocks("checkpoints.md", "python"))
    names: dict = {}
    exec(compile(code, "checkpoints.md", "exec"), names)  # noqa: S102
    assert (names["matrix"] == names["weights"].numpy()).all() and (names["kept"] == names["mask"].numpy()).all()
    assert names["matrix"].any() and not names["kept"].all()
    assert "weights of layer 1 are kept" in capsys.readouterr().out


@pytest.mark.parametrize("page", ["own_question.md", "own_data.md"])
def test_sweeps_on_the_pages_for_newcomers_can_be_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for code in blocks(page, "python"):
        exec(compile(code, page, "exec"), {"__name__": "shown"})  # noqa: S102
    whole = [text for text in blocks(page, "yaml") if "question:" in text]
    parts = [text for text in blocks(page, "yaml") if "question:" not in text]
    for number, text in enumerate([*whole, *(whole[0] + part for part in parts)]):
        Path(f"{number}.yaml").write_text(text)
        assert load_sweep(f"{number}.yaml", [])
    assert whole


NUMBER = r"(-?\d+(?:\.\d+)?(?:e-\d+)?)"
EFFECT = re.compile(rf"([+-]?\d+\.\d+)(?: (?:px|dB|in accuracy))?(?:, | ?\(){NUMBER} to {NUMBER}")
JUDGED = re.compile(rf"\| {NUMBER}[^|(]*(?:\([^)]*\) )?\({NUMBER} to {NUMBER}\) \|")


@pytest.mark.parametrize("page", ["docs/findings.md", "README.md"])
def test_effects_that_are_told_in_words_are_in_the_tables(page):
    """Each effect with an interval is that of some claim, to the digits that are told; the tables have three."""
    rows = [tuple(map(float, row)) for row in JUDGED.findall((DOCS / "findings_tables.md").read_text("utf-8"))]
    text = (ROOT / page).read_text("utf-8")
    text = re.sub(r"## Sparse recovery in ReLU networks.*?(?=\n## )", "", text, flags=re.DOTALL)  # of runs that go on
    told = [match for match in EFFECT.findall(text)]
    absent = [words for words in told if not any(all(map(agrees, words, row)) for row in rows)]
    assert told and absent == []


def agrees(words, number):
    """Whether a number of the tables is what is told, rounded."""
    digits = len(words.partition(".")[2])
    return abs(float(words) - number) <= 0.5 * 10**-digits + 0.005 * abs(number)
