"""The report of a sweep's folder: it holds what the tables hold, needs nothing else, and runs nothing of a user's."""

import base64
import hashlib
import re
import shutil
import subprocess
from html.parser import HTMLParser

import polars as pl
import pytest
import yaml
from conftest import sweep_into, tiny, tiny_sweep
from fake_sweep import Fake

from analysis import stored
from impray.figures import AXIS, Figure, More, Panel, dots, report
from impray.figures.command import draw_into
from impray.figures.overview import figures as overview
from impray.results import tables
from impray.results.paths import Paths
from impray.results.provenance import read_sweep, write_sweep
from impray.results.quantities import CLUSTERING
from impray.service.reporting import write
from impray.shipped import figure_scripts
from impray.spec.errors import DataError

OUTSIDE = re.compile(r"^(?:https?:)?//|^file:")
FIGURE = Figure(
    name="mine",
    title="Mine",
    question="Is imp more clustered?",
    panels=[Panel(of=CLUSTERING, mark=dots, x=AXIS)],
    claims=[
        More(quantity=CLUSTERING, left=pl.col("method") == "imp", than=pl.col("method") == other, says=f"than {other}")
        for other in ("oneshot", "random")
    ],
)
EVIL = "<script>alert(1)</script> \"'><img src=x onerror=alert(1)> & {{ 7 * 7 }}"


