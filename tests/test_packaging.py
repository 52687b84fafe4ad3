"""What the project says of itself to others: how it is cited, what it is called, which version it is."""

import re
import tomllib
from pathlib import Path

import yaml

import impray

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text())
# Of the citation file format 1.2.0: what has to be there, and what else is used here.
REQUIRED = {"cff-version", "message", "title", "authors"}
KNOWN = REQUIRED | {
    "type",
    "abstract",
    "version",
    "license",
    "keywords",
    "doi",
    "url",
    "repository-code",
    "date-released",
    "references",
}


def test_the_citation_is_of_this_version_and_says_what_the_project_says():
    assert REQUIRED <= set(CITATION) <= KNOWN and CITATION["cff-version"] == "1.2.0"
    assert (CITATION["title"], CITATION["license"]) == (PROJECT["name"], PROJECT["license"])
    assert CITATION["version"] == impray.__version__ and isinstance(CITATION["version"], str)
    assert CITATION["keywords"] == PROJECT["keywords"] and CITATION["type"] == "software"
    assert [author["name"] for author in CITATION["authors"]] == [author["name"] for author in PROJECT["authors"]]


def test_each_paper_that_is_cited_says_what_it_is_and_whose():
    assert CITATION["references"]
    for paper in CITATION["references"]:
        assert {"type", "title", "year", "authors"} <= set(paper) and isinstance(paper["year"], int)
        assert all({"given-names", "family-names"} == set(author) for author in paper["authors"])


def test_annotations_are_for_type_checkers_of_others_too():
    assert (ROOT / "impray" / "py.typed").read_bytes() == b"" and "Typing :: Typed" in PROJECT["classifiers"]


def test_the_changelog_has_this_version_first():
    heads = [line for line in (ROOT / "CHANGELOG.md").read_text().splitlines() if line.startswith("## ")]
    assert heads[0] == f"## {impray.__version__}"


def test_every_path_in_the_guide_for_contributors_is_there():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    paths = re.findall(r"`((?:impray|tests|sweeps|analysis)/[\w/.]*)`|\]\((docs/[\w.]+)\)", text)
    assert len(paths) > 10
    assert [path for pair in paths for path in pair if path and not (ROOT / path).exists()] == []
    targets = (ROOT / "Makefile").read_text()
    assert all(f"\n{target}:" in targets for target in re.findall(r"(?:^|`)make ([\w-]+)", text, re.MULTILINE))
