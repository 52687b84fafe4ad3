"""What the end of a run of tests says of scenarios: a line for each, and of each kind how many there were, hit and passed."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

if TYPE_CHECKING:
    from faults.scenario import Strikes

PROPERTY = "scenario"  # of a test's report: JSON, which workers hand on as it is
_STRIKES = {"hit": "hit", "sooner": "hit when sooner", "missed": "MISSED", "broke": "BROKE OFF"}


class _Told(NamedTuple):
    scenario: dict[str, Any]
    outcome: str
    seconds: float


def noted(strikes: Strikes) -> str:
    scenario, outcome = strikes.scenario, strikes.outcome
    if outcome is None:
        strike = "broke"
    else:
        strike = ("hit" if strikes.count == 1 else "sooner") if outcome.hit else "missed"
    moment = (
        f"{'start' if scenario.moment.early else f'{scenario.moment.files} files'} + {scenario.moment.delay_s:.2f} s"
    )
    told = {"seed": scenario.seed, "kind": scenario.kind, "where": scenario.where, "moment": moment}
    return json.dumps(told | {"strike": strike, "code": outcome and outcome.code})


def pytest_report_teststatus(report: pytest.TestReport) -> tuple[str, str, str] | None:
    """With -v: the scenario's line as soon as it has ended."""
    for told in _scenarios(report):
        word = f"{report.outcome.upper()} ({_line(told).strip()})"
        return report.outcome, "." if report.outcome == "passed" else "F", word
    return None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    told = [told for reports in terminalreporter.stats.values() for report in reports for told in _scenarios(report)]
    if told:
        terminalreporter.section("scenarios")
        for one in sorted(told, key=lambda one: one.scenario["seed"]):
            terminalreporter.line(_line(one))
        terminalreporter.section("scenarios by kind")
        for kind in sorted({one.scenario["kind"] for one in told}):
            terminalreporter.line(_tally(kind, [one for one in told if one.scenario["kind"] == kind]))
        terminalreporter.line(_tally("all", told))


def _scenarios(report: object) -> list[_Told]:
    """That of a test's report, if it is one of a scenario."""
    if not isinstance(report, pytest.TestReport) or report.when != "call" or report.outcome == "skipped":
        return []
    entries = [json.loads(str(value)) for name, value in report.user_properties if name == PROPERTY]
    return [_Told(entry, report.outcome, report.duration) for entry in entries]


def _line(told: _Told) -> str:
    scenario = told.scenario
    return (
        f"{scenario['seed']:>5} {scenario['kind']:<18} {scenario['where']:<5} {scenario['moment']:<16} "
        f"{_STRIKES[scenario['strike']]:<16} exit code {scenario['code']!s:<5} {told.seconds:6.1f} s  {told.outcome}"
    )


def _tally(kind: str, told: list[_Told]) -> str:
    strikes = Counter(one.scenario["strike"] for one in told)
    passed = sum(one.outcome == "passed" for one in told)
    seconds = sum(one.seconds for one in told) / len(told)
    return (
        f"{kind:<18} {len(told):>4} scenarios: {strikes['hit']:>4} hit, {strikes['sooner']:>3} hit when sooner, "
        f"{strikes['missed'] + strikes['broke']:>3} missed; {passed:>4} passed, {len(told) - passed:>3} did not; {seconds:5.1f} s each"
    )
