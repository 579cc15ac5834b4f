"""How often a check ends in a wrong verdict, in simulated ingests (`make bench`); draws docs/verdicts.svg with `--svg`.

Wrong is "complete with errors" while objects would still have been ingested. Each setting is checked again until it reports
the end of the ingest: a command after one to ten minutes, the scheduled check at its next run. The counts go into the
real rule (`batches.ingest.rule`).
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import NamedTuple

from batches.choices import Verdict
from batches.ingest.rule import SCHEDULED, WATCHED, CheckOptions, IngestRule, Observation
from bench.drains import Drain, SimulatedIngest

COUNT_SECONDS = 0.3
"""Of a count."""
PICTURE = Path(__file__).parent.parent / "docs" / "verdicts.svg"


STYLE = (
    "<style>text{font:14px sans-serif;fill:#222}.bar{fill:#b3452c}.none{fill:#2c7a4b}.soft{fill:#666}"
    "@media(prefers-color-scheme:dark){text{fill:#eee}.soft{fill:#aaa}.bar{fill:#e07a5f}.none{fill:#6fbf8f}}</style>"
)


class Setting(NamedTuple):
    """Options of a check and their name."""

    name: str
    options: CheckOptions
    pause: tuple[float, float] = (60.0, 600.0)
    """Seconds until it is run again after "in progress"."""


SETTINGS = (
    Setting("the defaults", CheckOptions()),
    Setting("--sleep 5", CheckOptions(5)),
    Setting("--checks 999", CheckOptions(checks=999)),
    Setting("--sleep 1 --checks 999 --rechecks 3", CheckOptions(1, 999, 3)),
    Setting("--sleep 30 --checks 999 --rechecks 5", CheckOptions(30, 999, 5)),
    Setting("--sleep 60 --checks 999 --rechecks 9", CheckOptions(60, 999, 9)),
    Setting("--watch", WATCHED, (WATCHED.sleep, WATCHED.sleep)),
    Setting("the scheduled check", SCHEDULED, (SCHEDULED.sleep, SCHEDULED.sleep)),
)


class CheckEnd(NamedTuple):
    """How the checks of one ingest ended."""

    wrong: bool
    late: float
    """Seconds between the last object that left (or the end of the upload) and the verdict."""


@dataclass
class SettingResult:
    """The results of a setting."""

    setting: Setting
    ends: list[CheckEnd]

    @property
    def wrong(self) -> int:
        """Ingests whose verdict was wrong."""
        return sum(end.wrong for end in self.ends)

    @property
    def late(self) -> float:
        """The median of the right verdicts, in seconds."""
        return statistics.median(end.late for end in self.ends if not end.wrong)


def main() -> None:
    """Prints a line a setting."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ingests", type=int, default=10_000)
    parser.add_argument("--svg", action="store_true", help=f"also draw {PICTURE.name}")
    options = parser.parse_args()
    found = measure(options.ingests)
    print(f"wrong verdicts in {options.ingests:,} simulated ingests; delay of the verdict after the end (median)")
    for one in found:
        print(f"  {one.setting.name:38}{one.wrong:7,} {one.wrong / options.ingests:8.2%} {one.late / 60:8.1f} min")
    print(f"  (wanted: none for the scheduled check; it has {found[-1].wrong})")
    if options.svg:
        PICTURE.write_text(picture(found, options.ingests))


def measure(ingests: int, settings: tuple[Setting, ...] = SETTINGS) -> list[SettingResult]:
    """All settings on the same ingests, on all cores; the same numbers every time."""
    with ProcessPoolExecutor() as processes:
        ends = list(processes.map(ends_of, range(ingests), [settings] * ingests, chunksize=50))
    return [SettingResult(setting, [one[place] for one in ends]) for place, setting in enumerate(settings)]


def ends_of(seed: int, settings: Iterable[Setting]) -> list[CheckEnd]:
    """How each setting's checks of one ingest end."""
    chance = Random(seed)
    drain = SimulatedIngest(chance).drain()
    # A user checks soon after the upload, or when the ingest might be over.
    begin = chance.uniform(0, chance.choice((30.0, max(drain.end, 30.0))))
    return [watch(drain, setting, begin, Random(seed)) for setting in settings]


def watch(drain: Drain, setting: Setting, begin: float, chance: Random) -> CheckEnd:
    """Repeats the check until it reports the end of the ingest."""
    now = begin
    while True:
        verdict, now = check(drain, setting.options, now)
        if verdict is not Verdict.IN_PROGRESS:
            wrong = verdict is Verdict.COMPLETE_WITH_ERRORS and drain.end > now
            return CheckEnd(wrong, now - max(drain.end, 0.0))
        now += chance.uniform(*setting.pause)


def check(drain: Drain, options: CheckOptions, now: float) -> tuple[Verdict, float]:
    """One check, and when it ended."""
    rule = IngestRule(options.checks, options.rechecks)
    while True:
        now += COUNT_SECONDS
        left = drain.remaining(now)
        # Objects only leave here, so their number says which ones they are.
        if verdict := rule.feed(Observation(left, str(left))):
            return verdict, now
        now += options.sleep


def picture(found: list[SettingResult], ingests: int) -> str:
    """A bar for each setting, as SVG for light and dark themes."""
    height = 46 * len(found) + 64
    most = max(*(one.wrong for one in found), 1) / ingests
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 760 {height}" role="img" aria-labelledby="t">',
            f'<title id="t">Wrong verdicts in {ingests:,} simulated ingests</title>',
            STYLE,
            f'<text x="10" y="24">Wrong verdicts in {ingests:,} simulated ingests</text>',
            '<text x="750" y="24" text-anchor="end" class="soft">delay of the verdict after the end</text>',
            *_bars(found, ingests, most),
            "</svg>\n",
        ]
    )


def _bars(found: list[SettingResult], ingests: int, most: float) -> Iterator[str]:
    for place, one in enumerate(found):
        top, share = 46 * place + 44, one.wrong / ingests
        kind = "bar" if one.wrong else "none"
        yield f'<text x="10" y="{top + 13}">{one.setting.name}</text>'
        yield f'<rect x="10" y="{top + 19}" width="{max(460 * share / most, 2):.1f}" height="12" class="{kind}"/>'
        says = f"{share:.1%}" if share >= 0.001 or not one.wrong else f"{one.wrong} of {ingests:,}"
        yield f'<text x="{18 + max(460 * share / most, 2):.1f}" y="{top + 30}">{says if one.wrong else "none"}</text>'
        yield f'<text x="750" y="{top + 30}" text-anchor="end" class="soft">{_duration(one.late)}</text>'


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


if __name__ == "__main__":
    main()
