"""Reads the rules, and switches the engine and the sources to them."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog

from retrainer.config.files import fingerprint
from retrainer.config.load import Loaded, load_rules
from retrainer.config.rule_text import texts
from retrainer.config.teams import NO_TEAMS, TeamFiles
from retrainer.daemon.rule_edits import edits
from retrainer.engine.commands import activity
from retrainer.engine.core.catalog import build_catalog
from retrainer.store import event_statements, rule_texts, statements
from retrainer.store.rule_texts import KeptText
from retrainer.telemetry.secrets import SECRETS
from retrainer.util import gc_tuning
from retrainer.util.supervisor import TICK, NotNow

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from retrainer.config.configuration import Configuration
    from retrainer.config.settings import Settings
    from retrainer.daemon.config_maps import ConfigMaps
    from retrainer.daemon.ingestion import Ingestion
    from retrainer.engine.core.catalog import Catalog
    from retrainer.engine.core.engine import Engine
    from retrainer.engine.core.transaction import Transaction
    from retrainer.rules.state_fingerprint import Dropped
    from retrainer.telemetry.metrics import Metrics
    from retrainer.util.supervision import Worker

log = structlog.get_logger()
TEXTS = 200
"""Texts of rules that are stored in one transaction."""


class Reload:
    """One reload at a time; thread-safe. ``leads`` returns whether this replica is the leader."""

    def __init__(
        self,
        settings: Settings,
        config_maps: ConfigMaps,
        engine: Engine,
        ingestion: Ingestion,
        metrics: Metrics,
        leads: Callable[[], bool],
    ) -> None:
        self.loaded: Loaded
        """The rules in force, once `now` has returned."""
        self._settings, self._config_maps, self._engine = settings, config_maps, engine
        self._ingestion, self._metrics, self._leads = ingestion, metrics, leads
        self._in_force: Configuration | None = None
        """What the engine was last switched to by this process."""
        self._dropped: list[Dropped] = []
        """The state of rules that the last reload dropped."""
        self._reloading = threading.Lock()
        self.requested = threading.Event()
        """Lets the next `look` read everything again, even if nothing has changed."""
        self._read: tuple[str, TeamFiles] = ("", NO_TEAMS)

    def look(self) -> None:
        """Reload if there are changes, or if a reload was requested."""
        if self.requested.is_set():
            self.requested.clear()
            self.everything()
        else:
            self.if_changed()

    def if_changed(self) -> None:
        """Reload if the rule files have changed since the last read. If there are problems, compare their content."""
        with self._reloading:
            self._ingestion.running.mend()
        if self._seen() == self._read and not self.loaded.problems:
            return
        loaded = self._load(self._config_maps.files)
        if loaded.files != self.loaded.files or loaded.problems != self.loaded.problems:
            self.now()

    def everything(self) -> dict[str, Any]:
        """Read everything again, including ConfigMaps of teams. Return revision, changed, problems, dropped."""
        before = self.loaded.configuration.revision
        self._config_maps.read()
        loaded = self.now()
        revision = loaded.configuration.revision
        return {
            "revision": revision,
            "changed": revision != before,
            "problems": self.problems(),
            "dropped": [asdict(dropped) for dropped in self._dropped],
        }

    def problems(self) -> list[str]:
        """Return the mistakes in the rule files as they were last read."""
        return [SECRETS.mask(str(problem)) for problem in self.loaded.problems]

    def now(self) -> Loaded:
        """Read the rules again. Broken files keep their last good text, also across a restart."""
        with self._reloading:
            self._read = self._seen()
            loaded, catalog = self._compiled(self._read[1])
            configuration = loaded.configuration
            for problem in loaded.problems:
                log.error("config.problem", problem=str(problem))
            self._metrics.configured(configuration, problems=len(loaded.problems), now=self._engine.clock.now())
            leads = self._leads()
            if leads:
                self._switch(loaded, catalog)
            else:
                self._engine.catalog = catalog  # for reads only
            self._ingestion.switch(configuration.sources, leads=leads)
            self.loaded = loaded
            log.info(
                "config.loaded",
                revision=configuration.revision,
                rules=len(configuration.rules),
                problems=len(loaded.problems),
            )
            return loaded

    def follow_pauses(self) -> None:
        """Take over which rules the leader has paused or resumed, on a standby. A reload in progress does so, too."""
        if self._leads() or not self._reloading.acquire(blocking=False):
            return
        try:
            catalog = self._engine.catalog
            followed = catalog.with_pauses(self._engine.store.read(statements.paused_rules))
            if followed is not catalog and not self._leads():
                self._engine.catalog = followed
        finally:
            self._reloading.release()

    def renew_source(self, worker: Worker) -> None:
        """Replace a source whose thread hangs. Raise NotNow while rules are being reloaded."""
        if not self._reloading.acquire(timeout=TICK):
            raise NotNow
        try:
            if not worker.stopping:  # else it was removed or replaced, and the name is another source's
                worker.abandon()
                self._ingestion.running.renew(worker.owner)
        finally:
            self._reloading.release()

    def _switch(self, loaded: Loaded, catalog: Catalog) -> None:
        """Switch the engine, and store the good texts, and since when each source is configured."""
        self._dropped = self._engine.switch(catalog)
        for dropped in self._dropped:
            log.warning("config.state_dropped", rule=dropped.rule, trigger=dropped.trigger, why=dropped.why)
        files = loaded.files
        hashes = {path: hashlib.sha256(text.encode()).hexdigest() for path, text in files.items()}

        old = self._in_force

        def store(tx: Transaction) -> None:
            for edit in edits(statements.last_good(tx.conn), files, old, loaded.configuration):
                activity.record(tx, edit)
            statements.store_good(tx.conn, files, hashes, tx.now)
            event_statements.meet_sources(tx.conn, loaded.configuration.sources, tx.now)

        self._engine.act(store).result()
        self._keep_texts(loaded, old)
        self._in_force = loaded.configuration

    def _keep_texts(self, loaded: Loaded, old: Configuration | None) -> None:
        """Keep the texts of changed rules, some in each transaction, so that the engine does not wait for long.

        Not of rules in brackets, such as in JSON: each would be the text of the whole file.
        """
        configuration = loaded.configuration
        before = old.revisions if old is not None else {}
        changed = [name for name, revision in configuration.revisions.items() if before.get(name) != revision]
        now = self._engine.clock.now()
        found = {
            rule: KeptText(configuration.rule_revision(rule), now, text.file, text.first, SECRETS.mask(text.text))
            for rule, text in texts(configuration, loaded.files, changed, own=True)
        }
        for at in range(0, len(changed), TEXTS):
            some = {name: found[name] for name in changed[at : at + TEXTS] if name in found}
            self._engine.act(partial(_keep, texts=some)).result()
        gone = self._engine.store.read(rule_texts.known_rules) - configuration.revisions.keys()
        if gone:
            self._engine.act(lambda tx: rule_texts.drop(tx.conn, gone)).result()

    def _seen(self) -> tuple[str, TeamFiles]:
        return fingerprint(self._settings.rules), self._config_maps.files

    def _compiled(self, teams: TeamFiles) -> tuple[Loaded, Catalog]:
        with gc_tuning.undisturbed():
            loaded = self._load(teams)
            catalog = build_catalog(loaded.configuration, self._engine.store.read(statements.paused_rules))
        gc_tuning.settle()
        return loaded, catalog

    def _load(self, teams: TeamFiles) -> Loaded:
        last_good = self._engine.store.read(statements.last_good)
        return load_rules(self._settings, last_good=last_good, teams=teams)


def _keep(tx: Transaction, texts: Mapping[str, KeptText]) -> None:
    rule_texts.keep(tx.conn, texts)
