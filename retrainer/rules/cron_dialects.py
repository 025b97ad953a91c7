"""Schedules of Quartz, Go, AWS and systemd, as crontab(5) expressions for error messages."""

from __future__ import annotations

import re

_EVERY = re.compile(r"(?:@every\s+|rate\(|every\s+)?(\d+)\s*([smhd])[a-z]*\)?", re.IGNORECASE)
_TIME = re.compile(r"(?:every ?day |daily )?(?:at )?([01]?\d|2[0-3]):([0-5]\d)(?::\d\d)?", re.IGNORECASE)
_AWS = re.compile(r"cron\((.+)\)")
_FIELD = re.compile(r"[\d*][\d*/,-]*|[A-Za-z]{3}([-,][A-Za-z]{3})*")
_NAMES = {"@nightly": "0 0 * * *", "@quarterly": "0 0 1 */3 *", "@weekdays": "0 0 * * 1-5"}
_MOST = {"m": 59, "h": 23, "d": 31}
_MIDNIGHT = "24"
_FIELDS = 5


def crontab_hint(text: str) -> str:
    """Return an expression of five fields that means the same, as `write "30 2 * * *"`; empty if there is none."""
    text = text.strip()
    found = _every(text) or _at(text) or _NAMES.get(text.lower()) or _fewer(text)
    return f'write "{found}"' if found else ""


def command_in(fields: list[str]) -> str:
    """Return the command behind five fields, as in the file of crontab(5); empty if there is none."""
    if len(fields) <= _FIELDS or not all(map(_FIELD.fullmatch, fields[:_FIELDS])):
        return ""
    return "" if all(_FIELD.fullmatch(field.replace("?", "*")) for field in fields) else " ".join(fields[_FIELDS:])


def _every(text: str) -> str:
    found = _EVERY.fullmatch(text)
    count, unit = (int(found[1]), found[2].lower()) if found else (0, "s")
    if not 1 <= count <= _MOST.get(unit, 0):
        return ""
    step = "*" if count == 1 else f"*/{count}"
    return {"m": f"{step} * * * *", "h": f"0 {step} * * *", "d": f"0 0 {step} * *"}[unit]


def _at(text: str) -> str:
    found = _TIME.fullmatch(text)
    return f"{int(found[2])} {int(found[1])} * * *" if found else ""


def _fewer(text: str) -> str:
    """Leave out seconds (Quartz), the year (AWS), `?`, or a command (crontab)."""
    aws = _AWS.fullmatch(text)
    fields = (aws[1] if aws else text).replace("?", "*").split()
    if aws:
        return " ".join(fields[:5]) if len(fields) == 6 else ""
    known = [field for field in fields if _FIELD.fullmatch(field)]
    if len(known) < len(fields) and len(fields) > 5:
        return " ".join(fields[:5])
    if len(fields) in (6, 7) and fields[0].isdigit():
        return " ".join(fields[1:6])
    if len(fields) == 5 and (fields[1] == _MIDNIGHT or "?" in text):
        return " ".join("0" if field == _MIDNIGHT and at == 1 else field for at, field in enumerate(fields))
    return ""
