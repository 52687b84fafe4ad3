"""A bucket that does not answer, or not to the end, for a while: shorter than a sweep waits for it, or longer."""

from __future__ import annotations

import random
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from faults.fault import Fault, Moment, Setting
from s3 import BUCKET
from service.launched import Launched

# `impray` that gives a bucket up after seconds instead of a minute.
HASTY = (
    "from impray.results.store import bucket; bucket.GIVE_UP_S, bucket.REQUEST_S = 3, 2; "
    "from impray.cli import app; app()"
)


@dataclass(frozen=True)
class Stumbles(Fault):
    """How: a field of `s3.proxy.Faults`; `share` of the requests; for `while_s`, or (`given_up`) until the sweep has ended."""

    places = ("here", "here", "here", "ray")
    how: str = "refuse"
    share: float = 1.0
    while_s: float = 1.0
    given_up: bool = False

    @classmethod
    def one(cls, how: str, draw: random.Random, where: str) -> Stumbles:
        share = draw.choice([1.0, draw.uniform(0.2, 0.8)])
        given_up = where == "here" and draw.random() < 0.4
        return cls(how=how, share=1.0 if given_up else share, while_s=draw.uniform(0.5, 4), given_up=given_up)

    @contextmanager
    def around(self, setting: Setting) -> Iterator[None]:
        setting.things["s3"] = setting.needed("s3")
        out = f"s3://{BUCKET}/faults-{uuid.uuid4().hex[:8]}"
        setting.folder, setting.words = f"{out}/x", ("--out", out)
        if self.given_up:
            setting.program = (sys.executable, "-c", HASTY)
        yield

    def hit(self, running: Launched, setting: Setting) -> bool:
        s3 = setting.things["s3"]
        setting.things["before"] = s3.happened()
        s3.set(**({"refuse": True} if self.how == "refuse" else {self.how: self.share, "hang_s": 2.5}))
        if not self.given_up:
            time.sleep(self.while_s)
            s3.set()
        setting.things["outlived"] = running.process.poll() is None
        return True

    def felt(self, moment: Moment, code: int | None, setting: Setting) -> bool:
        """Whether a request went wrong, or the sweep gave up. A refused connection leaves no trace at the proxy: but a sweep that writes
        rows asks for something all the time."""
        refused = self.how == "refuse" and not moment.early and setting.things["outlived"]
        return refused or code != 0 or setting.things["s3"].happened() != setting.things["before"]

    def mend(self, setting: Setting) -> list[str]:
        setting.things["s3"].set()
        return []

    def codes(self, moment: Moment) -> tuple[int, ...]:
        return (0, 2) if self.given_up else (0,)
