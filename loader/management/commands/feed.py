"""`manage.py feed`: which bucket is loaded into which server, and everything an operator does with that."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

from core.commands import CommandError, CommandParser, FnloaderCommand, at_least_one, database, moment

if TYPE_CHECKING:
    from collections.abc import Callable

    from loader.maintenance.reconcile import Reconciliation
    from loader.models import Feed

SOME = 10
EPILOG = (
    "exit status: 0 done; 10 reconcile found differences; 1 refused, not confirmed, or a link failed; 2 wrong usage"
)
STEPS = {
    "add": "a new feed: from a store into a server",
    "list": "all feeds, and where they stand",
    "show": "all about one feed",
    "test": "try every link of a feed: database, store, server; nothing is loaded",
    "pause": "load nothing from a feed until it is resumed; an insert in flight is finished",
    "resume": "load a paused feed again",
    "remove": "remove a feed with its ledger of files; attempts and batch loads stay",
    "retry": "undo rejections in bulk, and try at once what waits for a later try",
    "reconcile": "compare bucket, ledger and server, sample by sample",
    "acknowledge": "take note of a feed's rejected files: fnstatus is silent about them from then on",
}
CHANGING = ("add", "pause", "resume", "remove", "retry", "reconcile", "acknowledge")


class Command(FnloaderCommand):
    """Each step is one call of its core: loader.feeds.manage, feedtest, removing, rejections, showing."""

    help = "Adds, lists, tests, pauses, resumes and removes feeds, and tries what was rejected again."

    def add_arguments(self, parser: CommandParser) -> None:
        """One parser a step."""
        parser.epilog = EPILOG
        steps = parser.add_subparsers(dest="step", required=True, metavar="STEP")
        parsers = {name: self._parser(steps, name) for name in STEPS}
        _add_options(parsers["add"])
        for name in ("list", "show"):
            parsers[name].add_argument("--json", action="store_true", help="print one JSON document")
        parsers["reconcile"].add_argument(
            "--json", action="store_true", help="print one JSON object a line, counts last"
        )
        parsers["reconcile"].add_argument("--repair", action="store_true", help="queue again what the server lost")
        parsers["reconcile"].add_argument("--yes", action="store_true", help="do not ask")
        parsers["pause"].add_argument("--reason", required=True, help="why; everybody who looks is told")
        parsers["resume"].add_argument(
            "--refusals-limit", type=int, metavar="N", help="from now on pause after N refusals in a row; 0: never"
        )
        parsers["remove"].add_argument("--yes", action="store_true", help="do not ask")
        parsers["retry"].add_argument("--reason", default="", help="only those whose reason holds this text")
        parsers["retry"].add_argument(
            "--since", type=moment, metavar="TIME", help="only rejections since then: 2026-01-31 or 2026-01-31T18:25"
        )

    def run(self, **options: Any) -> int:  # noqa: ANN401 - Django's options
        """Runs the step that is named."""
        from core.exceptions import OperationRefused
        from loader.feeds.manage import get_feed
        from loader.feeds.server_urls import WrongUrl
        from loader.fn4.responses import ServerMisconfigured, ServerUnavailable

        self.db, self.dry_run = options["database"], options.get("dry_run", False)
        step = options["step"]
        try:
            if step == "list":
                return self._list(as_json=options["json"])
            if step == "add":
                return self._add(options)
            work: Callable[[Feed, dict[str, Any]], int] = getattr(self, f"_{step}")
            return work(get_feed(options["name"], self.db), options)
        except WrongUrl as error:
            self.usage(str(error))
        except (OperationRefused, ServerUnavailable, ServerMisconfigured) as error:
            raise CommandError(str(error)) from error

    def _parser(self, steps: Any, name: str) -> CommandParser:  # noqa: ANN401 - argparse keeps the type private
        what = STEPS[name]
        parser: CommandParser = steps.add_parser(
            name, help=what, description=f"{what[0].upper()}{what[1:]}.", epilog=EPILOG
        )
        if name != "list":
            parser.add_argument("name", metavar="NAME", help="the feed's name")
        parser.add_argument(
            "--database", type=database, default="default", metavar="ALIAS", help="another database's feeds"
        )
        if name in CHANGING:
            parser.add_argument("--dry-run", action="store_true", help="say what would be done, change nothing")
        return parser

    def _add(self, options: dict[str, Any]) -> int:
        from loader.feeds.manage import add_feed

        columns = {
            "header_prefix": options["header_prefix"],
            "interval": options["interval"],
            "strict_ids": not options["lenient_ids"],
            "largest": options["largest"],
            "scheduled": options["scheduled"],
        }
        given = {column: value for column, value in columns.items() if value is not None}
        feed = add_feed(
            options["name"], options["server_url"], options["store_url"], self.db, dry_run=self.dry_run, **given
        )
        self._say(f"The feed '{feed.name}' from {feed.store_url} into {feed.server} {self._is('added')}.")
        self._say(f"Next: manage.py feed test {feed.name}, then manage.py fnload {feed.server.url} {feed.store_url}")
        return 0

    def _list(self, *, as_json: bool) -> int:
        from loader.cli.feed_output import feed_table, table

        found = feed_table(self.db)
        if as_json:
            self._say(json.dumps(found, indent=2))
        elif found:
            for line in table(found):
                self._say(line)
        else:
            self._say("There is no feed yet. Next: manage.py feed add NAME SERVER_URL STORE_URL")
        return 0

    def _show(self, feed: Feed, options: dict[str, Any]) -> int:
        from loader.cli.feed_output import detail_lines, feed_details

        shown = feed_details(feed, self.db)
        if options["json"]:
            self._say(json.dumps(shown, indent=2))
            return 0
        for line in detail_lines(shown):
            self._say(line)
        return 0

    def _test(self, feed: Feed, _options: dict[str, Any]) -> int:
        from loader.feeds.diagnose import diagnose

        failed = 0
        for link in diagnose(feed, self.db):
            failed += not link.ok
            self._say(f"{'ok    ' if link.ok else 'FAILED'} {link.name}: {link.said}")
            if link.way_out:
                self._say(f"       {link.way_out}")
        if failed:
            raise CommandError(f"The feed '{feed.name}' can't be loaded as it is.")
        return 0

    def _pause(self, feed: Feed, options: dict[str, Any]) -> int:
        from loader.feeds.manage import pause_feeds

        return self._switch(
            feed, "paused", already=bool(feed.paused_at), do=partial(pause_feeds, reason=options["reason"])
        )

    def _resume(self, feed: Feed, options: dict[str, Any]) -> int:
        from loader.feeds.manage import resume_feeds

        limit = options["refusals_limit"]
        if limit is not None and limit < 0:
            self.usage("--refusals-limit must be 0 (never) or more.")
        if limit is not None and not self.dry_run:
            feed.refusals_limit = limit
            feed.save(update_fields=["refusals_limit"])
        return self._switch(feed, "resumed", already=not feed.paused_at, do=resume_feeds)

    def _switch(self, feed: Feed, word: str, *, already: bool, do: Callable[[Any], int]) -> int:
        from loader.models import Feed

        if already:
            self._say(f"The feed '{feed.name}' {'is paused already' if word == 'paused' else 'is not paused'}.")
            return 0
        if not self.dry_run:
            do(Feed.objects.using(self.db).filter(pk=feed.pk))
        self._say(f"The feed '{feed.name}' {self._is(word)}.")
        return 0

    def _remove(self, feed: Feed, options: dict[str, Any]) -> int:
        from core.progress import Progress
        from loader.feeds.remove import removal_summary, remove_feed

        going = removal_summary(feed, self.db)
        self._say(
            f"With the feed '{feed.name}' {going.objects:,} rows of its ledger {'would ' * self.dry_run}go, "
            f"{going.attempts:,} load attempts and {going.loads:,} batch loads {'would ' * self.dry_run}stay. "
            "What was loaded stays in the server; a new feed would send all files of the bucket again (201, already there)."
        )
        if self.dry_run:
            return 0
        if not self.confirmed("Remove it?", yes=options["yes"]):
            raise CommandError("Nothing was removed: confirm, or add --yes.")
        with Progress(self.stderr, f"removing {feed.name}") as progress:
            remove_feed(feed, self.db, progress.show)
        self._say(f"The feed '{feed.name}' was removed.")
        return 0

    def _retry(self, feed: Feed, options: dict[str, Any]) -> int:
        from loader.feeds.rejections import retry

        done = retry(feed, self.db, reason=options["reason"], since=options["since"], dry_run=self.dry_run)
        self._say(
            f"{done.rejected:,} rejected files of '{feed.name}' {self._are('put back to waiting')}, "
            f"{done.postponed:,} that wait for a later try {self._are('made due now')}."
        )
        return 0

    def _acknowledge(self, feed: Feed, _options: dict[str, Any]) -> int:
        from loader.feeds.rejections import acknowledge

        count = acknowledge(feed, self.db, dry_run=self.dry_run)
        self._say(f"{count:,} rejected files of '{feed.name}' {self._are('acknowledged')}.")
        return 0

    def _reconcile(self, feed: Feed, options: dict[str, Any]) -> int:
        from loader.choices import FindingKind
        from loader.feeds.manage import client_for
        from loader.maintenance.reconcile import reconciliation
        from objectstores import open_store

        with (
            closing(open_store(feed.store_url)) as store,
            closing(client_for(feed)) as fn4,
            reconciliation(feed, store, fn4, self.db) as compared,
        ):
            for found in compared.differences():
                told = asdict(found)
                self._say(json.dumps(told) if options["json"] else "  ".join(text for text in told.values() if text))
            counts: dict[str, int] = {
                "held": compared.held,
                "listed": compared.listed,
                **{kind.value: compared.counts[kind] for kind in FindingKind},
            }
            queued = self._repair(compared, options) if options["repair"] else 0
        if options["json"]:
            self._say(json.dumps({"counts": counts, "queued": queued}))
        else:
            self._say(
                f"{feed.name}: " + ", ".join(f"{number:,} {what.replace('_', ' ')}" for what, number in counts.items())
            )
        return SOME if compared.counts else 0

    def _repair(self, compared: Reconciliation, options: dict[str, Any]) -> int:
        from loader.choices import FindingKind

        lost = compared.counts[FindingKind.LOST]
        if not lost or self.dry_run:
            return 0
        if not self.confirmed(f"Queue {lost:,} files again?", yes=options["yes"]):
            raise CommandError(f"{lost:,} files that the server lost were not queued: confirm, or add --yes.")
        queued = compared.repair()
        self.stderr.write(f"{queued:,} files are queued again.")
        return queued

    def _is(self, done: str) -> str:
        return f"would be {done}" if self.dry_run else f"is {done}"

    def _are(self, done: str) -> str:
        return f"would be {done}" if self.dry_run else f"are {done}"

    def _say(self, text: str) -> None:
        self.stdout.write(text)


def _add_options(parser: CommandParser) -> None:
    parser.add_argument("server_url", metavar="SERVER_URL", help="the server, http://localhost:5025")
    parser.add_argument(
        "store_url", metavar="STORE_URL", help="oci://bucket@namespace[/prefix], s3://…, file:///folder"
    )
    parser.add_argument("--header-prefix", help="what stands before the sample id in a FASTA header ('GPAS_SP3|')")
    parser.add_argument("--interval", type=at_least_one, help="seconds between two looks with nothing to load (180)")
    parser.add_argument("--lenient-ids", action="store_true", help="load a record whose id is not its file's")
    parser.add_argument("--largest", type=at_least_one, metavar="BYTES", help="larger files are rejected unread")
    parser.add_argument("--scheduled", action="store_true", help="loaded by the background jobs, too")