class Page(HTMLParser):
    """Elements of a page: their attributes, and the words between them."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.words, self.open = [], "", []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self.open.append(tag)

    def handle_endtag(self, tag):
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data):
        if "script" not in self.open and "style" not in self.open:
            self.words += data

    def all(self, name):
        return [attrs for tag, attrs in self.elements if tag == name]


@pytest.fixture(scope="module")
def quickstart(tmp_path_factory):
    """Rows of quickstart with one of its figures drawn."""
    out = stored.folder("quickstart", tmp_path_factory.mktemp("report") / "quickstart")
    draw_into(FIGURE, out)
    report.write(out)
    return out


def page_of(out):
    return Page((out / "report.html").read_text())


def test_it_needs_nothing_but_itself(quickstart):
    page = page_of(quickstart)
    links = [v for _, attrs in page.elements for n, v in attrs.items() if n in ("src", "href", "action", "srcset")]
    assert links and not [link for link in links if OUTSIDE.match(link)]
    assert all(link.startswith(("#", "data:")) for link in links)
    assert not page.all("link") and not page.all("iframe") and len(page.all("script")) == 1
    ids = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(set(ids)) == len(ids) and {link[1:] for link in links if link[0] == "#"} <= set(ids)
    style = (quickstart / "report.html").read_text().split("<style>")[1].split("</style>")[0]
    assert "url(" not in style and "@import" not in style


def test_it_shows_every_figure_claim_row_and_axis_and_the_yaml_as_it_was_run(quickstart):
    page = page_of(quickstart)
    pictures = [base64.b64decode(attrs["src"].partition(",")[2]) for attrs in page.all("img")]
    assert pictures == [(quickstart / "figures" / "mine.png").read_bytes()]
    assert all(attrs["alt"] for attrs in page.all("img"))
    findings = tables.scan("findings", quickstart).collect()
    assert findings.height and all(page.words.count(claim) for claim in findings["claim"])
    assert read_sweep(Paths(quickstart)).question in page.words and "data.gaussian_blend" in page.words
    (link,) = [attrs for attrs in page.all("a") if "download" in attrs]
    text = base64.b64decode(link["href"].partition("base64,")[2]).decode()
    assert yaml.safe_load(text) == yaml.safe_load((quickstart / "sweep.yaml").read_text())
    assert "4 of 4 trials done" in page.words and "Not every trial" not in page.words


def test_the_script_may_run_and_no_other(quickstart):
    """The policy names the script's own hash; a user's words cannot have it."""
    text = (quickstart / "report.html").read_text()
    (policy,) = [attrs["content"] for attrs in Page(text).all("meta") if "http-equiv" in attrs]
    assert "default-src 'none'" in policy and "'unsafe-inline'" not in policy.split("script-src")[1]
    script = text.split("<script>")[1].split("</script>")[0]
    assert base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() in policy


def test_the_script_only_adds_to_a_page_that_is_whole(quickstart):
    """Nothing waits for a click that only the script hears, and nothing is hidden until it shows it."""
    text = (quickstart / "report.html").read_text()
    page = Page(text)
    assert page.all("section") and page.all("table") and page.all("img")
    assert not [tag for tag, _ in page.elements if tag in ("button", "input", "noscript", "template", "dialog")]
    assert not [attrs for _, attrs in page.elements if "hidden" in attrs or any(n.startswith("on") for n in attrs)]
    everywhere = text.split("<style>")[1].split("@media")[0]
    assert "display: none" not in everywhere and "visibility" not in everywhere


def test_paper_loses_the_ways_around_the_page_alone(quickstart):
    style = (quickstart / "report.html").read_text().split("<style>")[1].split("</style>")[0]
    on_paper = style.split("@media print")[1]
    hidden = [rule.split("{")[0].strip() for rule in re.findall(r"[^{}]+{[^}]*display: none[^}]*}", on_paper)]
    assert hidden == ["nav, .find"]
    assert ".wide { overflow: visible }" in on_paper, "paper does not scroll"


BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), "")


@pytest.mark.skipif(not BROWSER, reason="no Chromium on this machine")
@pytest.mark.parametrize("scripted", [True, False], ids=["with script", "without"])
def test_a_browser_prints_every_picture_with_and_without_the_script(quickstart, tmp_path, scripted):
    """As many pictures in the PDF as on the page, or more: a picture with an alpha channel is two."""
    text, printed = (quickstart / "report.html").read_text(), tmp_path / "report.pdf"
    (tmp_path / "report.html").write_text(text if scripted else re.sub("(?s)<script>.*</script>", "", text))
    words = (BROWSER, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}")
    asked = (f"--print-to-pdf={printed}", f"file://{tmp_path / 'report.html'}")
    subprocess.run([*words, *asked], check=True, capture_output=True, timeout=120)
    pdf = printed.read_bytes()
    assert pdf.startswith(b"%PDF-") and pdf.count(b"/Subtype /Image") >= len(page_of(quickstart).all("img"))


@pytest.mark.parametrize("where", ["question", "caveat"])
def test_what_a_user_wrote_is_text(tmp_path, where):
    sweep = tiny_sweep(rounds=0, seeds=1, measures=["accuracy"], methods=["imp"], search={})
    sweep_into(tmp_path / "x", sweep.model_copy(update={where: EVIL}))
    report.write(tmp_path / "x")
    page = page_of(tmp_path / "x")
    assert EVIL in page.words and len(page.all("script")) == 1
    assert not [attrs for _, attrs in page.elements if any(name.startswith("on") for name in attrs)]


def test_words_in_names_errors_and_texts_of_figures_are_text(tmp_path):
    fake = Fake(tmp_path / "<i>x")
    fake.round(0, 0)
    row = {"pack": EVIL, "round": 0, "trials": [EVIL], "lineages": ["a"], "error": EVIL, "trace": EVIL}
    tables.write(fake.paths, "failures", "0-0", [row], {})
    fake.paths.figure("mine.png").write(b"\x89PNG")
    fake.paths.figure("mine.txt").write(f"{EVIL}\n{EVIL}\n\nThis run: {EVIL}\n  - {EVIL}\n\n{EVIL}\n".encode())
    report.write(fake.folder)
    page = page_of(fake.folder)
    assert page.words.count(EVIL) >= 7 and len(page.all("script")) == 1 and len(page.all("img")) == 1
    assert not page.all("i") and page.all("img")[0]["alt"] == EVIL


@pytest.mark.slow
def test_a_sweep_has_a_report_before_its_first_round_and_while_it_runs(tmp_path):
    fake = Fake(tmp_path / "x", goals=("{measure: accuracy, method: imp, direction: max}",))
    report.write(fake.folder)
    assert "0 of 2 trials done" in page_of(fake.folder).words
    fake.round(0, 0)
    fake.trial(0, "done", goals=[0.5])
    file, missing = write(fake.paths, again=True, own={})
    page = page_of(fake.folder)
    assert missing == [] and file.is_file() and "Not every trial" in page.words
    assert len(page.all("img")) == 1, "a sweep that names no figures has the overview"
    with pytest.raises(DataError):
        report.write(tmp_path / "absent")


def test_the_overview_has_every_quantity_by_axis_and_method_with_its_seeds(tmp_path):
    from impray.figures import panels
    from impray.results.reported import reported
    from impray.results.tidy import results

    sweep = tiny_sweep(measures=["accuracy", "fan_in", {"clustering": {"min_fan_in": 4}}])
    sweep_into(tmp_path / "x", sweep)
    of = results(tmp_path / "x")
    assert [quantity.name for quantity in reported(of)] == [
        "accuracy",
        "clustering_mean",
        "fan_in_mean",
    ]
    ends, courses = overview(of)
    assert ends.title == tiny()["question"]
    table = panels.table(ends, of)
    for _, frame in table.panels:
        assert set(frame["x"]) == {"0.1", "3"} and set(frame["method"]) == {"imp", "oneshot", "random"}
        assert set(frame["seed"]) == {0, 1} and set(frame["round"]) == {3}
    for _, frame in panels.table(courses, of).panels:
        assert set(frame["round"]) == {0, 1, 2, 3} and frame["facet"].n_unique() == 2


@pytest.mark.parametrize("algorithm", ["grid", "random", "optuna"])
def test_what_is_drawn_where_a_sweep_names_no_figures(algorithm):
    axis = [0.1, 3.0] if algorithm == "grid" else {"low": 0.1, "high": 3.0}
    search = {"algorithm": algorithm, "space": {"data.gain": axis}}
    search |= {"goals": [{"measure": "accuracy", "direction": "max"}]}
    search |= {} if algorithm == "grid" else {"trials": 4}
    found = tiny_sweep(measures=["accuracy"], search=search)
    assert found.drawn == (("overview",) if algorithm == "grid" else ("goals", "importance", "overview"))
    assert found.model_copy(update={"figures": ("dial",)}).drawn == ("dial",)
    assert set(found.drawn) <= set(figure_scripts())


def test_trials_that_keep_other_shares_are_read_at_one_density(tmp_path):
    from impray.results.reported import sparsest, where_alike
    from impray.results.tidy import Density, results

    space = {"prune.fraction": [0.3, 0.6]}
    sweep_into(tmp_path / "x", tiny_sweep(search={"space": space}, measures=["accuracy"], rounds=3))
    of = results(tmp_path / "x")
    at = where_alike(of)
    assert isinstance(at, Density) and at.at_most == sparsest(of) == pytest.approx(0.7**3, abs=0.01)
    frame = of.at(at)
    assert dict(frame.select("prune.fraction", "round").unique().iter_rows()) == {0.3: 3, 0.6: 2}


@pytest.mark.slow
def test_a_picture_in_other_formats_is_the_same_bytes_again(tmp_path):
    out = stored.folder("quickstart", tmp_path / "q")
    made = []
    for _ in range(2):
        draw_into(FIGURE, out, formats=["svg", "pdf"])
        made.append([(out / "figures" / f"mine.{form}").read_bytes() for form in ("png", "svg", "pdf")])
    assert made[0] == made[1]
    assert [content[:5] for content in made[0]] == [b"\x89PNG\r", b"<?xml", b"%PDF-"]


def test_a_seal_stays_when_a_report_is_written(tmp_path):
    """sweep.yaml is read, not touched."""
    fake = Fake(tmp_path / "x")
    write_sweep(fake.paths, fake.paths.sweep.read().decode())
    before = fake.paths.sweep.read()
    report.write(fake.folder)
    assert fake.paths.sweep.read() == before
