"""A figure with its words, and all of them on one page: HTML with the pictures inside, and one tall PNG."""

from __future__ import annotations

import base64
import html
import io
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import common
import numpy as np
import polars as pl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import imsave

from impray.results.paths import Paths
from impray.results.store import Place
from paper.claims import AGREES, DISAGREES, IN_PART, OPEN, Claim, headline, verdict
from paper.parts import WIDTH_IN, Drawn, NotMeasured, S, Subject, Table

COLOURS = {AGREES: "#0072B2", IN_PART: "#B27300", DISAGREES: "#B03A00", OPEN: "#5A5A5A"}
LINE_IN, MARGIN_IN = 0.155, 0.12  # of text of 8 points
CHARACTERS = 185  # in a line of it
MONO = 158  # in a line of it, all of one width


@dataclass(frozen=True)
class Paper:
    """Whose figures they are: `name` of the files, the authors in full, and in short."""

    name: str
    authors: str
    short: str

    @property
    def head(self) -> str:
        return f"{self.authors}, redrawn from this sweep's tables"

    def summary(self, entries: Sequence[Entry]) -> str:
        """All verdicts in one line."""
        names = {word: [one.title.split("  ")[0] for one in entries if one.verdict == word] for word in COLOURS}
        listed = "; ".join(f"{word}: {', '.join(of)}" for word, of in names.items() if of)
        return f"Against {self.short}: {listed}."


@dataclass(frozen=True)
class Entry:
    """A figure as the page shows it; without a picture where the sweep lacks what it needs."""

    name: str
    title: str
    paper: str
    claims: Sequence[Claim] = ()
    told: Sequence[str] = ()
    caption: str = ""
    lacking: Sequence[str] = ()
    picture: np.ndarray | None = None
    csv: pl.DataFrame = field(default_factory=pl.DataFrame)

    @property
    def verdict(self) -> str:
        return verdict(self.claims)

    @property
    def headline(self) -> str:
        return headline(self.claims) if self.claims else f"{OPEN}: not measured"

    @property
    def run(self) -> list[str]:
        """What this run shows."""
        return [
            *(claim.sentence for claim in self.claims),
            *self.told,
            *(f"Not measured: {each}." for each in self.lacking),
        ]

    @property
    def text(self) -> str:
        listed = "\n".join(f"  - {sentence}" for sentence in self.run)
        said = f"{self.title}\nVerdict: {self.headline}\n\nThe paper: {self.paper}\nThis run:\n{listed}"
        return f"{said}\n\n{self.caption}\n"


def entry(name: str, drawn: Drawn[S], of: S) -> Entry:
    """A figure of a slice, or what it needs."""
    try:
        table = drawn.table(of)
    except NotMeasured as missing:
        return Entry(name, drawn.TITLE, drawn.PAPER, lacking=[str(missing)], caption=of.caption)
    return Entry(
        name,
        drawn.TITLE,
        drawn.PAPER,
        drawn.claims(table),
        drawn.told(table),
        drawn.caption(table),
        table.lacking,
        pixels(drawn.draw(table)),
        plain(table),
    )


def plain(table: Table) -> pl.DataFrame:
    """The table as CSV can hold it: lists as text, no bytes."""
    frame = table.csv
    lists = [name for name, kind in frame.schema.items() if isinstance(kind, pl.List)]
    joined = [pl.col(name).cast(pl.List(pl.String)).list.join(" ") for name in lists]
    return frame.with_columns(joined).drop([name for name, kind in frame.schema.items() if kind == pl.Binary])


# --- pictures --------------------------------------------------------------------------------------------------------


