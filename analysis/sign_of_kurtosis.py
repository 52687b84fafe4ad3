"""Which sign of the inputs' excess kurtosis makes IMP find local fields: clustering, width, IPR and preactivation kurtosis
of imp, oneshot and random against the exact excess kurtosis of the inputs.  Redman et al. (2025) against Lufkin et al. (2024).

Columns: pointwise stimuli (nlgp, kur, ising), elliptical ones, and images with their Gaussian clone. The first two have the same
covariance if the sweep says `covariance: matched`; images are compared among themselves, by measured kurtosis. Infinite excess
kurtosis is drawn beyond the broken right end. Reads the tables `rounds` and `trials` of any sweep over such data;
sign_of_kurtosis and sign_of_kurtosis_committee are meant.

The verdict goes by clustering, which needs no fit: per seed, imp on a stimulus minus imp on the Gaussian stimulus of its
column (images: the clone). A stimulus counts as more (less) local where at least 9 in 10 of at least 5 seeds say so, a
side as `yes` if all its stimuli do, `in part` if some do. What would count against Lufkin et al.: no stimulus of negative
excess kurtosis more local than the Gaussian; or kur of positive excess kurtosis, or elliptical inputs, more local too; or imp
more local than random on Gaussian inputs already (then locality needs no non-Gaussianity). Against Redman et al.: kur
of positive excess kurtosis not more local although photographs are (then it is something else in photographs), or
neither; and, against preactivation kurtosis as the sign of it: elliptical inputs that raise it and are no more local.
Masks of smooth weights cluster too, wherever they are, and correlated inputs make weights smooth: more clustered than
random is less than having one place.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import common
import numpy as np
import polars as pl
from common import CLUSTERING, KURTOSIS, KURTOSIS_END, WIDTH, Measure
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator
from pydantic import ValidationError
from scipy.stats import rankdata

from impray.results.store import Place
from impray.spec.data import DataSpec, Elliptical, Ising, Kur, Nlgp, Stimulus
from impray.spec.errors import DataError
from impray.spec.trial import Trial
from impray.theory import stimuli

QUESTION = "Which sign of the inputs' excess kurtosis makes IMP find local receptive fields?"
IPR = Measure("ipr", ("ipr_mean",), "IPR of weights\nafter training", "", "higher", "more concentrated")
IPR_MASK = Measure("ipr_mask", ("ipr_mask_mean",), "IPR of masks\n(1 / inputs left)", "", "higher", "more concentrated")
DRAWN = (CLUSTERING, WIDTH, IPR, IPR_MASK, KURTOSIS, KURTOSIS_END)
POINTWISE, ELLIPTICAL, IMAGES = "pointwise", "elliptical", "images"
TITLES = {POINTWISE: "NLGP and Kur", ELLIPTICAL: "elliptical", IMAGES: "photographs and their clone"}
MARKERS = {"nlgp": "o", "kur": "^", "ising": "v", "elliptical": "D"}
GAUSSIAN = 0.01  # an excess kurtosis below this counts as none
SMOOTH = (
    "More clustered than random is less than having one place: masks of smooth weights cluster too, wherever they are."
)
FEWEST = 5  # seeds: four that agree do so by chance in one case of eight


# --- table -----------------------------------------------------------------------------------------------------------


def table(
    rows: pl.LazyFrame, data: Mapping[str, DataSpec], axes: Sequence[str], round: int | None = None
) -> pl.DataFrame:
    """The tidy table (see `common`) with a stimulus's name as `x`; all stimuli at the same round.

    Adds `family`, `kind`, `excess` (the inputs' excess kurtosis: exact, of images measured), `matched` (whether all stimuli
    have the same covariance), and `sem`, the standard error of `mean`.

    Args:    data: of every trial.
    Raises:  DataError: nothing measured, or a trial is not in `data`.
    """
    frame = rows.collect()
    unknown = sorted(set(frame["trial"]) - set(data))
    if unknown:
        raise DataError(f"{len(unknown)} trials are described nowhere; {common.NO_SWEEP}")
    names = _names({trial: data[trial] for trial in frame["trial"].unique(maintain_order=True)})
    frame = frame.with_columns(pl.col("trial").replace_strict(names, return_dtype=pl.String).alias("data"))
    further = [axis for axis in axes if axis != "data" and not axis.startswith("data.")]
    round = _usual_round(frame) if round is None else round
    found = common.tidy(frame.lazy(), ["data", *further], [(measure,) for measure in DRAWN], round=round, facets=0)
    of = _of_stimuli(frame, data)
    value = pl.col("value")
    sem = (value.std() / value.count().sqrt()).over(common.GROUP)
    matched = _matched([data[trial] for trial in names])
    return (
        found.join(of, on="x", how="left", maintain_order="left")
        .with_columns(pl.col("excess").alias("at"), sem.alias("sem"), pl.lit(matched).alias("matched"))
        .sort("family", "at", "x", "measure", "method", "seed", "lineage")
    )


def _usual_round(frame: pl.DataFrame) -> int | None:
    """The round that most trials have reached, the later one if as many: stimuli are compared at one round only."""
    alive = frame.group_by("trial", "lineage").agg(pl.col("round").max(), (pl.col("status") == "diverged").any())
    slowest = alive.filter(~pl.col("status")).group_by("trial").agg(pl.col("round").min())
    counts = slowest.group_by("round").len().sort("len", "round", descending=True)
    return None if counts.is_empty() else counts["round"][0]


def _names(data: Mapping[str, DataSpec]) -> dict[str, str]:
    """Trial -> its stimulus in words; two different ones never share a name."""
    found: dict[str, str] = {}
    owners: dict[str, DataSpec] = {}
    for trial, spec in data.items():
        name = stimulus(spec)
        if owners.setdefault(name, spec) != spec:
            name = f"{name} {spec.model_dump_json(exclude_defaults=True)}"
        found[trial] = name
    return found


def stimulus(spec: DataSpec) -> str:
    """NLGP(0.01), Kur(5), t(6), shell, photographs, clone."""
    blend = getattr(spec, "gaussian_blend", 0)
    if family(spec) == IMAGES:
        kind = getattr(spec, "kind", "images")
        return kind if not blend else f"{kind}, clone" if blend == 1 else f"{kind}, blend {blend:g}"
    if isinstance(spec, Elliptical):
        name = f"t({spec.degrees_of_freedom:g})" if spec.radius == "student_t" else spec.radius
    elif isinstance(spec, Nlgp):
        name = f"NLGP({spec.gain:g})"
    else:
        name = f"Kur({spec.k:g})" if isinstance(spec, Kur) else type(spec).__name__
    return f"{name}, blend {blend:g}" if blend else name


def family(spec: DataSpec) -> str:
    if isinstance(spec, (Nlgp, Kur, Ising)):
        return POINTWISE
    return ELLIPTICAL if isinstance(spec, Elliptical) else IMAGES


def _of_stimuli(frame: pl.DataFrame, data: Mapping[str, DataSpec]) -> pl.DataFrame:
    """x, family, kind and excess kurtosis of every stimulus."""
    rows = []
    for name, part in frame.group_by("data", maintain_order=True):
        spec = data[part["trial"][0]]
        kind = str(getattr(spec, "kind", ""))
        rows.append((name[0], family(spec), kind, _excess(spec, part)))
    return pl.DataFrame(rows, ["x", "family", "kind", "excess"], orient="row").cast({"excess": pl.Float64})


def _excess(spec: DataSpec, part: pl.DataFrame) -> float:
    """Exact where there is a theory, else as measured; NaN if it was not."""
    if isinstance(spec, Stimulus) and stimuli.is_known(spec):
        return stimuli.theory_moments(spec, 0).excess_kurtosis
    if "input_kurtosis" not in part.columns:
        return math.nan
    measured = part["input_kurtosis"].cast(pl.Float64).drop_nulls().drop_nans()
    return float(np.mean(measured.to_numpy())) - 3 if len(measured) else math.nan


def _matched(specs: Sequence[DataSpec]) -> bool:
    """Whether the covariances of all stimuli but images are the same, class by class."""
    of = [spec for spec in specs if isinstance(spec, Stimulus) and stimuli.is_known(spec)]
    if len({(spec.classes, spec.shape) for spec in of}) > 1:
        return False
    return all(
        np.allclose(stimuli.covariance(spec, label), stimuli.covariance(of[0], label), atol=1e-3)
        for spec in of
        for label in range(spec.classes)
    )


# --- figure ----------------------------------------------------------------------------------------------------------


def draw(table: pl.DataFrame) -> Figure:
    """Rows: measures; columns: families; along x the inputs' excess kurtosis."""
    measures = [measure for measure in DRAWN if measure.name in table["measure"]]
    families = [name for name in TITLES if name in table["family"]]
    figure = common.blank(max(7.5, 3.2 * len(families) + 1.8), 1.65 * len(measures) + 3.4)
    grid = figure.subplots(len(measures), len(families), sharex="col", squeeze=False)
    handles: dict[str, Artist] = {}
    for measure, line in zip(measures, grid, strict=True):
        for name, axes in zip(families, line, strict=True):
            common.plain(axes)
            handles |= _panel(axes, common.part(table, measure=measure.name, family=name), measure)
            _gaussian(axes, table, measure, name)
        _same_scale(families, line)
        if measure in (KURTOSIS, KURTOSIS_END):
            _plain_logarithm(line)
        line[0].set_ylabel(measure.label, fontsize=8)
        if IMAGES in families and measure is measures[0]:
            _name_images(line[families.index(IMAGES)], common.part(table, measure=measure.name, family=IMAGES))
    for name, axes in zip(families, grid[0], strict=True):
        axes.set_title(TITLES[name], fontsize=9)
    for name, axes in zip(families, grid[-1], strict=True):
        _kurtosis_axis(axes, common.part(table, family=name))
        axes.set_xlabel(
            "excess kurtosis of inputs" + ("\n(measured, all classes together)" if name == IMAGES else ""), fontsize=9
        )
    return common.finish(
        figure,
        QUESTION,
        [*headline(table), _caption(table)],
        {name: handles[name] for name in sorted(handles, key=MARKERS.__contains__)},
    )


