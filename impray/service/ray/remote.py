"""doctor as a job on a cluster's head: `python -m impray.service.ray.remote` submits it and tells its findings.

Reads one JSON object (`address`, `words`, `name`, `text`), writes one line per stage as `impray.service.ray.probes` does.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from impray.scratch import scratch
from impray.service.ray.jobs import client_of, submitted

EVERY_S = 0.5
BEGIN, ENDED = '{"findings":', ("SUCCEEDED", "FAILED", "STOPPED")


def main() -> None:
    """Submit, wait, tell."""
    out = os.dup(1)
    os.dup2(2, 1)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    asked = json.load(sys.stdin)
    stage, answer = told(asked)
    os.write(out, (json.dumps({"stage": stage, "said": answer}) + "\n").encode())


def told(asked: Mapping[str, Any]) -> tuple[str, Any]:
    """(`findings`, a list), or (`ended`, why there are none)."""
    client = client_of(asked["address"])
    with scratch("doctor") as folder:
        words = list(asked["words"])
        if asked["text"]:
            file = f"{Path(asked['name']).name}.yaml"
            (folder / file).write_text(asked["text"])
            words.insert(0, f"./{file}")
        command = shlex.join(["python", "-m", "impray.cli", "doctor", *words, "--json"])
        job = submitted(client, entrypoint=command, runtime_env={"working_dir": str(folder)})
    done = False
    try:
        while not (done := str(client.get_job_status(job).value) in ENDED):
            time.sleep(EVERY_S)
        text = client.get_job_logs(job)
    finally:
        if not done:
            client.stop_job(job)
    return _read(text)


def _read(text: str) -> tuple[str, Any]:
    """The findings in a job's log, which holds what Ray says too."""
    start = text.rfind(BEGIN)
    if start < 0:
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        return "ended", lines[-1][:300] if lines else "its job said nothing"
    return "findings", json.JSONDecoder().raw_decode(text[start:])[0]["findings"]


if __name__ == "__main__":
    main()
