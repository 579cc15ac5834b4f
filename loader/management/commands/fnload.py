"""Feeds one findNeighbour4 server with the FASTA files of one bucket (reference/object-store-loader.txt)."""

from __future__ import annotations

import json
import logging
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import DatabaseError, InterfaceError, close_old_connections

from core.commands import CommandError, CommandParser, FnloaderCommand, seconds
from core.logs import log_context
from core.processes import stop_on_signals
from core.progress import Progress

if TYPE_CHECKING:
    from loader.models import Feed
    from loader.pipeline.feed_pass import FeedPass
    from loader.pipeline.result import PassResult

HELP = (
    "Feeds one findNeighbour4 server with the FASTA files of a bucket, earliest first, until told to stop "
    "(Ctrl-C or SIGTERM: the insert in flight is finished and recorded)."
)
log = logging.getLogger("fnloader.loader")

EPILOG = (
    "exit status: 0 done, or told to stop · 10 with --once: this run rejected or postponed a sample · "
    "1 server, store or lease not to be had · 2 usage"
)


class Command(FnloaderCommand):
    """See HELP."""

    help = HELP

    def add_arguments(self, parser: CommandParser) -> None:
        """Both spellings of design.md: NAMESPACE BUCKET [DATABASE], or STORE_URL."""
        parser.epilog = EPILOG
        parser.add_argument("server_url", metavar="SERVER_URL", nargs="?", help="the server, http://localhost:5025")
        parser.add_argument(
            "where",
            nargs="*",
            metavar="NAMESPACE BUCKET [DATABASE] | STORE_URL [DATABASE]",
            help="where the files are: an Oracle Cloud namespace and bucket, or a URL such as oci://bucket@namespace/prefix, "
            "s3://bucket/prefix or file:///folder; DATABASE is an alias (DATABASE_URL_<ALIAS>)",
        )
        parser.add_argument("--all", action="store_true", help="all feeds that are not paused, side by side")
        parser.add_argument("--once", action="store_true", help="one pass, then end")
        parser.add_argument(
            "--interval", type=seconds, help="seconds to wait when there is nothing to load (the feed's: 180)"
        )
        parser.add_argument("--database", metavar="ALIAS", help="the same as DATABASE")
        parser.add_argument(
            "--even-if-paused", action="store_true", help="load a feed that is paused, and leave it paused"
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object a pass")

    def run(self, **options: Any) -> int:  # noqa: ANN401 - the options above
        """Runs passes until it is told to stop, or once."""
        from loader.feeds.manage import client_for, get_or_create_feed
        from loader.feeds.server_urls import WrongUrl
        from loader.pipeline.feed_pass import FeedPass
        from objectstores import open_store

        self.json, self.once, self.even_if_paused = options["json"], options["once"], options["even_if_paused"]
        if options["all"]:
            return self._all(options)
        store_url, db = self._where(options)
        with stop_on_signals() as told:
            store = open_store(store_url)
            try:
                feed = get_or_create_feed(options["server_url"], store_url, db)
            except WrongUrl as error:
                self.usage(str(error))
            if feed.paused_at and not self.even_if_paused:
                raise CommandError(
                    f"The feed '{feed.name}' is paused ({feed.pause_reason or 'no reason given'}). "
                    f"Resume it (manage.py feed resume {feed.name}), or add --even-if-paused."
                )
            interval = feed.interval if options["interval"] is None else options["interval"]
            with Progress(self.stderr, f"loading {feed.name}") as self.progress, log_context(feed=feed.name):
                loader = FeedPass(feed, store, client_for(feed), db, told.stop, self._line, self.progress.show)
                status = self._once(loader) if self.once else self._for_ever(loader, interval)
            store.close()
        return 128 + told.signal if self.once and told.signal and status in (0, 10) else status

    def _all(self, options: dict[str, Any]) -> int:
        from loader.runners.all_feeds import AllFeedsRunner

        if options["server_url"] or self.even_if_paused:
            self.usage("--all feeds all feeds that are not paused: it takes no SERVER_URL and no --even-if-paused.")
        db = self._known(options["database"] or "default")
        with stop_on_signals() as told, Progress(self.stderr, "loading") as self.progress:
            status = AllFeedsRunner(db, self.once, options["interval"], told.stop, self._line, self._report).run()
        return 128 + told.signal if self.once and told.signal and status in (0, 10) else status

    def _where(self, options: dict[str, Any]) -> tuple[str, str]:
        where, alias = list(options["where"]), options["database"]
        if not where:
            self.usage("Give SERVER_URL NAMESPACE BUCKET, or SERVER_URL STORE_URL, or --all.")
        store_url = where.pop(0)
        if "://" not in store_url:
            if not where:
                self.usage(
                    f"'{store_url}' alone does not say where the files are: give NAMESPACE BUCKET, "
                    "or a URL such as oci://bucket@namespace."
                )
            store_url = f"oci://{where.pop(0)}@{store_url}"
        if (where and alias) or len(where) > 1:
            self.usage(
                "Too many arguments: SERVER_URL NAMESPACE BUCKET [DATABASE], or SERVER_URL STORE_URL [DATABASE]."
            )
        return store_url, self._known(alias or (where[0] if where else "default"))

    def _known(self, db: str) -> str:
        if db not in settings.DATABASES:
            known = ", ".join(settings.DATABASES)
            self.usage(f"There is no database '{db}' here; known: {known}. Set DATABASE_URL_{db.upper()} to have it.")
        return db

    def _once(self, loader: FeedPass) -> int:
        result = loader.run()
        self._report(loader.feed, result)
        if result.trouble:
            raise CommandError(result.trouble)
        return 0 if result.clean else 10

    def _for_ever(self, loader: FeedPass, interval: float) -> int:
        from loader.feeds.manage import mark_running, mark_stopped

        trouble = ""
        while not loader.stop():
            try:
                mark_running(loader.feed, interval, loader.db)
                result = self._pass(loader)
            except (DatabaseError, InterfaceError) as error:
                if not loader.begun:
                    raise
                self._line(f"The database failed ({str(error).strip().splitlines()[0]}); trying again.")
                close_old_connections()
                self._wait(loader, min(interval, 10.0))
                continue
            if result and result.trouble and not loader.begun:
                raise CommandError(result.trouble)
            if result and result.trouble != trouble and result.trouble:
                self._line(result.trouble)
            trouble = result.trouble if result else trouble
            if not result or result.trouble or not result.due:
                self._wait(loader, min(interval, 15.0) if trouble else interval)
        mark_stopped(loader.feed, loader.db)
        return 0

    def _pass(self, loader: FeedPass) -> PassResult | None:
        """One pass of a daemon; None while the feed is paused."""
        from loader.feeds.manage import pause_feeds
        from loader.models import Feed

        feed = loader.feed
        try:
            feed.refresh_from_db(fields=["paused_at", "pause_reason", "header_prefix", "strict_ids", "largest"])
        except Feed.DoesNotExist:
            raise CommandError(f"The feed '{feed.name}' was removed.") from None
        if feed.paused_at and not self.even_if_paused:
            return None
        result = loader.run()
        if not result.stopped or result.inserted:
            self._report(feed, result)
        if result.misconfigured:
            pause_feeds(Feed.objects.using(loader.db).filter(pk=feed.pk), result.trouble)
            self._line(
                f"The feed '{feed.name}' is paused: {result.trouble} "
                f"When that is mended: manage.py feed resume {feed.name}"
            )
        return result

    def _wait(self, loader: FeedPass, for_seconds: float) -> None:
        until = time.monotonic() + for_seconds
        while time.monotonic() < until and not loader.stop():
            time.sleep(min(0.2, max(0.0, until - time.monotonic())))

    def _report(self, feed: Feed, result: PassResult) -> None:
        self.progress.end()
        if self.json:
            self.stdout.write(json.dumps({"feed": feed.name} | asdict(result)))
        elif not result.trouble or result.due:
            self._line(
                f"{feed.name}: {result.listed} objects ({result.ignored} no FASTA files), {result.new} new, {result.due} due: "
                f"{result.inserted} inserted, {result.already_there} already there ({result.conflicting} conflicting), "
                f"{result.rejected} rejected, {result.postponed} postponed, {result.gone} gone"
            )

    def _line(self, text: str) -> None:
        self.progress.end()
        if settings.LOG_FORMAT == "json":
            log.info(text)
            return
        stream = self.stderr if self.json else self.stdout
        stream.write(f"{time.strftime('%H:%M:%S')} {text}")
        stream.flush()