def pixels(figure: Figure) -> np.ndarray:
    """A figure as (row, col, rgb) of bytes."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def png(picture: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    imsave(buffer, picture, format="png", dpi=common.DPI)
    return buffer.getvalue()


def strip(paragraphs: Sequence[tuple[str, dict]]) -> np.ndarray:
    """Paragraphs of text, each with its looks, as a picture of the common width."""
    wrapped = [
        (textwrap.wrap(words, looks.pop("characters", CHARACTERS)) or [""], looks) for words, looks in paragraphs
    ]
    height = sum(len(lines) * _line(looks) + 0.35 * LINE_IN for lines, looks in wrapped) + MARGIN_IN
    figure = Figure(figsize=(WIDTH_IN, height), dpi=common.DPI)
    top = height - MARGIN_IN / 2
    for lines, looks in wrapped:
        for line in lines:
            figure.text(MARGIN_IN / WIDTH_IN, top / height, line, va="top", **{"fontsize": 8, **looks})
            top -= _line(looks)
        top -= 0.35 * LINE_IN
    return pixels(figure)


def _line(looks: dict) -> float:
    return LINE_IN * looks.get("fontsize", 8) / 8


def with_words(one: Entry) -> np.ndarray:
    """Title and verdict above the panels; the paper, this run and the caption below."""
    bold = {"fontweight": "bold"}
    judged = (f"Verdict: {one.headline}", {"color": COLOURS[one.verdict], **bold})
    above = strip([(one.title, {"fontsize": 11, **bold}), judged])
    run = [f"\u2022 {sentence}" for sentence in one.run]
    below = [(f"The paper: {one.paper}", {"style": "italic"}), ("This run:", {}), *((words, {}) for words in run)]
    panels = [] if one.picture is None else [one.picture]
    return np.concatenate([above, *panels, strip([*below, (one.caption, {"color": "0.35"})])])


def tall(
    paper: Paper,
    of: Subject,
    entries: Sequence[Entry],
    drawn: Sequence[np.ndarray],
    setting: Sequence[tuple[str, str, str]],
) -> np.ndarray:
    """The whole page as one picture; `drawn` are the entries with their words."""
    bold, mono = {"fontweight": "bold"}, {"family": "monospace", "characters": 10_000}
    head = [
        (paper.head, {"fontsize": 13, "characters": 100, **bold}),
        (_question(of), {}),
        (paper.summary(entries), bold),
        (of.caption, {"color": "0.35"}),
    ]
    rows = _beside(setting)
    verdicts = [(f"{one.title}: {one.headline}", {"color": COLOURS[one.verdict], **bold}) for one in entries]
    rule = np.full((3, round(WIDTH_IN * common.DPI), 3), 170, dtype=np.uint8)
    parts = [strip([*head, *((row, dict(mono)) for row in rows), *verdicts])]
    for picture in drawn:
        parts += [rule, picture]
    return np.concatenate(parts)


def _beside(setting: Sequence[tuple[str, str, str]]) -> list[str]:
    """What the paper did and what this run did, in columns; below one another where a line would be too long."""
    widest = [max(len(row[place]) for row in setting) for place in range(3)]
    if sum(widest) + 6 <= MONO:
        return [f"{name:<{widest[0]}}   {paper:<{widest[1]}}   {run}" for name, paper, run in setting]
    _, *heads = setting[0]
    room, lines = MONO - widest[0] - 3 - max(map(len, heads)) - 3, []
    for name, *words in setting[1:]:
        for head, said in zip(heads, words, strict=True):
            for part in textwrap.wrap(said, room) or [""]:
                lines.append(f"{name:<{widest[0]}}   {head:<{max(map(len, heads))}}   {part}")
                name, head = "", ""
    return lines


def _question(of: Subject) -> str:
    if of.sweep is None:
        return "The folder has no sweep.yaml: what was asked is not known."
    return f"The sweep asks: {of.sweep.question}"


# --- HTML ------------------------------------------------------------------------------------------------------------


STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; max-width: 1500px; margin: 1.5em auto; padding: 0 1em; color: #222 }
body { background: #fff } h1 { font-size: 1.5em } h2 { font-size: 1.15em; margin: 0 0 .4em }
table { border-collapse: collapse; margin: 1em 0 }
td, th { text-align: left; padding: .15em 1em .15em 0; vertical-align: top; border-bottom: 1px solid #ddd }
section { border-top: 2px solid #bbb; padding: 1.2em 0; display: grid; gap: 1.5em }
section { grid-template-columns: minmax(0, 3fr) minmax(18em, 2fr) } section > div { min-width: 0 }
img { width: 100%; height: auto } .caption { color: #555; font-size: .88em } .paper { font-style: italic }
ul { padding-left: 1.2em } li { margin: .3em 0 } .missing { background: #f3f3f3; padding: 2em }
@media (max-width: 900px) { section { grid-template-columns: 1fr } }
"""


