"""Sweep files that are nearly right give a plan, or exit code 2 with place, value and what would be right: never a trace, never without
end, never a secret, and nothing is written."""

import random
import re
from contextlib import nullcontext
from pathlib import Path

import pytest
from calls import Calls
from cli.said import impray, there
from fuzz.mutations import SECRET, mutated
from fuzz.watched import SEED, cases, watched

from impray.service import cost

SHIPPED = sorted((Path(__file__).parent.parent.parent / "sweeps").glob("*.yaml"))
PLAN = ("--plan", "--where", "here", "--mlflow", "off")
COUNTED = 10  # one case of so many is counted
MOST_CALLS = 390_000  # of a case, on average: 183,000 of the usual ones
LONGEST_LINE = 2600  # characters: what is told, with all members of a family


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IMPRAY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(cost, "of_packs", _no_time)


def _no_time(sweep, packs, slots, *how):
    """A plan without its stop watch."""
    return cost.Cost([cost.PackSeconds()] * len(packs), slots, opening=0.0, before=0.0, after=0.0)


@pytest.mark.slow
def test_a_sweep_that_is_nearly_right_is_planned_or_refused():
    texts = [path.read_text() for path in SHIPPED]
    planned, calls = 0, Calls()
    for case in cases(500):
        rng = random.Random(f"{SEED}/{case}")
        content = mutated(rng.choice(texts), rng)
        Path("x.yaml").write_bytes(content)
        with watched(f"case {case}"), nullcontext() if case % COUNTED else calls:
            try:
                said = impray("sweep", "x.yaml", *PLAN)
            except Exception as error:
                raise AssertionError(f"case {case}: {type(error).__name__}: {error}\n{content[:3000]!r}") from error
        _answered(said, f"case {case}")
        planned += said.code == 0
    assert 0 < planned < len(cases(500))  # the mutations are neither harmless nor all fatal
    assert there() <= {"x.yaml"}
    assert calls.count < MOST_CALLS * len(cases(500)[::COUNTED])


def _answered(said, case):
    assert said.code in (0, 2) and "Traceback" not in said.err, f"{case}: {said}"
    assert SECRET not in said.out + said.err, f"{case}: {said}"
    assert said.code == 0 or told_as_it_should_be(said.err), f"{case}: {said.err}"


def told_as_it_should_be(text: str) -> bool:
    """A head that counts the problems, and a line for each of them, with its place first and what would be right last."""
    head, *lines = text.splitlines()
    counted = re.search(r": (\d+) problems?$", head)
    return (
        bool(counted)
        and bool(lines)
        and all("    " in line and len(line) < LONGEST_LINE for line in lines if not line.startswith("  and "))
    )


LONG, DIGITS = "n" * 3000, "9" * 4400
WORDS = [
    ("sweep", ""), ("sweep", LONG), ("sweep", "/dev/zero"), ("sweep", "."), ("sweep", "quickstart", "--set", ""),
    ("sweep", "quickstart", "--set", f"seeds={DIGITS}"), ("sweep", "quickstart", "--set", "seeds=[0, 9223372036854775808]"),
    ("sweep", "quickstart", "--set", f"data.path=s3://key:{SECRET}@b/x.npz"), ("sweep", "quickstart", "--set", "rounds=1000000000"),
    ("sweep", "quickstart", "--set", "train.batch=1000000000000"), ("sweep", "quickstart", "--set", "net.hidden=[1000000000]"),
    ("sweep", "quickstart", "--set", "seeds=20000"), ("sweep", "quickstart", "--set", "resources.cpu=1e-9"),
    ("sweep", "quickstart", "--set", f"question={'[' * 400}"), ("sweep", "quickstart", "--set", "data.crops=1000000000000"),
    ("sweep", "redman2025", "--set", "data.path=a\0b"), ("sweep", "ingrosso2022", "--set", "data.shape=[100000, 100000]"),
    ("sweep", "quickstart", "--set", "search.space={train.steps: [9223372036854775808]}"),
    ("sweep", "quickstart", "--out", f"s3://key:{SECRET}@b/runs"), ("sweep", "quickstart", "--out", "ftp://h/x"),
    ("sweep", "quickstart", "--mlflow", f"http://me:{SECRET}@h:1"), ("sweep", "quickstart", "--mlflow", ""),
    ("sweep", "quickstart", "--address", f"http://me:{SECRET}@h:8265"), ("sweep", "quickstart", "--address", f"me:{SECRET}@h:1"),
    ("sweep", "elesedy2020_small", "--set", "data.samples=1000000000000"), ("sweep", "quickstart", "--where", ""),
    ("status", ""), ("status", LONG), ("status", f"file://me:{SECRET}@/x"), ("top", f"s3://key:{SECRET}@b/x"),
    ("bench", "--only", ""), ("bench", "--only", "pack,,x"),
    ("data", "--samples", "1000000000000"), ("data", "--set", "data.shape=[100000, 100000]"),
    ("data", "--set", f"data.path=https://h/x?X-Amz-Signature={SECRET}"), ("data", "--seed", DIGITS), ("figures", LONG, LONG),
]  # fmt: skip


@pytest.mark.parametrize("words", WORDS, ids=lambda words: " ".join(words)[:60])
def test_a_command_that_cannot_be_meant_is_refused(words):
    plan = ("--plan",) if words[0] == "sweep" else ()
    with watched(" ".join(words)[:60], 5.0):
        said = impray(*words, *plan)
    assert said.code == 2 and "Traceback" not in said.err and SECRET not in said.out + said.err
    assert max(map(len, said.err.splitlines())) < LONGEST_LINE and LONG not in said.err
    assert there() == set()
