"""Feeds one findNeighbour4 server with the FASTA files of one bucket (reference/object-store-loader.txt)."""

from __future__ import annotations

import json
import logging
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from django.conf import settings

from core.commands import CommandError, CommandParser, FnloaderCommand, seconds
from core.formatting import printable
from core.processes import StopFlag, stop_on_signals
from core.progress import Progress

if TYPE_CHECKING:
    from loader.models import Feed
    from loader.pipeline.result import PassResult

HELP = (
    "Feeds one findNeighbour4 server with the FASTA files of a bucket, earliest first, until stopped "
    "(Ctrl-C or SIGTERM: the insert in flight is finished and recorded)."
)
log = logging.getLogger("fnloader.loader")

EPILOG = (
    "exit status: 0 done, or stopped · 10 with --once: this run rejected or postponed a sample, or one is stored with "
    "unproven links · "
    "1 server, store or lease not available · 2 invalid arguments"
)


class Command(FnloaderCommand):
    """See HELP."""

    help = HELP

    def add_arguments(self, parser: CommandParser) -> None:
        """Two forms: NAMESPACE BUCKET [DATABASE], or STORE_URL [DATABASE]."""
        parser.epilog = EPILOG
        parser.add_argument(
            "server_url", metavar="SERVER_URL", nargs="?", help="the server, such as http://localhost:5025"
        )
        parser.add_argument(
            "where",
            nargs="*",
            metavar="NAMESPACE BUCKET [DATABASE] | STORE_URL [DATABASE]",
            help="the store: an Oracle Cloud namespace and bucket, or a URL such as oci://bucket@namespace/folder, "
            "s3://bucket/folder or file:///folder (with a * at the end: all names that begin so); "
            "DATABASE is an alias (DATABASE_URL_<ALIAS>)",
        )
        parser.add_argument("--all", action="store_true", help="load all feeds that are not paused, in parallel")
        parser.add_argument("--once", action="store_true", help="run one pass")
        parser.add_argument(
            "--interval", type=seconds, help="seconds between two scans with nothing to load (default: the feed's, 180)"
        )
        parser.add_argument("--database", metavar="ALIAS", help="the same as DATABASE")
        parser.add_argument("--even-if-paused", action="store_true", help="load a paused feed, and leave it paused")
        parser.add_argument("--json", action="store_true", help="print one JSON object for each pass")

    def run(self, **options: Any) -> int:  # noqa: ANN401 - the options above
        """Runs passes until it is stopped, or once."""
        self.json, self.once = options["json"], options["once"]
        with stop_on_signals() as flag:
            status = self._all(options, flag) if options["all"] else self._one(options, flag)
        return 128 + flag.signal if self.once and flag.signal and status in (0, 10) else status

    def _one(self, options: dict[str, Any], flag: StopFlag) -> int:
        from loader.feeds.manage import get_or_create_feed
        from loader.feeds.server_urls import WrongUrl
        from loader.feeds.store_urls import open_feed_store
        from loader.models import Feed
        from loader.runners.daemon import LoadOptions, ServerWorker

        store_url, db = self._where(options)
        even_if_paused = options["even_if_paused"]
        try:
            feed = get_or_create_feed(options["server_url"], store_url, db)
        except WrongUrl as error:
            self.usage(str(error))
        if feed.paused_at and not even_if_paused:
            raise CommandError(
                f"Feed '{feed.name}' is paused ({feed.pause_reason or 'no reason given'}). "
                f"Resume it (manage.py feed resume {feed.name}), or add --even-if-paused."
            )
        with Progress(self.stderr, f"loading {feed.name}") as self.progress:
            load_options = LoadOptions(
                lambda: Feed.objects.using(db).filter(pk=feed.pk),
                db,
                self.once,
                options["interval"],
                flag.stop,
                lambda _feed, text: self._line(text),
                self._report,
                self.progress.show,
                even_if_paused=even_if_paused,
                fail_early=True,
            )
            worker = ServerWorker(load_options, feed.server_id)
            worker.add(feed, open_feed_store(feed.store_url))
            try:
                worker.run()
            finally:
                worker.close()
        if 1 in load_options.statuses:
            raise CommandError(load_options.trouble)
        if not (flag.stop() or load_options.statuses):
            raise CommandError(f"Feed '{feed.name}' was removed.")
        return max(load_options.statuses, default=0)

    def _all(self, options: dict[str, Any], flag: StopFlag) -> int:
        from loader.models import Feed
        from loader.runners.all_feeds import AllFeedsRunner
        from loader.runners.daemon import LoadOptions

        if options["server_url"] or options["even_if_paused"]:
            self.usage("--all excludes SERVER_URL and --even-if-paused.")
        db = self._known(options["database"] or "default")
        with Progress(self.stderr, "loading") as self.progress:
            load_options = LoadOptions(
                lambda: Feed.objects.using(db).filter(paused_at=None),
                db,
                self.once,
                options["interval"],
                flag.stop,
                lambda feed, text: self._line(f"{feed.name}: {text}" if feed else text),
                self._report,
            )
            AllFeedsRunner(load_options).run()
        return next(status for status in (1, 10, 0) if status in (*load_options.statuses, 0))

    def _where(self, options: dict[str, Any]) -> tuple[str, str]:
        where, alias = list(options["where"]), options["database"]
        if not where:
            self.usage("Missing arguments: use SERVER_URL NAMESPACE BUCKET, SERVER_URL STORE_URL, or --all.")
        store_url = where.pop(0)
        if "://" not in store_url:
            if not where:
                self.usage(
                    f"'{store_url}' is not a store: use NAMESPACE BUCKET, or a URL such as oci://bucket@namespace."
                )
            store_url = f"oci://{where.pop(0)}@{store_url}"
        if (where and alias) or len(where) > 1:
            self.usage(
                "Too many arguments: use SERVER_URL NAMESPACE BUCKET [DATABASE], or SERVER_URL STORE_URL [DATABASE]."
            )
        return store_url, self._known(alias or (where[0] if where else "default"))

    def _known(self, db: str) -> str:
        if db not in settings.DATABASES:
            known = ", ".join(settings.DATABASES)
            self.usage(f"Unknown database '{db}' (known: {known}). Set DATABASE_URL_{db.upper()}.")
        return db

    def _report(self, feed: Feed, result: PassResult) -> None:
        self.progress.end()
        if self.json:
            self.stdout.write(json.dumps({"feed": feed.name} | asdict(result)))
        elif not result.trouble or result.due:
            self._line(
                f"{feed.name}: {result.listed} objects ({result.ignored} not FASTA), {result.new} new, {result.due} due: "
                f"{result.inserted} inserted, {result.already_there} already there ({result.conflicting} conflicting), "
                f"{result.rejected} rejected, {result.postponed} postponed, {result.gone} gone{result.unproven_text}"
            )

    def _line(self, text: str) -> None:
        self.progress.end()
        if settings.LOG_FORMAT == "json":
            log.info(text)
            return
        stream = self.stderr if self.json else self.stdout
        stream.write(f"{time.strftime('%H:%M:%S')} {printable(text)}")
        stream.flush()