def _panel(axes: Axes, table: pl.DataFrame, measure: Measure) -> dict[str, Artist]:
    if measure.reference is not None:
        axes.axhline(measure.reference, color="0.55", linewidth=0.8, linestyle=":")
    if measure in (KURTOSIS, KURTOSIS_END):
        axes.set_yscale("log")
    handles: dict[str, Artist] = {}
    places = _places(table)
    for method in common.in_order(table, "method"):
        for kind in common.in_order(table, "kind"):
            line = common.part(table, method=method, kind=kind, status="done").unique("x").sort("at", "x")
            at = [places[x] for x in line["x"]]
            look = common.look(method) | {"marker": MARKERS.get(kind, "o"), "linewidth": 1.2}
            axes.errorbar(at, line["mean"], yerr=line["sem"].fill_null(0), capsize=2, elinewidth=1.0, **look)
            handles[method] = Line2D([], [], color=look["color"], linewidth=2)
            if kind in ("nlgp", "kur", "ising"):
                handles[kind] = Line2D([], [], color="0.4", marker=MARKERS[kind], markersize=5, linewidth=0)
    return handles


def _gaussian(axes: Axes, table: pl.DataFrame, measure: Measure, name: str) -> None:
    """imp's mean on the stimulus that the family is compared with, as a thin line."""
    x = reference(table, name)
    line = common.part(table, measure=measure.name, method="imp", status="done").filter(pl.col("x") == (x or ""))
    if len(line):
        axes.axhline(line["mean"][0], color=common.look("imp")["color"], linewidth=0.7, linestyle="--", alpha=0.6)


