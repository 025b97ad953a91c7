"""The period of a rule: alerts compare the age of its last success with it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from retrainer.config.models import Calendar, Rule
from retrainer.rules.compile import compile_rule
from retrainer.rules.period import periods

HOUR, DAY = 3600, 86400
WEDNESDAY = datetime(2026, 11, 25, 12, tzinfo=UTC).timestamp()
CALENDARS = {
    "year_end": Calendar.model_validate({"dates": ["2026-12-24/2027-01-02"]}),
    "office": Calendar.model_validate({"weekdays": ["sat", "sun"]}),
}


def period(triggers: dict[str, Any], now: float = WEDNESDAY, **more: Any) -> float | None:
    raw = {"name": "churn", "triggers": triggers, "submit": {"workflow_template": "t"}, **more}
    rule = compile_rule(Rule.model_validate(raw), "r", CALENDARS)
    return periods({"churn": rule}, now).get("churn")


def cron(text: str, **more: Any) -> dict[str, Any]:
    return {"schedule": {"cron": text, **more}}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("30 2 * * *", DAY, id="nightly"),
        pytest.param("30 2 * * mon-fri", 3 * DAY, id="nightly, but for the weekend"),
        pytest.param("0 */6 * * *", 6 * HOUR, id="every six hours"),
        pytest.param("*/5 9-16 * * mon-fri", 64 * HOUR + 300, id="every five minutes of office hours"),
        pytest.param("* * * * *", 60, id="every minute"),
        pytest.param("0 3 * * sun", 7 * DAY, id="weekly"),
        pytest.param("0 3 1 * *", 31 * DAY, id="monthly"),
        pytest.param("0 3 1 1 *", 366 * DAY, id="yearly, a leap year ahead"),
    ],
)
def test_the_longest_pause_of_a_schedule(text: str, expected: float) -> None:
    assert period({"nightly": cron(text)}) == expected


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        pytest.param("2026-09-01", DAY, id="long before the year's end"),
        pytest.param("2026-12-30", 11 * DAY, id="in the year's end"),
        pytest.param("2027-01-03T12:00", 11 * DAY, id="right after it"),
    ],
)
def test_excepted_days_make_no_rule_late(now: str, expected: float) -> None:
    at = datetime.fromisoformat(now).replace(tzinfo=UTC).timestamp()
    assert period({"nightly": cron("0 2 * * *", **{"except": ["year_end"]})}, at) == expected


def test_a_zone_whose_clock_changes_makes_the_day_an_hour_longer() -> None:
    october = datetime(2026, 10, 24, tzinfo=UTC).timestamp()
    assert period({"nightly": cron("0 12 * * *", timezone="Europe/Berlin")}, october) == 25 * HOUR


NIGHTLY, HOURLY = cron("0 2 * * *"), cron("0 * * * *")
DATA = {"data": {"source": "lake", "batch": {"at_least": {"events": 1}}}}


@pytest.mark.parametrize(
    ("triggers", "when", "expected"),
    [
        pytest.param({"n": NIGHTLY, "h": HOURLY}, None, HOUR, id="of several schedules the one that pauses least"),
        pytest.param({"n": NIGHTLY, "d": DATA}, None, DAY, id="data may come or not"),
        pytest.param({"d": DATA}, None, None, id="no schedule"),
        pytest.param({"n": NIGHTLY, "d": DATA}, {"all": ["n", "d"]}, None, id="the slot alone starts nothing"),
        pytest.param({"n": NIGHTLY, "h": HOURLY, "d": DATA}, {"any": ["n", {"all": ["h", "d"]}]}, DAY, id="one does"),
    ],
)
def test_only_what_starts_the_rule_by_itself(triggers: dict[str, Any], when: Any, expected: float | None) -> None:
    assert period(triggers, **({"when": when} if when else {})) == expected
