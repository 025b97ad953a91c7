"""The tables, for SQLAlchemy Core. Times are seconds since the epoch (UTC); JSON is text written by orjson."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    false,
)

metadata = MetaData()

# Names and ids are compared byte by byte wherever they are kept, so that pages and ranges mean the same.
Name = String().with_variant(String(collation="C"), "postgresql")
# BIGINT is no rowid alias in SQLite, INTEGER is.
BigId = BigInteger().with_variant(Integer, "sqlite")

meta = Table("meta", metadata, Column("name", Name, primary_key=True), Column("value", Text, nullable=False))

# The last good text of each configuration file, so that a restart with a broken one starts from it.
config_files = Table(
    "config_files",
    metadata,
    Column("path", Name, primary_key=True),
    Column("hash", Name, nullable=False),
    Column("content", Text, nullable=False),
    Column("at", Float, nullable=False),
)

# Every event that was accepted. `seq` is the one total order of all inputs: events here, the others in `journal`.
events = Table(
    "events",
    metadata,
    Column("seq", BigId, primary_key=True, autoincrement=False),
    Column("at", Float, nullable=False),  # the engine's now when it was folded
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

# Inputs of the engine that are no events: wake-ups, transitions, manual acts, pauses, rule revisions.
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

# What makes two deliveries one. Pruned by last sight.
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

# How far each part of a source was taken in; moved by compare-and-set.
positions = Table(
    "positions",
    metadata,
    Column("source", Name, primary_key=True),
    Column("partition", Name, primary_key=True),
    Column("next", BigInteger, nullable=False),
    Column("owner_epoch", BigInteger, nullable=False),
    Column("topic_id", Name, nullable=False, server_default=""),
)

# When each source was first configured, and when something last came from it.
sources = Table(
    "sources",
    metadata,
    Column("name", Name, primary_key=True),
    Column("first_seen_at", Float, nullable=False),
    Column("last_event_at", Float),
)

# The objects of a source as it last heard of them: sweeps compare against this, never against the ledger.
objects = Table(
    "objects",
    metadata,
    Column("source", Name, primary_key=True),
    Column("key", Name, primary_key=True),
    Column("fingerprint", Name, nullable=False),
    Column("sequencer", Name, nullable=False, server_default=""),
    Column("swept", Boolean, nullable=False, server_default=false()),  # found by a listing, its notification not seen
    Column("notified_at", Float),  # when somebody last told of it; empty where an older release wrote it
    sqlite_with_rowid=False,
)

# One row for each (rule, key). `state` is the engine's own encoding, `wake_at` the next moment it wants to be asked.
states = Table(
    "states",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=False),
    Column("rule", Name, nullable=False),
    Column("key", Name, nullable=False),
    Column("revision", Name, nullable=False),  # of the rule, when it was last asked
    Column("version", Integer, nullable=False),  # of the encoding
    Column("state", Text, nullable=False),
    Column("wake_at", Float),
    Column("touched_at", Float, nullable=False),
    Index("states_rule_key", "rule", "key", unique=True),
    Index("states_wake_at", "wake_at"),
)

# Which events fed which (rule, key); a run's inputs are ranges of `seq` in here. Append-only.
inputs = Table(
    "inputs",
    metadata,
    Column("state", BigId, primary_key=True, autoincrement=False),
    Column("seq", BigId, primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
)

# What `distinct_by` counted in a window that is pending, or that a run took: once each, as it came last.
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
# The live ones and those whose finalizer is still on: few, however long the history.
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

# Exactly one row for each schedule slot; a range of missed ones is one row (`slot` to `until`, `count` of them).
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

# Decisions with their reasons; a run of equal ones is one row.
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
    Column("rule", Name, nullable=False),  # the rule that could not take it, or empty
    Column("size", Integer),  # of the payload, in bytes; empty where an older release wrote it
    Index("dead_letters_size", "id", "size"),
    Index("dead_letters_event", "source", "event"),
)

# What people asked for under a name of their own, and the answer that they got: who asks again gets it again.
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

# Pauses by hand, over the rule's own mode.
pauses = Table(
    "pauses",
    metadata,
    Column("rule", Name, primary_key=True),
    Column("at", Float, nullable=False),
    Column("note", Text, nullable=False),
)

# What is being folded into each live key of a rule: a slot of a schedule, or the `input` if there is one. `after` says
# how far that went.
fan_outs = Table(
    "fan_outs",
    metadata,
    Column("rule", Name, primary_key=True),
    Column("trigger", Name, primary_key=True),
    Column("slot", Float, primary_key=True),
    Column("after", Name, nullable=False),
    Column("input", Text),
)

# Who may write, where several daemons share a store: one row, `daemon`. Every write asserts its `epoch` and leaves its
# `mark`, a number of its own. `session` is the holder's name towards the database, whose clock `lease_until` goes by;
# `url` is where the others ask it.
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

# What replicas took in that have not got the lead, until whoever has it folds it in; see `engine.inbox`.
inbox = Table(
    "inbox",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("source", Name, nullable=False),
    Column("size", Integer, nullable=False),  # items
    Column("batch", Text, nullable=False),  # see `packing`
)

# Which replicas read a source whose parts are divided among them; see `engine.readers`. `renewed_at` is a time of the
# database's clock.
readers = Table(
    "readers",
    metadata,
    Column("source", Name, primary_key=True),
    Column("reader", Name, primary_key=True),
    Column("renewed_at", Float, nullable=False),
)