def _name_images(axes: Axes, table: pl.DataFrame) -> None:
    """Above each place its blend: 0 are the images as they are, 1 is their clone."""
    places = table.select("excess", "x").unique().drop_nans().sort("excess", "x")
    above = axes.secondary_xaxis("top")
    words = [x.split(", ")[-1].removeprefix("blend ") if ", " in x else "as they\nare" for x in places["x"]]
    above.set_xticks(places["excess"].to_list(), words)
    above.tick_params(labelsize=7, length=2)


def _same_scale(families: Sequence[str], line: Sequence[Axes]) -> None:
    """Stimuli of one covariance share the scale of y; images have their own."""
    shared = [axes for name, axes in zip(families, line, strict=True) if name != IMAGES]
    limits = [axes.get_ylim() for axes in shared]
    for axes in shared:
        axes.set_ylim(min(low for low, _ in limits), max(high for _, high in limits))


def _plain_logarithm(line: Sequence[Axes]) -> None:
    """Kurtosis in plain numbers, closer together where its range is small."""
    for axes in line:
        low, high = axes.get_ylim()
        ticks = [2, 3, 5, 10, 20, 50, 100, 200, 500] if high > 4 * low else [2, 2.5, 3, 3.5, 4, 5, 6, 8, 10, 15]
        axes.yaxis.set_major_locator(FixedLocator(ticks))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _places(table: pl.DataFrame) -> dict[str, float]:
    """Stimulus -> where it is drawn: its excess kurtosis, an infinite one beyond the largest finite one."""
    of = table.select("x", "excess").unique().sort("excess", "x")
    end = infinity(of["excess"].to_list())
    return {x: end if math.isinf(excess) else excess for x, excess in of.iter_rows()}


def infinity(excess: Sequence[float]) -> float:
    """Where an infinite excess kurtosis is drawn."""
    return 3 * max([4.0, *(value for value in excess if math.isfinite(value))])


LINEAR = 2.0  # excess kurtosis is drawn linearly from -LINEAR to LINEAR, beyond it as its logarithm


def _kurtosis_axis(axes: Axes, table: pl.DataFrame) -> None:
    """Linear around 0, then logarithmic; a broken end for infinite values. Of images: linear, with both ends named."""
    if table["family"][0] == IMAGES:
        axes.xaxis.set_major_locator(MaxNLocator(4))
        return
    places, excess = _places(table), table["excess"].unique().to_list()
    axes.set_xscale("symlog", linthresh=LINEAR, linscale=1.0)
    finite = [value for value in excess if math.isfinite(value)]
    ticks = [tick for tick in (-2, -1, 0, 1, 2, 5, 10, 20, 50, 100) if tick <= 1.1 * max([1.0, *finite])]
    labels = [f"{tick:g}" for tick in ticks]
    low, high = min([-0.3, *finite]) - 0.2, 1.15 * max([1.0, *places.values()])
    if any(math.isinf(value) for value in excess):
        end = infinity(excess)
        ticks, labels, high = [*ticks, end], [*labels, "inf"], 1.4 * end
        middle = math.sqrt(end * max([LINEAR, *finite]))
        for panel in axes.get_figure().axes:  # type: ignore[union-attr]
            if axes.get_shared_x_axes().joined(axes, panel):
                panel.axvspan(middle, high, color="0.94", linewidth=0, zorder=0)
        mark = {"marker": [(-1, -1.5), (1, 1.5)], "markersize": 8, "color": "0.2", "linewidth": 0, "clip_on": False}
        axes.plot([middle * 0.97, middle * 1.06], [0, 0], transform=axes.get_xaxis_transform(), **mark)
    axes.set_xlim(low, high)
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticklabels(labels)


# --- findings --------------------------------------------------------------------------------------------------------


YES, IN_PART, NO, LESS, OPEN = "yes", "in part", "no", "no, less", "cannot be told"
NEGATIVE, POSITIVE = "negative", "positive"
SIDES = {
    NEGATIVE: "negative excess kurtosis (nlgp, kur)",
    POSITIVE: "positive excess kurtosis (kur)",
    ELLIPTICAL: "elliptical inputs",
    IMAGES: "photographs",
}


