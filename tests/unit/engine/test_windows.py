"""The content of a window and when a run takes it: durable, exactly once, independent of batch boundaries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from retrainer.engine.commands import operator_commands
from retrainer.event import Event
from retrainer.rules.window import FULL
from retrainer.store import queries
from retrainer.store.pages import PageRequest
from tests.unit.engine.kit import DAY, START, SUBMIT, Make, data, end, event, observed, start, state, windows

if TYPE_CHECKING:
    from tests.houses.engine import DrivenEngine

HOUR = 3600.0
Deliver = Any


def in_one(bench: DrivenEngine, events: list[Event]) -> None:
    bench.deliver(events)


def one_by_one(bench: DrivenEngine, events: list[Event]) -> None:
    for one in events:
        bench.deliver([one])


def with_restarts(bench: DrivenEngine, events: list[Event]) -> None:
    for one in events:
        bench.deliver([one])
        bench.restart()


CUTS = [
    pytest.param(in_one, id="in one batch"),
    pytest.param(one_by_one, id="one by one"),
    pytest.param(with_restarts, id="with restarts between"),
]
SIZED = [event(n, size=100, n=n) for n in range(1, 11)]
AMOUNTS: list[Any] = [
    pytest.param({"events": 4}, None, [4, 4], 2, id="events"),
    pytest.param({"bytes": "350B"}, None, [4, 4], 2, id="bytes"),
    pytest.param({"rows": 6}, "event.data.n", [3, 2, 1, 1, 1, 1, 1], 0, id="rows"),
    pytest.param({"events": 3, "bytes": "200B"}, None, [2, 2, 2, 2, 2], 0, id="the first of several: bytes"),
    pytest.param({"events": 2, "rows": 15}, "event.data.n", [2, 2, 2, 2, 2], 0, id="the first of several: events"),
    pytest.param({"events": 11}, None, [], 10, id="not enough"),
    pytest.param(None, None, [1] * 10, 0, id="nothing asked: each event"),
]


@pytest.mark.parametrize("deliver", CUTS)
@pytest.mark.parametrize(("at_least", "rows", "taken", "pending"), AMOUNTS)
def test_at_least(
    make: Make, at_least: dict[str, Any], rows: str | None, taken: list[int], pending: int, deliver: Deliver
) -> None:
    more = {"rows": rows} if rows else {}
    bench = make({"triggers": data(at_least=at_least, **more), "limits": {"overlap": "allow_all"}})
    deliver(bench, SIZED)
    assert [w["events"] for w in windows(bench)] == taken
    assert state(bench).window.events == pending


TIMES: list[Any] = [
    pytest.param({"max_wait": "1h"}, [0, 10, 59], [(60, 3)], id="max_wait: an hour after the first"),
    pytest.param({"debounce": "10m"}, [0, 9, 18], [(28, 3)], id="debounce: ten minutes after the last"),
    pytest.param({"debounce": "10m", "max_wait": "30m"}, [0, 9, 18, 27, 36], [(30, 4), (46, 1)], id="debounce, capped"),
    pytest.param({"at_least": {"events": 3}, "debounce": "10m"}, [0, 1], [], id="debounce does not stand for at_least"),
    pytest.param(
        {"at_least": {"events": 2}, "debounce": "10m", "max_wait": "1h"}, [0, 5], [(15, 2)], id="enough, then quiet"
    ),
    pytest.param({"at_least": {"events": 9}, "max_wait": "1h"}, [0], [(60, 1)], id="max_wait stands for at_least"),
    pytest.param({"at_least": {"events": 2}, "max_wait": "1h"}, [0, 1], [(1, 2)], id="at_least, before max_wait"),
]


@pytest.mark.parametrize("restarts", [pytest.param(False, id=""), pytest.param(True, id="restarted")])
@pytest.mark.parametrize(("batch", "minutes", "runs"), TIMES)
def test_time(
    make: Make, batch: dict[str, Any], minutes: list[int], runs: list[tuple[int, int]], restarts: bool
) -> None:
    bench = make({"triggers": data(batch=batch), "limits": {"overlap": "allow_all"}})
    for number, minute in enumerate(minutes):
        bench.tick(START + minute * 60 - bench.clock.time)
        bench.deliver([event(number)])
        if restarts:
            bench.restart()
    bench.tick(6 * HOUR)
    born = [(row[0] - START) / 60 for row in bench.query("SELECT created_at FROM runs ORDER BY id")]
    assert list(zip(born, [w["events"] for w in windows(bench)], strict=True)) == runs


def moment(number: int, seconds: float, **more: Any) -> Event:
    place = {"topic": "t", "partition": number % 2, "offset": 100 + number, "key": f"k{number}"}
    return Event("push", f"e{number}", "t", START + seconds, more, record=place)


@pytest.mark.parametrize("deliver", CUTS)
def test_a_window_says_from_when_to_when_how_many_how_big_and_from_where(make: Make, deliver: Deliver) -> None:
    bench = make({"triggers": data(at_least={"events": 5}, rows="event.data.rows")})
    late = [moment(0, 50), moment(1, 10), moment(2, 99), moment(3, 20), moment(4, 60)]
    deliver(bench, [Event(**{**_fields(e), "data": {"size": 10 + n, "rows": n}}) for n, e in enumerate(late)])
    (window,) = windows(bench)
    picked = {name: window[name] for name in ("events", "bytes", "rows", "start", "end", "first_key", "last_key")}
    assert picked == {
        "events": 5,
        "bytes": 60,
        "rows": 10,
        "start": START + 10,
        "end": START + 99,
        "first_key": "k0",
        "last_key": "k4",
    }
    assert window["parts"] == {"t/0": [100, 104], "t/1": [101, 103]}
    assert sum(hi - lo + 1 for lo, hi in window["ranges"]) == 5


def _fields(one: Event) -> dict[str, Any]:
    return {name: getattr(one, name) for name in Event.__slots__}


def listed(bench: DrivenEngine, run: str, page: int = 100) -> list[str]:
    ids: list[str] = []
    after: int | None = 0
    while after is not None:
        found = bench.store.read(lambda conn, a=after: queries.run_inputs(conn, run, PageRequest(a, page)))
        assert len(found.items) <= page
        ids += [item["id"] for item in found.items]
        after = found.next
    return ids


@pytest.mark.parametrize("page", [1, 2, 3, 100])
@pytest.mark.parametrize("deliver", CUTS)
def test_the_inputs_of_each_run_are_listed_exactly(make: Make, deliver: Deliver, page: int) -> None:
    bench = make(
        {"triggers": data({"k": "a"}, at_least={"events": 3}), "limits": {"overlap": "allow_all"}},
        {"triggers": data({"k": "b"})},
    )
    deliver(bench, [event(n, k="ab"[n % 2]) for n in range(12)])
    runs = [row[0] for row in bench.query("SELECT id FROM runs WHERE rule = 'rule-0' ORDER BY id")]
    assert [listed(bench, run, page) for run in runs] == [["e0", "e2", "e4"], ["e6", "e8", "e10"]]


def test_what_arrives_during_a_run_joins_the_next_one(make: Make) -> None:
    bench = make({"triggers": data(at_least={"events": 2})})
    bench.deliver([event(1), event(2)])
    (first,) = start(bench)
    bench.deliver([event(n) for n in range(3, 8)])
    bench.restart()
    bench.deliver([event(8)])
    assert start(bench) == []
    bench.gateway.observed([observed(first, "Succeeded")])
    (second,) = start(bench)
    assert [w["events"] for w in windows(bench)] == [2, 6]
    assert listed(bench, second.id) == [f"e{n}" for n in range(3, 9)]


ENDS: list[Any] = [
    pytest.param("Succeeded", {}, [], id="succeeded: it is spent"),
    pytest.param("Failed", {}, ["e1", "e2"], id="failed: it comes back"),
    pytest.param("Error", {}, ["e1", "e2"], id="error: it comes back"),
    pytest.param("Failed", {"inputs_on_failure": "keep"}, [], id="consume fired: it is spent whatever comes"),
]


@pytest.mark.parametrize(("phase", "submit", "back"), ENDS)
def test_what_a_run_took_comes_back_once_unless_it_succeeded(
    make: Make, phase: str, submit: dict[str, Any], back: list[str]
) -> None:
    bench = make({"triggers": data(at_least={"events": 2}), "submit": {**SUBMIT, **submit}})
    bench.deliver([event(1), event(2)])
    end(bench, phase)
    bench.restart()
    bench.tick(DAY)
    assert start(bench) == []  # returned inputs are not new data: they start no run
    assert state(bench).window.events == len(back)
    bench.deliver([event(3), event(4)])
    (second,) = end(bench)
    taken = [*back, "e3"] if back else ["e3", "e4"]  # with the first new event the returned inputs count again
    assert listed(bench, second.id) == taken
    assert windows(bench)[-1]["events"] == len(taken)
    assert state(bench).window.events == len(back) + 2 - len(taken)


def test_what_comes_back_keeps_its_times_keys_and_places(make: Make) -> None:
    bench = make({"triggers": data(at_least={"events": 2})})
    bench.deliver([moment(0, 5), moment(1, 90)])
    (first,) = start(bench)
    bench.deliver([moment(2, 50)])
    bench.gateway.observed([observed(first, "Failed")])
    (second,) = start(bench)
    window = windows(bench)[-1]
    assert (window["start"], window["end"]) == (START + 5, START + 90)
    assert (window["first_key"], window["last_key"]) == ("k0", "k2")
    assert window["parts"] == {"t/0": [100, 102], "t/1": [101, 101]}
    assert listed(bench, second.id) == ["e0", "e1", "e2"]


def test_every_attempt_of_a_chain_has_the_same_inputs_and_they_come_back_after_the_last(make: Make) -> None:
    retry = {"limit": 1, "backoff": {"duration": "1m"}}
    bench = make({"triggers": data(at_least={"events": 2}), "submit": {**SUBMIT, "retry": retry}})
    bench.deliver([event(1), event(2)])
    end(bench, "Failed")
    assert state(bench).window.events == 0
    bench.tick(60)
    (again,) = end(bench, "Failed")
    assert (again.attempt, listed(bench, again.id)) == (2, ["e1", "e2"])
    assert state(bench).window.events == 2


def test_a_run_retried_by_hand_tells_what_fed_its_chain(make: Make) -> None:
    bench = make({})
    bench.deliver([event(1)])
    (run,) = end(bench, "Failed")
    again = bench.act(lambda tx: operator_commands.retry(tx, run.id))
    assert listed(bench, again) == ["e1"]


POISON: list[Any] = [
    pytest.param({"size": 2**60}, "nothing is larger", id="a size beyond all reason"),
    pytest.param({"rows": 2**62}, "not a number of rows", id="rows beyond all reason"),
    pytest.param({"rows": 1e300}, "not a number of rows", id="rows beyond any integer"),
    pytest.param({"rows": -1}, "not a number of rows", id="fewer rows than none"),
    pytest.param({"rows": "7"}, "not a number of rows", id="rows as text"),
    pytest.param({"rows": True}, "not a number of rows", id="rows as a truth"),
    pytest.param({}, "event.data.rows", id="no rows"),
]


@pytest.mark.parametrize(("poison", "words"), POISON)
def test_what_cannot_be_counted_is_a_dead_letter_and_stops_nobody(
    make: Make, poison: dict[str, Any], words: str
) -> None:
    bench = make({"triggers": data(at_least={"events": 2}, rows="event.data.rows")})
    fine = {"size": 1, "rows": 1}
    outcomes = bench.deliver([event(1, **fine), event(2, **({"rows": 1} if "size" in poison else {}), **poison)])
    assert outcomes == ["matched", "dead_lettered"]
    assert words in bench.query("SELECT error FROM dead_letters")[0][0]
    bench.deliver([event(3, **fine)])
    assert [w["rows"] for w in windows(bench)] == [2]


def test_a_rule_on_ever_so_much_data_goes_on(make: Make) -> None:
    bench = make({"triggers": data(at_least={"events": 99_999})})
    for batch in range(5):
        bench.deliver([event(batch * 500 + n, size=2**53) for n in range(500)])
    bench.restart()
    assert state(bench).window.bytes == FULL


@pytest.mark.parametrize(
    ("time", "since"),
    [
        pytest.param(9.2e15, "9999-01-01T00:00:00Z", id="beyond the calendar"),
        pytest.param(-1e300, "0001-01-01T00:00:00Z", id="before the calendar"),
    ],
)
def test_a_time_that_no_calendar_has_blocks_no_run(make: Make, time: float, since: str) -> None:
    bench = make({"submit": {**SUBMIT, "parameters": {"since": "${window.start}", "of": "${events[0].time}"}}})
    bench.deliver([Event("push", "e1", "t", time, {})])
    (run,) = start(bench)
    assert dict(run.parameters) == {"since": since, "of": since}
