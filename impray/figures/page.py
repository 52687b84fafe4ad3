"""What a figure leaves in a sweep's folder: picture, numbers, text, findings; and all figures of a paper on one page.

figures/NAME.png .csv .txt      of each figure; .svg and .pdf where asked for
figures/PAPER.html              of several: pictures inside, findings as a table; needs no other file
tables/findings                 a row per claim
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field

from jinja2 import Environment, StrictUndefined

from impray.figures.drawing import WORDS, caption, draw, png, saved
from impray.figures.judge import NO_CLAIMS, NOT_MEASURED, Finding, headline, sentence, verdict_of
from impray.figures.panels import Figure, Table, table
from impray.results import tables
from impray.results.paths import Paths
from impray.results.tidy import NotMeasured, Results
from impray.spec import families
from impray.spec.prune import Prune
from impray.spec.training import GradientFlow
from impray.spec.trial import Trial

COLOURS = {
    "holds": "#0072B2",
    "no difference": "#B27300",
    "undecided": "#5A5A5A",
    "contradicted": "#B03A00",
    NOT_MEASURED: "#5A5A5A",
}


@dataclass(frozen=True)
class Paper:
    """Figures that belong on one page, and what the paper's setting was: name -> words, beside what `setting` says of this run.

    whole: figures that the folder cannot show stand there too, with what they need; not where each sweep is of some figures only.
    """

    name: str
    title: str
    figures: Sequence[Figure]
    setting: Mapping[str, str] = field(default_factory=dict)
    whole: bool = True


@dataclass(frozen=True)
class DrawnFigure:
    """A figure of a sweep; without a picture where the sweep lacks what it needs."""

    figure: Figure
    table: Table | None
    picture: bytes
    lacking: str = ""
    others: Mapping[str, bytes] = field(default_factory=dict)  # the picture in further formats

    @property
    def findings(self) -> Sequence[Finding]:
        return self.table.findings if self.table else ()

    @property
    def verdict(self) -> str:
        return verdict_of(self.findings)

    @property
    def headline(self) -> str:
        return (
            headline(self.findings) if self.findings else f"{NOT_MEASURED.capitalize()}." if self.lacking else NO_CLAIMS
        )

    @property
    def sentences(self) -> list[str]:
        return [sentence(finding) for finding in self.findings]

    @property
    def notes(self) -> list[str]:
        return self.table.notes if self.table else [f"Not measured: {self.lacking}."]

    @property
    def caption(self) -> str:
        return caption(self.table) if self.table else ""

    @property
    def text(self) -> str:
        """Title, question, what the paper shows, what this run says, and the caption."""
        figure = self.figure
        paper = [f"{figure.source or 'The paper'}: {figure.paper}"] if figure.paper else []
        listed = [f"  - {words}" for words in (*self.sentences, *self.notes)]
        return "\n".join(
            [figure.title, figure.question, "", *paper, f"This run: {self.headline}", *listed, "", self.caption, ""]
        )

    @property
    def image(self) -> str:
        return base64.b64encode(self.picture).decode()


def drawn(figure: Figure, results: Results, formats: Sequence[str] = ()) -> DrawnFigure:
    """A figure of a sweep, or what the sweep lacks for it; its picture as PNG and in `formats`."""
    try:
        figure_table = table(figure, results)
    except NotMeasured as missing:
        return DrawnFigure(figure, None, b"", str(missing))
    canvas = draw(figure_table)
    others = {form: saved(canvas, form) for form in formats if form != "png"}
    return DrawnFigure(figure, figure_table, png(canvas), others=others)


def publish(
    figures: Sequence[Figure], results: Results, page: Paper | None = None, formats: Sequence[str] = ()
) -> list[DrawnFigure]:
    """Writes every figure that can be drawn, their findings, and the page; prints where they are and what they say.

    Raises:  NotMeasured: none can be drawn; says what each needs.
    """
    made = [drawn(figure, results, formats) for figure in figures]
    if not any(drawn_figure.picture for drawn_figure in made):
        raise NotMeasured("\n  ".join(f"{drawn_figure.figure.title}: {drawn_figure.lacking}" for drawn_figure in made))
    if page is not None and not page.whole:
        made = [drawn_figure for drawn_figure in made if drawn_figure.picture]
    paths = Paths(results.place)
    for drawn_figure in made:
        if drawn_figure.table is None:
            continue
        contents = {
            "png": drawn_figure.picture,
            **drawn_figure.others,
            "csv": drawn_figure.table.csv.write_csv().encode(),
            "txt": drawn_figure.text.encode(),
        }
        for ending, content in contents.items():
            _write(paths, f"{drawn_figure.figure.name}.{ending}", content)
        _record(paths, drawn_figure)
    if page is not None:
        _write(paths, f"{page.name}.html", document(page, made, results).encode())
    for drawn_figure in made:
        print(f"{drawn_figure.figure.title}: {drawn_figure.headline}")
    return made


def _write(paths: Paths, name: str, content: bytes) -> None:
    file = paths.figure(name)
    file.write(content)
    print(file)


def _record(paths: Paths, drawn_figure: DrawnFigure) -> None:
    """A figure's findings are one file of the table; that of a figure without claims goes."""
    name, rows = drawn_figure.figure.name.replace("_", "-"), list(_rows(drawn_figure))
    if rows:
        tables.write(paths, "findings", name, rows, {})
    elif (file := paths.rows("findings", name)).is_file():
        file.delete()


def _rows(drawn_figure: DrawnFigure) -> Iterator[dict]:
    """A figure's findings as rows of the table `findings`."""
    for number, finding in enumerate(drawn_figure.findings):
        told = {name: value for name, value in asdict(finding).items() if name != "says"}
        yield {"figure": drawn_figure.figure.name, "number": number, "claim": finding.says, **told}