@dataclass(frozen=True)
class Change:
    """A method on one stimulus against another stimulus or method, seed by seed; `mean` is left minus right."""

    name: str
    excess: float
    seeds: int
    more: int
    less: int
    mean: float
    sem: float

    @property
    def word(self) -> str:
        """`more` or `less` local in nearly all seeds, else `unclear`; `open` with too few seeds."""
        if self.seeds < FEWEST:
            return "open"
        enough = needed(self.seeds)
        return "more" if self.more >= enough else "less" if self.less >= enough else "unclear"

    @property
    def numbers(self) -> str:
        error = f" +- {self.sem:.2g}" if self.seeds > 1 else ""
        return f"{self.more}/{self.seeds}, {self.mean:+.3g}{error}"


def needed(seeds: int) -> int:
    """Nine in ten, rounded up."""
    return -(-9 * seeds // 10)


def by_chance(seeds: int) -> float:
    """Probability that at least `needed` of the seeds have a given sign if both are as likely."""
    return sum(math.comb(seeds, n) for n in range(needed(seeds), seeds + 1)) / 2**seeds


def between(left: pl.DataFrame, right: pl.DataFrame, measure: Measure, name: str, excess: float) -> Change | None:
    """Two parts of a tidy table at the same round (1 or later: before it all masks are the same), by seed."""
    sides = [
        side.filter(pl.col("value").is_not_null() & (pl.col("round") >= 1))
        .group_by("seed", "round")
        .agg(pl.col("value").mean())
        for side in (left, right)
    ]
    both = sides[0].join(sides[1], on=["seed", "round"], suffix="_right")
    if both.is_empty():
        return None
    gaps = (both["value"] - both["value_right"]).to_numpy()
    higher, lower = int((gaps > 0).sum()), int((gaps < 0).sum())
    more, less = (lower, higher) if measure.better == "lower" else (higher, lower)
    sem = float(gaps.std(ddof=1) / math.sqrt(len(gaps))) if len(gaps) > 1 else math.nan
    return Change(name, excess, len(gaps), more, less, float(gaps.mean()), sem)


def reference(table: pl.DataFrame, name: str) -> str | None:
    """The Gaussian stimulus that a family is compared with: a pointwise one without excess kurtosis; the images' clone."""
    if name == IMAGES:
        of = common.part(table, family=IMAGES).filter(pl.col("x").str.ends_with(", clone"))
        return of["x"][0] if len(of) else None
    of = common.part(table, family=POINTWISE).filter(pl.col("excess").abs() < GAUSSIAN)
    of = of.sort(pl.col("excess").abs(), "x")
    return of["x"][0] if len(of) else None


def changes(table: pl.DataFrame, measure: Measure, method: str, side: str) -> list[Change]:
    """A method on every stimulus of a side against the same method on its Gaussian stimulus, where both share seeds."""
    of = common.part(table, measure=measure.name, method=method)
    name = POINTWISE if side in (NEGATIVE, POSITIVE) else side
    gaussian = common.part(of, x=reference(table, name) or "")
    found = []
    for x, excess in stimuli_of(table, side):
        change = between(common.part(of, x=x), gaussian, measure, x, excess)
        found += [change] if change is not None else []
    return found


def stimuli_of(table: pl.DataFrame, side: str) -> list[tuple[str, float]]:
    """(stimulus, excess kurtosis) of a side, without its Gaussian one."""
    name = POINTWISE if side in (NEGATIVE, POSITIVE) else side
    of = common.part(table, family=name).select("x", "excess").unique().sort("excess", "x")
    if side == NEGATIVE:
        of = of.filter(pl.col("excess") <= -GAUSSIAN)
    if side == POSITIVE:
        of = of.filter(pl.col("excess") >= GAUSSIAN)
    return [(x, excess) for x, excess in of.iter_rows() if x != reference(table, name)]


def word(found: Sequence[Change]) -> str:
    """Of a side: whether its stimuli make imp more local than Gaussian ones."""
    words = [change.word for change in found if change.word != "open"]
    if not words:
        return OPEN
    if "more" in words:
        return YES if set(words) == {"more"} else IN_PART
    return LESS if "less" in words else NO


@dataclass(frozen=True)
class Findings:
    """sides: side -> one of YES to OPEN; on_gaussian: imp against random on the Gaussian stimulus (see `Change.word`)."""

    sides: Mapping[str, str]
    on_gaussian: str

    @property
    def answer(self) -> str:
        """Of the question, in words."""
        negative, positive = (self.sides[side] in (YES, IN_PART) for side in (NEGATIVE, POSITIVE))
        if OPEN in (self.sides[NEGATIVE], self.sides[POSITIVE]):
            return (
                "Unanswered: "
                + " and ".join(SIDES[s] for s in (NEGATIVE, POSITIVE) if self.sides[s] == OPEN)
                + (" cannot be compared with a Gaussian stimulus")
            )
        if negative and positive and self.sides[NEGATIVE] != self.sides[POSITIVE]:
            all_of, some_of = (NEGATIVE, POSITIVE) if self.sides[NEGATIVE] == YES else (POSITIVE, NEGATIVE)
            return (
                f"{all_of.capitalize()} at every stimulus, {some_of} at some: excess kurtosis of either sign can make imp "
                "more local than Gaussian inputs do"
            )
        if negative and positive:
            return "Both signs: not the sign but being non-Gaussian makes imp more local than Gaussian inputs do"
        for side, holds in ((NEGATIVE, negative), (POSITIVE, positive)):
            if holds:
                some = "" if self.sides[side] == YES else ", and not at every stimulus,"
                return f"{side.capitalize()}: only {side} excess kurtosis{some} makes imp more local than Gaussian inputs do"
        return "Neither: no sign of excess kurtosis makes imp more local than Gaussian inputs do"

    @property
    def modulation(self) -> str:
        """What imp does on the Gaussian stimulus itself."""
        if self.on_gaussian == "open":
            return "Whether Gaussian inputs alone give local masks cannot be told"
        if self.on_gaussian != "more":
            return (
                "On Gaussian inputs imp is not clearly more local than random masks: locality needs non-Gaussian inputs"
            )
        signs = [self.sides[side] for side in (NEGATIVE, POSITIVE)]
        said = "imp beats random masks on Gaussian inputs too: locality needs no non-Gaussianity"
        if all(sign in (NO, OPEN) for sign in signs):
            return said
        if OPEN in signs:
            side = NEGATIVE if signs[1] == OPEN else POSITIVE
            return f"{said}; {side} excess kurtosis modulates it"
        adds = all(sign in (YES, IN_PART) for sign in signs)
        return f"{said}; {'either sign adds to it' if adds else 'its sign modulates it'}"


def findings(table: pl.DataFrame, measure: Measure = CLUSTERING, method: str = "imp") -> Findings:
    sides = {side: word(changes(table, measure, method, side)) for side in SIDES}
    chance = against_random(table, measure, reference(table, POINTWISE), method)
    return Findings(sides, "open" if chance is None else chance.word)


def against_random(table: pl.DataFrame, measure: Measure, x: str | None, method: str = "imp") -> Change | None:
    of = common.part(table, measure=measure.name, x=x or "")
    return between(common.part(of, method=method), common.part(of, method="random"), measure, x or "", math.nan)


def lufkin(found: Findings) -> str:
    """Whether local fields come with negative excess kurtosis only, and not with elliptical inputs."""
    says = "Lufkin et al. (2024) predict local fields for negative excess kurtosis only, none for elliptical inputs:"
    negative = found.sides[NEGATIVE]
    if negative == OPEN:
        return f"{says} cannot be told."
    if negative in (NO, LESS):
        than = "less local" if negative == LESS else "no more local"
        return f"{says} not here: with negative excess kurtosis imp is {than} than on Gaussian inputs."
    too = {POSITIVE: "so does positive", ELLIPTICAL: "so do elliptical inputs"}
    against = [f"{words} ({found.sides[side]})" for side, words in too.items() if found.sides[side] in (YES, IN_PART)]
    if found.on_gaussian == "more":
        against.append("Gaussian inputs give local masks already")
    unknown = [SIDES[side] for side in too if found.sides[side] == OPEN]
    unknown += ["imp against random on Gaussian inputs"] if found.on_gaussian == "open" else []
    open_ = f"; not known: {', '.join(unknown)}" if unknown else ""
    first = "negative excess kurtosis makes imp more local" + (" at some stimuli only" if negative == IN_PART else "")
    if against:
        return f"{says} in part: {first}, but {', and '.join(against)}{open_}."
    if negative == IN_PART or unknown:
        return (
            f"{says} {'in part' if negative == IN_PART else 'as far as tested'}: {first}, and nothing else does{open_}."
        )
    return f"{says} holds: {first}, and nothing else does."


def redman(found: Findings) -> str:
    """Whether local fields come with positive excess kurtosis, of photographs and of kur."""
    says = "Redman et al. (2025) see local fields where excess kurtosis is positive:"
    positive, images = found.sides[POSITIVE], found.sides[IMAGES]
    seen = {YES: "more local than on their clone", IN_PART: "at some blends more local than on their clone"}
    on_images = f"on photographs imp is {seen.get(images, 'not more local than on their clone')}"
    if images == OPEN:
        on_images = "photographs cannot be told"
    if positive == OPEN:
        return f"{says} cannot be told of kur; {on_images}."
    if positive in (YES, IN_PART):
        also = "; but so it is with negative" if found.sides[NEGATIVE] in (YES, IN_PART) else ""
        holds = positive == YES and images in (YES, OPEN)
        verdict = ("holds" if images == YES else "as far as tested") if holds else "in part"
        some = "" if positive == YES else "at some stimuli only "
        return f"{says} {verdict}: with positive excess kurtosis (kur) imp is {some}more local, {on_images}{also}."
    than = "less" if positive == LESS else "no more"
    if images in (YES, IN_PART):
        alone = f"positive excess kurtosis alone (kur) makes it {than} local, so a positive sign is not why"
        return f"{says} in part: {on_images}, but {alone}."
    return f"{says} not here: positive excess kurtosis (kur) makes imp {than} local, and {on_images}."


# --- proxy and rank correlation ---


def ranked(
    table: pl.DataFrame, families: Sequence[str], by: Measure | None, measure: Measure, method: str
) -> tuple[float, list[float], int] | None:
    """Rank correlation over stimuli of excess kurtosis (or of the measure `by`) with a measure: of the means, and per seed.

    Returns: correlation of means, correlations of single seeds (those that have every stimulus), number of stimuli; None with
    fewer than four stimuli.
    """
    of = table.filter(pl.col("family").is_in(list(families)), pl.col("method") == method, pl.col("value").is_not_null())
    y = common.part(of, measure=measure.name).filter(pl.col("round") >= 1)
    y = y.select("x", "seed", "value", pl.col("excess").alias("other"))
    if by is not None:
        other = common.part(of, measure=by.name).select("x", "seed", pl.col("value").alias("other"))
        y = y.drop("other").join(other, on=["x", "seed"])
    y = y.filter(pl.col("other").is_not_nan()).group_by("x", "seed").agg(pl.col("value", "other").mean())
    means = y.group_by("x").agg(pl.col("value", "other").mean())
    if len(means) < 4:
        return None
    seeds = [part for _, part in y.group_by("seed", maintain_order=True) if len(part) == len(means)]
    each = [spearman(part["other"].to_numpy(), part["value"].to_numpy()) for part in seeds]
    return spearman(means["other"].to_numpy(), means["value"].to_numpy()), each, len(means)


def spearman(x: np.ndarray, y: np.ndarray) -> float:
    """Of ranks, ties at their mean; infinite values are the largest. NaN if one side is constant."""
    one, other = rankdata(x), rankdata(y)
    if one.std() == 0 or other.std() == 0:
        return math.nan
    return float(np.corrcoef(one, other)[0, 1])


def proxy(table: pl.DataFrame) -> str:
    """Whether stimuli with a higher preactivation kurtosis than the Gaussian's are those where imp is more local."""
    measure = next((each for each in (KURTOSIS, KURTOSIS_END) if each.name in table["measure"]), None)
    known = [] if measure is None else _high_and_more(table, measure)
    if not known:
        return "Preactivation kurtosis as a proxy: cannot be told."
    high = {name: more for name, is_high, more in known if is_high == "more"}
    low = {name: more for name, is_high, more in known if is_high == "less"}
    kept, broken = [name for name, is_more in high.items() if is_more], [name for name in high if not high[name]]
    without = [name for name, is_more in low.items() if is_more]
    verdict = "good" if kept and not broken and not without else "not a good one" if not kept else "in part"
    if not high:
        verdict = "cannot be told (no stimulus raises it)" if not without else "not a good one"
    said = f"Preactivation kurtosis as a proxy of locality between stimuli: {verdict}."
    if high:
        said += f" Where it is above the Gaussian's, imp is more local at {len(kept)} of {len(high)} stimuli"
        said += f" (not at {', '.join(broken)})." if broken else "."
    if low:
        said += f" Where it is below, imp is more local at {len(without)} of {len(low)}"
        said += f" ({', '.join(without)})." if without else "."
    return said


def _high_and_more(table: pl.DataFrame, kurtosis: Measure) -> list[tuple[str, str, bool]]:
    """Stimulus, whether its preactivation kurtosis is `more` or `less` than the Gaussian's, whether imp is more local."""
    found = []
    for side in (NEGATIVE, POSITIVE, ELLIPTICAL):
        local = {change.name: change.word for change in changes(table, CLUSTERING, "imp", side)}
        for change in changes(table, kurtosis, "imp", side):
            if change.word != "open" and local.get(change.name, "open") != "open":
                found.append((change.name, change.word, local[change.name] == "more"))
    return found


# --- text ------------------------------------------------------------------------------------------------------------


def headline(table: pl.DataFrame) -> list[str]:
    """The verdict, what it follows from, and what it says of both papers."""
    found = findings(table)
    said = [f"{found.answer}. {found.modulation}{_beside_random(table)}."]
    said[0] += _rank(table)
    said += [" ".join(f"{SIDES[side].capitalize()}: {_side(table, side)}." for side in SIDES if _asked(table, side))]
    said += [f"{lufkin(found)} {redman(found)}{_pixels(table)}"]
    return said


def _pixels(table: pl.DataFrame) -> str:
    """Whether the photographs' own excess kurtosis is positive, beside their preactivations'."""
    of = common.part(table, family=IMAGES).filter(~pl.col("x").str.contains(", ") & pl.col("excess").is_not_nan())
    if of.is_empty():
        return ""
    own = of["excess"][0]
    clone = common.part(table, x=reference(table, IMAGES) or "")
    beside = f", their clone's {clone['excess'][0]:.2g}" if len(clone) else ""
    sign = "positive" if own > 0 else "not positive"
    said = f" The photographs' own excess kurtosis, all classes together, is {sign} ({own:.2g}{beside})"
    inside = common.part(of, measure=KURTOSIS.name, method="imp", status="done")
    if len(inside):
        said += f"; imp's preactivations on them have a kurtosis of {inside['mean'][0]:.3g}"
    return f"{said}."


def _rank(table: pl.DataFrame) -> str:
    """How imp's clustering goes with excess kurtosis over all pointwise stimuli."""
    known = ranked(table, (POINTWISE,), None, CLUSTERING, "imp") if CLUSTERING.name in table["measure"] else None
    if known is None or math.isnan(known[0]):
        return ""
    of_means, each, count = known
    same = sum(value * of_means > 0 for value in each)
    return (
        f" Over {count} nlgp and kur stimuli, excess kurtosis and imp's clustering have a rank correlation of "
        f"{of_means:+.2f} (of this sign in {same} of {len(each)} seeds)."
    )


def _asked(table: pl.DataFrame, side: str) -> bool:
    return bool(stimuli_of(table, side))


def _side(table: pl.DataFrame, side: str) -> str:
    found = changes(table, CLUSTERING, "imp", side)
    verdict = word(found)
    if verdict == OPEN:
        return f"{OPEN} ({_why_open(table, side)})"
    known = [change for change in found if change.word != "open"]
    names = {each: [change.name for change in known if change.word == each] for each in ("more", "less")}
    listed = [f"{each} clustered at {len(of)}{_few(of, len(known))}" for each, of in names.items()]
    means = [change.mean for change in known]
    return (
        f"{verdict}: {', '.join(listed)} of {len(known)} stimuli (mean changes {min(means):+.2g} to {max(means):+.2g})"
    )


def _few(names: Sequence[str], of: int) -> str:
    return f" ({'; '.join(names)})" if 0 < len(names) < of else ""


def _why_open(table: pl.DataFrame, side: str) -> str:
    if CLUSTERING.name not in table["measure"]:
        return "clustering was not measured"
    if reference(table, IMAGES if side == IMAGES else POINTWISE) is None:
        return "no Gaussian stimulus"
    found = changes(table, CLUSTERING, "imp", side)
    if not found:
        return "no seed in common with the Gaussian stimulus at a round with masks"
    return f"too few seeds: {max(change.seeds for change in found)}, {FEWEST} are needed"


def _beside_random(table: pl.DataFrame) -> str:
    change = against_random(table, CLUSTERING, reference(table, POINTWISE))
    return (
        f" (clustering above random's in {change.more} of {change.seeds} seeds, {change.mean:+.3g})" if change else ""
    )


def text(table: pl.DataFrame) -> str:
    """The verdict, the same by other measures and for oneshot, rank correlations, every stimulus in numbers, the caption."""
    found = [
        QUESTION,
        *headline(table),
        proxy(table),
        "",
        _chances(table),
        SMOOTH,
        "",
        "By other measures and methods:",
    ]
    found += [f"  {sentence}" for sentence in _others(table)]
    found += ["", "Rank correlations over stimuli (inf is the largest):"]
    found += [f"  {sentence}" for sentence in _correlations(table)]
    for name in (each for each in TITLES if each in table["family"]):
        found += ["", *_numbers(table, name)]
    return "\n".join([*found, "", _caption(table), ""])


def _chances(table: pl.DataFrame) -> str:
    """How many comparisons there are and how many would come out by chance."""
    of = [change for side in SIDES for change in changes(table, CLUSTERING, "imp", side) if change.word != "open"]
    if not of:
        return "No stimulus could be compared with a Gaussian one."
    most = max(change.seeds for change in of)
    chance = sum(by_chance(change.seeds) for change in of)
    agree = sum(change.word != "unclear" for change in of)
    return (
        f"{len(of)} stimuli are compared with their Gaussian one, by {most} seeds at most. At least {needed(most)} of {most} seeds "
        f"have a given sign by chance in {100 * by_chance(most):.2g} % of comparisons: {chance:.2g} `more` and {chance:.2g} `less` "
        f"would be expected of {len(of)}, {agree} are one or the other. All comparisons of a column share the seeds and the "
        "Gaussian stimulus, so they are not independent: an unlucky Gaussian would move all of them."
    )


def _others(table: pl.DataFrame) -> list[str]:
    found = []
    for measure, method in [(m, method) for method in ("imp", "oneshot") for m in (CLUSTERING, WIDTH, IPR, IPR_MASK)]:
        if (measure, method) == (CLUSTERING, "imp") or measure.name not in table["measure"]:
            continue
        words = {side: word(changes(table, measure, method, side)) for side in SIDES if _asked(table, side)}
        chance = against_random(table, measure, reference(table, POINTWISE), method)
        beside = f"; on the Gaussian than random in {chance.more} of {chance.seeds}" if chance else ""
        listed = "; ".join(f"{side} {said}" for side, said in words.items())
        found.append(f"{method} is {measure.comparative} ({measure.name}) than on the Gaussian: {listed}{beside}.")
    return found


def _correlations(table: pl.DataFrame) -> list[str]:
    found = []
    of = (("nlgp and kur", (POINTWISE,)), ("elliptical", (ELLIPTICAL,)), ("both", (POINTWISE, ELLIPTICAL)))
    for name, families in of:
        for measure, by, method in _asked_correlations(table):
            known = ranked(table, families, by, measure, method)
            if known is None:
                continue
            of_means, each, count = known
            same = sum(value * of_means > 0 for value in each)
            what = "excess kurtosis" if by is None else "preactivation kurtosis"
            seeds = f", of this sign in {same} of {len(each)} seeds" if each else ""
            found.append(f"{name}, {method}: {what} with {measure.name} {of_means:+.2f} over {count} stimuli{seeds}.")
    return found or ["fewer than four stimuli."]


def _asked_correlations(table: pl.DataFrame) -> list[tuple[Measure, Measure | None, str]]:
    known = set(table["measure"])
    methods = [method for method in ("imp", "oneshot") if method in table["method"]]
    measures = [measure for measure in (CLUSTERING, WIDTH) if measure.name in known]
    found: list[tuple[Measure, Measure | None, str]] = [(each, None, method) for method in methods for each in measures]
    kurtosis = next((each for each in (KURTOSIS, KURTOSIS_END) if each.name in known), None)
    if kurtosis is not None and CLUSTERING.name in known:
        found.append((CLUSTERING, kurtosis, "imp"))
    return found


def _numbers(table: pl.DataFrame, name: str) -> list[str]:
    """Every stimulus of a family: excess kurtosis, means with standard errors, and imp against its Gaussian one."""
    of = common.part(table, family=name)
    gaussian = reference(table, name)
    found = [
        f"{TITLES[name]}, mean +- standard error; change: imp against {gaussian or 'no Gaussian stimulus'}, seeds more "
        "local (kurtosis: higher):"
    ]
    for other in ("random", "oneshot"):
        of_imp = common.part(table, measure=CLUSTERING.name, x=gaussian or "")
        sides = [common.part(of_imp, method=method) for method in ("imp", other)]
        change = between(sides[0], sides[1], CLUSTERING, other, math.nan)
        found += [f"  On {gaussian} imp against {other}: {change.numbers}."] if change else []
    for x in common.in_order(of, "x"):
        part = common.part(of, x=x)
        found.append(f"  {x}, excess kurtosis {part['excess'][0]:.3g}:")
        for measure in DRAWN:
            found += _row(table, common.part(part, measure=measure.name), measure, x, gaussian)
    return found


def _row(table: pl.DataFrame, part: pl.DataFrame, measure: Measure, x: str, gaussian: str | None) -> list[str]:
    means = []
    for method in common.in_order(part, "method"):
        line = common.part(part, method=method, status="done")
        if len(line):
            error = f" +- {line['sem'][0]:.2g}" if line["sem"][0] is not None else ""
            means.append(f"{method} {line['mean'][0]:.3g}{error}")
    if not means:
        return []
    base = common.part(table, measure=measure.name, method="imp", x=gaussian or "")
    change = between(common.part(part, method="imp"), base, measure, x, math.nan) if x != gaussian else None
    return [f"    {measure.name}: {', '.join(means)}{f'; change {change.numbers}' if change else ''}."]


def _caption(table: pl.DataFrame) -> str:
    """What the marks are, and who is missing."""
    seeds = table.filter(pl.col("seeds") > 0)["seeds"].unique().sort().to_list()
    over = f"{seeds[0]}" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    clone = " (photographs: their clone)" if IMAGES in table["family"] else ""
    found = [
        f"At {common.spans(common.part(table, status='done')['round'].unique().to_list())}: mean and standard error over "
        f"{over} seed{'s' * (seeds[-1] != 1)}; dashed, imp on the Gaussian stimulus{clone}; dotted, chance or a Gaussian's 3."
    ]
    if IMAGES in table["family"]:
        found.append(
            "Photographs have another covariance, ten classes and a y scale of their own: compare them among themselves."
        )
    if not table["matched"][0]:
        found.append("The covariances of the stimuli differ: differences need not be due to kurtosis.")
    lineages = table["lineage"].n_unique()
    lost = common.part(table, status="diverged").unique("lineage").group_by("method", "x").len().sort("x", "method")
    listed = ", ".join(f"{row['len']} of {row['method']} at {row['x']}" for row in lost.iter_rows(named=True))
    where = f" ({listed}); not in the means" if listed else ""
    found.append(f"{lost['len'].sum()} of {lineages} lineages diverged{where}.")
    behind = common.part(table, status="behind").unique("lineage").sort("at", "x")
    if len(behind):
        names = ", ".join(behind["x"].unique(maintain_order=True))
        found.append(f"{len(behind)} of {lineages} lineages are short of this round (at {names}); not in the means.")
    for name in common.in_order(common.part(table, status="undefined"), "measure"):
        count = common.part(table, status="undefined", measure=name)["lineage"].n_unique()
        found.append(f"{name} is undefined for {count} of them.")
    if table["pooled"][0]:
        found.append(f"Pooled over {table['pooled'][0]}; fix one with --only AXIS=VALUE.")
    return " ".join(found)


def of_trials(trials: pl.LazyFrame) -> dict[str, DataSpec]:
    """Data of every trial.

    Raises:  DataError: a description is not one.
    """
    try:
        rows = trials.select("trial", "description").drop_nulls().collect()
        return {trial: Trial.model_validate_json(said).data for trial, said in rows.iter_rows()}
    except ValidationError as error:
        raise DataError(f"the table trials cannot be read ({str(error).splitlines()[0]})") from error


def main(folder: Place, round: int | None = None, only: Mapping[str, str] | None = None) -> None:
    """Draws a sweep's folder."""
    rows, axes = common.rows("rounds", folder, only)
    trials, _ = common.rows("trials", folder)
    found = table(rows, of_trials(trials), list(axes), round)
    common.save("sign_of_kurtosis", folder, found, draw(found), text(found))


if __name__ == "__main__":
    common.run(main, __doc__)
