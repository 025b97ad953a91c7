"""The texts of past revisions of each rule, as they stood in its file; a few of each rule, the latest last."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import orjson
from sqlalchemy import delete, select

from retrainer.store import statements
from retrainer.store import tables as t
from retrainer.store.statements import CHUNK

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from sqlalchemy import Connection

MOST = 10
"""Revisions of a rule that are kept."""
LONGEST = 16 * 1024
"""Characters of a text; longer ones are not kept."""
_ROW = "rule_text/"
_META = t.meta.c


class KeptText(NamedTuple):
    """``at``: when this revision was first loaded, in epoch seconds."""

    revision: str
    at: float
    file: str
    line: int
    text: str


def kept(conn: Connection, rule: str) -> list[KeptText]:
    """Return the kept texts of a rule, the latest first."""
    value = conn.execute(select(_META.value).where(_META.name == _ROW + rule)).scalar()
    return [KeptText(*one) for one in reversed(orjson.loads(value))] if value is not None else []


def keep(conn: Connection, texts: Mapping[str, KeptText]) -> None:
    """Store texts of rules, by name. The same revision is stored once, with its first time."""
    names = [_ROW + rule for rule in texts]
    known: dict[str, str] = {}
    for at in range(0, len(names), CHUNK):
        found = select(_META.name, _META.value).where(_META.name.in_(names[at : at + CHUNK]))
        known.update({row.name: row.value for row in conn.execute(found)})
    changed = []
    for rule, text in texts.items():
        before = [KeptText(*one) for one in orjson.loads(known.get(_ROW + rule, "[]"))]
        if len(text.text) <= LONGEST and (not before or before[-1].revision != text.revision):
            others = [one for one in before if one.revision != text.revision]
            rows = [list(one) for one in (*others, text)]  # orjson refuses named tuples
            changed.append({"name": _ROW + rule, "value": orjson.dumps(rows[-MOST:]).decode()})
    statements.put_all(conn, t.meta, changed)


def known_rules(conn: Connection) -> set[str]:
    """Return the rules of which texts are kept."""
    rows = conn.scalars(select(_META.name).where(_META.name >= _ROW, _META.name < _ROW[:-1] + "0"))
    return {name.removeprefix(_ROW) for name in rows}


def drop(conn: Connection, rules: Collection[str]) -> None:
    """Delete the texts of rules that are gone."""
    names: Iterable[str] = sorted(_ROW + rule for rule in rules)
    for name in names:
        conn.execute(delete(t.meta).where(_META.name == name))
