"""Table definitions for SQLAlchemy Core. Times are epoch seconds (UTC); JSON is text written by orjson."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Float, Index, Integer, LargeBinary, MetaData, String, Table, Text
from sqlalchemy.sql.expression import false

metadata = MetaData()

# Names and ids are compared bytewise on every database, so that pages and ranges are the same.
Name = String().with_variant(String(collation="C"), "postgresql")
# In SQLite only INTEGER is a rowid alias, BIGINT is not.
BigId = BigInteger().with_variant(Integer, "sqlite")

meta = Table("meta", metadata, Column("name", Name, primary_key=True), Column("value", Text, nullable=False))

# The last valid content of each configuration file, used if a restart finds an invalid one.
config_files = Table(
    "config_files",
    metadata,
    Column("path", Name, primary_key=True),
    Column("hash", Name, nullable=False),
    Column("content", Text, nullable=False),
    Column("at", Float, nullable=False),
)

# Accepted events. `seq` is the total order of all inputs: events are here, other inputs in `journal`.
events = Table(
    "events",
    metadata,
    Column("seq", BigId, primary_key=True, autoincrement=False),
    Column("at", Float, nullable=False),  # the engine's time when it was folded
    Column("source", Name, nullable=False),
    Column("id", Name, nullable=False),
    Column("type", Name, nullable=False),
    Column("time", Float, nullable=False),
    Column("subject", Name, nullable=False),
    Column("data", Text, nullable=False),  # see `packing`
    Column("attributes", Text, nullable=False),
    Column("outcome", Name, nullable=False),  # matched | filtered | ignored
    Column("rules", Text, nullable=False),  # the rules it matched, as a JSON list of [rule, key]
    Index("events_source_id", "source", "id"),
)

# Inputs of the engine other than events: wake-ups, transitions, manual commands, pauses, rule revisions.
journal = Table(
    "journal",
    metadata,
    Column("seq", BigId, primary_key=True, autoincrement=False),
    Column("at", Float, nullable=False),
    Column("rule", Name, nullable=False),
    Column("key", Name, nullable=False),
    Column("kind", Name, nullable=False),
    Column("payload", Text, nullable=False),
)

# Identities of events, for de-duplication. Pruned by the time they were last seen.
identities = Table(
    "identities",
    metadata,
    Column("source", Name, primary_key=True),
    Column("id", Name, primary_key=True),
    Column("seq", BigId, nullable=False),
    Column("seen_at", Float, nullable=False),
    Column("forget_at", Float, nullable=False),
    sqlite_with_rowid=False,
)
Index("identities_forget_at", identities.c.forget_at)

# The position of each partition of a source; moved by compare-and-set.
positions = Table(
    "positions",
    metadata,
    Column("source", Name, primary_key=True),
    Column("partition", Name, primary_key=True),
    Column("next", BigInteger, nullable=False),
    Column("owner_epoch", BigInteger, nullable=False),
    Column("topic_id", Name, nullable=False, server_default=""),
)

# When each source was first configured, and when it last delivered something.
sources = Table(
    "sources",
    metadata,
    Column("name", Name, primary_key=True),
    Column("first_seen_at", Float, nullable=False),
    Column("last_event_at", Float),
)

# The last known state of a source's objects. Sweeps compare against this table, never against the ledger.
objects = Table(
    "objects",
    metadata,
    Column("source", Name, primary_key=True),
    Column("key", Name, primary_key=True),
    Column("fingerprint", Name, nullable=False),
    Column("sequencer", Name, nullable=False, server_default=""),
    Column("swept", Boolean, nullable=False, server_default=false()),  # found by a listing, no notification yet
    Column("notified_at", Float),  # time of the last report; NULL if written by an older release
    sqlite_with_rowid=False,
)

# One row for each (rule, key). `state` is in the engine's encoding, `wake_at` is the time of the next evaluation.
states = Table(
    "states",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=False),
    Column("rule", Name, nullable=False),
    Column("key", Name, nullable=False),
    Column("revision", Name, nullable=False),  # of the rule at its last evaluation
    Column("version", Integer, nullable=False),  # of the encoding
    Column("state", Text, nullable=False),
    Column("wake_at", Float),
    Column("touched_at", Float, nullable=False),
    Index("states_rule_key", "rule", "key", unique=True),
    Index("states_wake_at", "wake_at"),
)

# The events that each (rule, key) counted. A run's inputs are ranges of `seq` in this table. Append-only.
inputs = Table(
    "inputs",
    metadata,
    Column("state", BigId, primary_key=True, autoincrement=False),
    Column("seq", BigId, primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
)

# Values counted by `distinct_by` in a pending window or in the window of a run, each with its last size and rows.
distincts = Table(
    "distincts",
    metadata,
    Column("state", BigId, primary_key=True, autoincrement=False),
    Column("trigger", Name, primary_key=True),
    Column("value", Name, primary_key=True),
    Column("chain", Name, primary_key=True),  # of the run and its retries; empty while pending
    Column("bytes", BigInteger, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("sequencer", Name, nullable=False),
    sqlite_with_rowid=False,
)
Index("distincts_chain", distincts.c.chain)

runs = Table(
    "runs",
    metadata,
    Column("id", Name, primary_key=True),
    Column("rule", Name, nullable=False),
    Column("key", Name, nullable=False),
    Column("phase", Name, nullable=False),
    Column("workflow", Name, nullable=False),
    Column("namespace", Name, nullable=False),
    Column("submit", Text, nullable=False),
    Column("parameters", Text, nullable=False),
    Column("labels", Text, nullable=False),
    Column("trigger", Name, nullable=False),
    Column("reason", Name, nullable=False),
    Column("revision", Name, nullable=False),
    Column("chain", Name, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("retry_of", Name),
    Column("scheduled_at", Float),
    Column("window", Text, nullable=False),
    Column("taken", Text, nullable=False),
    Column("pool", Name),
    Column("priority", Integer, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("not_before", Float, nullable=False),
    Column("admitted_at", Float),
    Column("uid", Name),
    Column("submit_attempts", Integer, nullable=False),
    Column("lease_until", Float),
    Column("submitted_at", Float),
    Column("started_at", Float),
    Column("ended_at", Float),
    Column("message", Text, nullable=False),
    Column("progress", Name, nullable=False),
    Column("outputs", Text, nullable=False),
    Column("resources", Text, nullable=False),
    Column("cause", Text, nullable=False, server_default="{}"),
    Column("promoted", Boolean),
    Column("gpu_hours", Float),
    Column("stop_requested", Name),
    Column("released", Boolean, nullable=False),
)
Index("runs_rule_key", runs.c.rule, runs.c.key, runs.c.id)
Index("runs_rule", runs.c.rule, runs.c.id)
Index("runs_chain", runs.c.chain)
# Partial indexes of live runs and of runs with a finalizer: small, whatever the length of the history.
Index(
    "runs_open",
    runs.c.phase,
    runs.c.id,
    sqlite_where=runs.c.ended_at.is_(None),
    postgresql_where=runs.c.ended_at.is_(None),
)
Index(
    "runs_unreleased", runs.c.id, sqlite_where=runs.c.released.is_(False), postgresql_where=runs.c.released.is_(False)
)
Index("runs_ended_at", runs.c.ended_at)
Index(
    "runs_live",
    runs.c.rule,
    runs.c.key,
    sqlite_where=runs.c.ended_at.is_(None),
    postgresql_where=runs.c.ended_at.is_(None),
)

# One row for each schedule slot. A range of missed slots is one row (`slot` to `until`, `count` of them).
slots = Table(
    "slots",
    metadata,
    Column("rule", Name, primary_key=True),
    Column("key", Name, primary_key=True),
    Column("trigger", Name, primary_key=True),
    Column("slot", Float, primary_key=True),
    Column("until", Float, nullable=False),
    Column("count", Integer, nullable=False),
    Column("outcome", Name, nullable=False),  # due | fired | skipped | missed
    Column("reason", Name, nullable=False),
    Column("run", Name),
    Column("at", Float, nullable=False),
    Index("slots_at", "at"),
    Index("slots_rule", "rule", "slot", "key", "trigger"),
)

# Decisions with their reasons. Consecutive equal decisions are one row.
decisions = Table(
    "decisions",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=False),
    Column("rule", Name, nullable=False),
    Column("key", Name, nullable=False),
    Column("decision", Name, nullable=False),
    Column("reason", Name, nullable=False),
    Column("detail", Text, nullable=False),
    Column("until", Float),
    Column("run", Name),
    Column("first_at", Float, nullable=False),
    Column("last_at", Float, nullable=False),
    Column("count", Integer, nullable=False),
    Column("seq", BigId, nullable=False),
    Index("decisions_rule_key", "rule", "key", "id"),
    Index("decisions_last_at", "last_at"),
)

dead_letters = Table(
    "dead_letters",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("at", Float, nullable=False),
    Column("source", Name, nullable=False),
    Column("event", Name, nullable=False),  # the event's id
    Column("reason", Name, nullable=False),  # unreadable | raised | too_many_keys
    Column("error", Text, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Column("rule", Name, nullable=False),  # the rule that failed on it, or empty
    Column("size", Integer),  # of the payload, in bytes; NULL if written by an older release
    Index("dead_letters_size", "id", "size"),
    Index("dead_letters_event", "source", "event"),
)

# Named requests with their answers: a repeated request returns the stored answer.
requests = Table(
    "requests",
    metadata,
    Column("name", Name, primary_key=True),
    Column("rule", Name, nullable=False),
    Column("key", Name, nullable=False),
    Column("at", Float, nullable=False),
    Column("asked", Text, nullable=False),
    Column("answer", Text, nullable=False),
    Index("requests_rule_key", "rule", "key", "at"),
    Index("requests_at", "at"),
)

# Who did what: acts, refusals (equal ones of an hour are one row), and edits of rule files. `id` is a ULID, `by` a
# token's name, `on_behalf_of` a user that nobody checked, `target` a source, file or route, `result` done | refused.
_WORDS = ("act", "by", "on_behalf_of", "address", "namespace", "rule", "key", "run", "target", "result", "detail")
activity = Table(
    "activity",
    metadata,
    Column("id", Name, primary_key=True),
    *(Column(name, Float, nullable=False) for name in ("at", "last_at")),
    Column("count", Integer, nullable=False),
    *(Column(name, Name, nullable=False) for name in _WORDS),
    Column("dry_run", Boolean, nullable=False),
    Index("activity_at", "at"),
    Index("activity_rule", "rule", "id"),
    Index("activity_by", "by", "id"),
)

# Manual pauses, which override the rule's mode.
pauses = Table(
    "pauses",
    metadata,
    Column("rule", Name, primary_key=True),
    Column("at", Float, nullable=False),
    Column("note", Text, nullable=False),
)

# Fan-outs: a slot of a schedule, or the `input` if there is one, that is being folded into each live key of a rule.
# `after` is the cursor: the last key that is done.
fan_outs = Table(
    "fan_outs",
    metadata,
    Column("rule", Name, primary_key=True),
    Column("trigger", Name, primary_key=True),
    Column("slot", Float, primary_key=True),
    Column("after", Name, nullable=False),
    Column("input", Text),
)

# The leader, if several replicas share a store: one row, `daemon`. Every write asserts the leader's `epoch` and stores
# its own number as `mark`. `session` is the leader's name for the database; `lease_until` is by the database's clock.
# `url` is the address of the leader for the other replicas.
leader = Table(
    "leader",
    metadata,
    Column("name", Name, primary_key=True),
    Column("epoch", BigInteger, nullable=False),
    Column("holder", Name, nullable=False),
    Column("session", Name, nullable=False),
    Column("lease_until", Float, nullable=False),
    Column("mark", BigInteger, nullable=False),
    Column("url", Name, nullable=False),
)

# Batches received by standby replicas, until the leader folds them; see `engine.replication.inbox`.
inbox = Table(
    "inbox",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("source", Name, nullable=False),
    Column("size", Integer, nullable=False),  # items
    Column("batch", Text, nullable=False),  # see `packing`
)

# Replicas that read a source and divide its partitions; see `engine.replication.readers`. `renewed_at` is by the
# database's clock.
readers = Table(
    "readers",
    metadata,
    Column("source", Name, primary_key=True),
    Column("reader", Name, primary_key=True),
    Column("renewed_at", Float, nullable=False),
)
