"""A cluster asked from outside: is its job server there, does it take our token, and what does doctor say that runs on its head?"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any
from urllib.parse import urlsplit

from impray.results.mlflow.chosen import shown
from impray.service.doctor import here
from impray.service.doctor.cluster import stages
from impray.service.doctor.finding import Finding, ok, read, warn, wrong

ANSWER_S = 5.0
GIVE_UP_S = 120.0


NEEDS_OUT = ("storage", "disk", "MLflow")


def cluster(address: str, out: str | None, mlflow: str | None, name: str, text: str) -> Iterator[Finding]:
    """What the job server and the head say.

    Args:    address: `http://127.0.0.1:8265`. out: where sweeps' folders go there; None: that is not looked at. mlflow: as there.
             name, text: of the sweep; its YAML, "" for none.
    """
    findings = _server(address.rstrip("/"), shown(address))
    yield from findings
    if any(finding.level == "wrong" for finding in findings):
        return
    words = [*(["--out", out] if out else []), *(["--mlflow", mlflow] if mlflow else [])]
    asked = {"address": address, "words": ["--address", "auto", *words], "name": name, "text": text}
    for stage, answer in stages(asked, "impray.service.ray.remote"):
        if stage == "findings":
            yield from _on_head(answer, bool(out), bool(mlflow))
        else:
            mend = "ray job logs may say more; is impray installed on the head? ray up does it (setup_commands)"
            if "No available agent" in str(answer):
                mend = "restart the head with --dashboard-agent-listen-port 0: another Ray there may have its port"
            yield wrong("head", f"doctor there ended early: {answer}", mend)


def _on_head(documents: list[dict[str, str]], out: bool, mlflow: bool) -> Iterator[Finding]:
    for document in documents:
        finding = read(document)
        if out or not finding.what.startswith(NEEDS_OUT) or (mlflow and finding.what == "MLflow"):
            yield Finding(finding.level, f"head: {finding.what}", finding.value, finding.mend)
    if not out:
        mend = "give --out: s3://bucket/runs, or a folder that all nodes mount"
        yield warn("head: storage", "not looked at: nobody has said where sweeps go", mend)


def _server(address: str, place: str) -> list[Finding]:
    token = here.token_of()[0]
    asked = urllib.request.Request(
        f"{address}/api/version", headers={"Authorization": f"Bearer {token}"} if token else {}
    )
    try:
        with urllib.request.urlopen(asked, timeout=ANSWER_S) as answer:
            reply: dict[str, Any] = json.loads(answer.read(10_000))
    except urllib.error.HTTPError as error:
        if error.code in (401, 403):
            value = f"{place} " + ("takes another token than ours" if token else "asks for a token, and none is here")
            mend = "copy ~/.ray/auth_token from the head here, chmod 600 it, and export RAY_AUTH_MODE=token"
            return [ok("address", f"{place} answers"), wrong("token", f"{value} ({error.code})", mend)]
        return [wrong("address", f"{place} answers {error.code}", "is that the dashboard of a Ray (port 8265)?")]
    except (OSError, ValueError) as error:
        why = str(getattr(error, "reason", error))
        mend = f"open the tunnel: ray attach cluster.yaml -p 8265, or ssh -L {urlsplit(place).port or 80}:127.0.0.1:8265 HEAD"
        return [wrong("address", f"{place} does not answer ({why})", mend)]
    theirs, mine = str(reply.get("ray_version", "")), version("ray")
    findings = [ok("address", f"{place} answers, Ray {theirs}")]
    if theirs != mine:
        findings.append(
            wrong("versions", f"Ray {theirs} on the head, {mine} here", "pip install -r constraints.txt on both")
        )
    return findings