# --- the page --------------------------------------------------------------------------------------------------------

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ page.title }}</title><style>
body { font: 15px/1.45 system-ui, sans-serif; max-width: 1200px; margin: 1.5em auto; padding: 0 1em; color: #222; background: #fff }
h1 { font-size: 1.5em } h2 { font-size: 1.15em; margin: 0 0 .4em }
table { border-collapse: collapse; margin: 1em 0 } td, th { text-align: left; padding: .15em 1em .15em 0; vertical-align: top }
td, th { border-bottom: 1px solid #ddd } section { border-top: 2px solid #bbb; padding: 1.2em 0; display: grid; gap: 1.5em }
section { grid-template-columns: minmax(0, 3fr) minmax(18em, 2fr) } section > div { min-width: 0; overflow-wrap: break-word }
img { width: 100%; height: auto } .caption { color: #555; font-size: .88em } .paper { font-style: italic }
ul { padding-left: 1.2em } li { margin: .3em 0 } .missing { background: #f3f3f3; padding: 2em } .wide { overflow-x: auto }
@media (max-width: 900px) { section { grid-template-columns: 1fr } }
</style></head><body>
<h1>{{ page.title }}</h1>
<p>{% if sweep %}The sweep asks: {{ sweep.question }}{% else %}What the sweep asked is not known: no sweep.yaml.{% endif %}</p>
<p class="caption">{{ missing | join(" ") }}</p>
<div class="wide"><table><tr><th>figure</th><th>this run</th></tr>
{% for entry in entries %}<tr><td><a href="#{{ entry.figure.name }}">{{ entry.figure.title }}</a></td>
<td><b style="color: {{ colours[entry.verdict] }}">{{ entry.verdict }}</b> {{ entry.headline }}</td></tr>
{% endfor %}</table></div>
{% if setting %}<div class="wide"><table><tr><th></th><th>the paper</th><th>this run</th></tr>
{% for name, paper, run in setting %}<tr><td>{{ name }}</td><td>{{ paper }}</td><td>{{ run }}</td></tr>
{% endfor %}</table></div>{% endif %}
{% for entry in entries %}<section id="{{ entry.figure.name }}"><div>
{% if entry.picture %}<img alt="{{ entry.figure.title }}. {{ entry.headline }}" src="data:image/png;base64,{{ entry.image }}">
{% else %}<div class="missing">Not measured: {{ entry.lacking }}.</div>{% endif %}
{% if entry.caption.split() | length > words %}<p class="caption">{{ entry.caption }}</p>{% endif %}</div>
<div><h2>{{ entry.figure.title }}</h2><p>{{ entry.figure.question }}</p>
<p><b style="color: {{ colours[entry.verdict] }}">{{ entry.verdict }}</b> {{ entry.headline }}</p>
{% if entry.figure.paper %}<p class="paper">{{ entry.figure.source or "The paper" }}: {{ entry.figure.paper }}</p>{% endif %}
<ul>{% for words in entry.sentences %}<li>{{ words }}</li>{% endfor %}{% for words in entry.notes %}<li>{{ words }}</li>{% endfor %}</ul>
</div></section>
{% endfor %}</body></html>
"""


def document(page: Paper, made: Sequence[DrawnFigure], results: Results) -> str:
    """One HTML file that needs no other."""
    told = setting(results) if page.setting else {}
    rows = [(name, words, told.get(name, "not known")) for name, words in page.setting.items()]
    template = Environment(autoescape=True, undefined=StrictUndefined).from_string(PAGE)
    return template.render(
        page=page,
        entries=made,
        sweep=results.sweep,
        missing=results.missing,
        colours=COLOURS,
        setting=rows,
        words=WORDS,
    )


def _sizes(trial: Trial) -> str:
    kind = families.data.tag_of(type(trial.data))
    if trial.described:
        return kind
    targets = f"{trial.data.classes} classes" if trial.data.targets == "classes" else "real targets"
    return f"{kind} ({' x '.join(map(str, trial.data.input_shape))} inputs, {targets})"


def _share(prune: Prune) -> str:
    """What a round removes."""
    if prune.fraction is not None:
        return f"{100 * prune.fraction:.3g} %"
    if prune.remove is not None:
        return f"{prune.remove:,} {'weight' if prune.remove == 1 else 'weights'}"
    return "to given densities" if prune.densities is not None else "to given numbers of weights"


def setting(results: Results) -> dict[str, str]:
    """Data, network, training and pruning of the trials in words, each once."""
    listed: dict[str, dict[str, None]] = {name: {} for name in ("data", "network", "training", "pruning", "rewound to")}
    for trial in results.trials.values():
        prune = trial.prune
        of_trial = {
            "data": _sizes(trial),
            # Of a plugin's network a results folder tells the name, but not the layers.
            "network": families.nets.tag_of(type(trial.net)) if trial.described else trial.net.words(trial.kernels),
            "training": trial.train.words(),
            "pruning": f"{_share(prune)} a round, per {prune.scope}",
            "rewound to": f"time {prune.rewind_step:g}"
            if isinstance(trial.train, GradientFlow)
            else f"after {prune.rewind_step:,} updates",
        }
        for name, words in of_trial.items():
            listed[name][words] = None
    few = {name: [*words][:3] + [f"{len(words) - 3} more"] * (len(words) > 3) for name, words in listed.items()}
    return {name: "; ".join(words) for name, words in few.items()} | {
        "rounds": str(results.lineages["last"].max()),
        "seeds": str(results.lineages["seed"].n_unique()),
    }