def document(paper: Paper, of: Subject, entries: Sequence[Entry], setting: Sequence[tuple[str, str, str]]) -> str:
    """One HTML file that needs no other."""
    say = html.escape
    verdicts = "".join(
        f'<tr><td><a href="#{one.name}">{say(one.title)}</a></td><td>{_verdict(one)}</td></tr>' for one in entries
    )
    settings = "".join(f"<tr>{''.join(f'<td>{say(cell)}</td>' for cell in row)}</tr>" for row in setting[1:])
    header = "".join(f"<th>{say(cell)}</th>" for cell in setting[0])
    return "\n".join(
        (
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">',
            f"<title>{say(paper.head)}</title><style>{STYLE}</style></head>\n<body><h1>{say(paper.head)}</h1>",
            f'<p>{say(_question(of))}</p>\n<p>{say(paper.summary(entries))}</p>\n<p class="caption">{say(of.caption)}</p>',
            f"<table><tr><th>figure</th><th>verdict on this run</th></tr>{verdicts}</table>",
            f"<table><tr>{header}</tr>{settings}</table>",
            *map(_section, entries),
            "</body></html>\n",
        )
    )


def _verdict(one: Entry) -> str:
    word, rest = one.verdict, one.headline.removeprefix(one.verdict)
    return f'<b style="color: {COLOURS[word]}">{html.escape(word)}</b>{html.escape(rest)}'


def _section(one: Entry) -> str:
    say = html.escape
    alt = say(f"{one.title}. {one.headline}", quote=True)
    shown = f'<div class="missing">Not measured: {say("; ".join(one.lacking))}.</div>'
    if one.picture is not None:
        shown = f'<img alt="{alt}" src="data:image/png;base64,{base64.b64encode(png(one.picture)).decode()}">'
    run = "".join(f"<li>{say(sentence)}</li>" for sentence in one.run)
    return (
        f'<section id="{one.name}"><div>{shown}<p class="caption">{say(one.caption)}</p></div>'
        f"<div><h2>{say(one.title)}</h2><p>Verdict: {_verdict(one)}</p>"
        f'<p class="paper">The paper: {say(one.paper)}</p><p>This run:</p><ul>{run}</ul></div></section>'
    )


# --- files -----------------------------------------------------------------------------------------------------------


def publish(
    folder: Place, paper: Paper, of: Subject, entries: Sequence[Entry], setting: Sequence[tuple[str, str, str]]
) -> None:
    """Writes every figure (png, csv, txt) and the page of all (html, png, txt, csv), and prints where and the verdicts."""
    drawn = [with_words(one) for one in entries]
    for one, picture in zip(entries, drawn, strict=True):
        contents = {"png": png(picture), "txt": one.text.encode(), "csv": _csv(one.csv)}
        _write(folder, f"{paper.name}_{one.name}", contents)
    contents = {
        "html": document(paper, of, entries, setting).encode(),
        "png": png(tall(paper, of, entries, drawn, setting)),
        "txt": "\n".join([paper.head, paper.summary(entries), "", *(one.text for one in entries)]).encode(),
        "csv": _csv(every_claim(entries)),
    }
    _write(folder, paper.name, contents)
    for one in entries:
        print(f"{one.title}: {one.headline}")
    print(paper.summary(entries))


def every_claim(entries: Sequence[Entry]) -> pl.DataFrame:
    """Every claim: figure, verdict of the figure, what is claimed, verdict, held, of, what is counted, numbers."""
    rows = []
    for one in entries:
        for claim in one.claims or [Claim("", lacking="; ".join(one.lacking))]:
            judged = (claim.verdict, claim.held, claim.of, claim.what, claim.shown or claim.lacking)
            rows.append((one.name, one.verdict, claim.says, *judged))
    names = ["figure", "of_figure", "claim", "verdict", "held", "of", "counted", "numbers"]
    return pl.DataFrame(rows, schema=names, orient="row")


def _csv(frame: pl.DataFrame) -> bytes:
    return frame.write_csv().encode()


def _write(folder: Place, name: str, contents: Mapping[str, bytes]) -> None:
    for ending, content in contents.items():
        file = Paths(folder).figure(f"{name}.{ending}")
        file.write(content)
        print(file)
