"""The directory source with real files in real folders."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from sources_kit import FixedClock, ScriptedIntake

from retrainer.config.models import DirectorySource as DirectoryConfig
from retrainer.sources.base import SourceContext
from retrainer.sources.directory import DirectorySource
from retrainer.sources.files.lines import Count, StoppedError, count_on, rows
from retrainer.sources.files.listing import Scope, ignorer, list_folder
from retrainer.sources.registry import build, threaded, webhooks
from retrainer.workflows.local.removal import remove
from tests.waiting import until

NOW = 1_780_000_000.0
Start = Callable[..., DirectorySource]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "features"
    folder.mkdir()
    return folder


@pytest.fixture
def intake() -> ScriptedIntake:
    return ScriptedIntake()


@pytest.fixture
def start(tmp_path: Path, intake: ScriptedIntake) -> Iterator[Start]:
    """Start a source on the folder `features`. It is stopped at the end, and before another one starts."""
    sources: list[DirectorySource] = []

    def begin(**settings: Any) -> DirectorySource:
        stop_all()
        given = {"path": "features", "settle": "0s", "polling_interval": "50ms", **settings}
        config = DirectoryConfig(type="directory", **given)
        source = DirectorySource(SourceContext("lake", intake, FixedClock(NOW), tmp_path), config)
        sources.append(source)
        source.start()
        return source

    def stop_all() -> None:
        while sources:
            sources.pop().stop()

    yield begin
    stop_all()


def poll(source: DirectorySource, times: int = 2) -> None:
    """Wait until it has read everything that existed before this call."""
    for _ in range(times):
        before = source.polls
        until(lambda: source.polls > before, "another poll")  # noqa: B023


def put(path: Path, text: str) -> None:
    """Write atomically, so that a source without `settle` sees the whole file or none."""
    path.with_name(".writing").write_text(text)
    path.with_name(".writing").rename(path)


def keys(intake: ScriptedIntake) -> list[str]:
    return [item.data["key"] for item in intake.items]


def test_a_file_becomes_an_s3_shaped_event(folder: Path, intake: ScriptedIntake, start: Start) -> None:
    path = folder / "churn" / "2026-03-01" / "a.parquet"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"12345")
    os.utime(path, ns=(0, 1772332200_000000001))
    start()
    until(lambda: intake.items, "the file is reported")
    (event,) = intake.items
    assert (event.source, event.type, event.subject) == ("lake", "s3:ObjectCreated:Put", "churn/2026-03-01/a.parquet")
    assert event.time == pytest.approx(1772332200)
    assert event.data == {
        "bucket": "features",
        "key": "churn/2026-03-01/a.parquet",
        "size": 5,
        "etag": "5:1772332200000000001",
        "version": "",
        "sequencer": "",
        "region": "",
        "path": str(path),
    }
    assert intake.batches[0].objects == {"churn/2026-03-01/a.parquet": "5:1772332200000000001"}


def test_a_file_is_reported_once_and_again_when_its_content_changes(
    folder: Path, intake: ScriptedIntake, start: Start
) -> None:
    path = folder / "a"
    path.write_text("one")
    source = start()
    poll(source)
    put(path, "other content")
    poll(source)
    assert keys(intake) == ["a", "a"]
    first, second = intake.items
    assert first.id != second.id
    assert second.data["size"] == 13


def test_a_file_that_is_still_written_is_not_reported(folder: Path, intake: ScriptedIntake, start: Start) -> None:
    path = folder / "growing"
    path.write_bytes(b"")
    source = start(settle="1h")
    for _ in range(3):
        with path.open("ab") as file:
            file.write(b"more")
        poll(source)
    assert not intake.items
    start(settle="100ms")
    until(lambda: intake.items, "it has settled")
    assert [item.data["size"] for item in intake.items] == [12]


def test_a_restart_repeats_and_loses_nothing(folder: Path, intake: ScriptedIntake, start: Start) -> None:
    (folder / "before").write_text("x")
    poll(start())
    start().stop()
    (folder / "meanwhile").write_text("x")
    poll(start())
    assert keys(intake) == ["before", "meanwhile"]


def test_what_was_not_stored_is_reported_again(folder: Path, intake: ScriptedIntake, start: Start) -> None:
    (folder / "a").write_text("x")
    intake.failing = 3
    source = start()
    until(lambda: source.last_error, "the failure shows")
    assert source.last_error == "OSError: disk full"
    until(lambda: intake.items, "it is stored")
    poll(source)
    assert keys(intake) == ["a"]
    assert source.last_error is None


def test_back_pressure_only_delays(folder: Path, intake: ScriptedIntake, start: Start) -> None:
    (folder / "a").write_text("x")
    intake.overloaded = 5
    poll(start())
    assert keys(intake) == ["a"]


def test_nothing_is_forgotten_while_the_commit_is_under_way(folder: Path, intake: ScriptedIntake, start: Start) -> None:
    (folder / "a").write_text("x")
    intake.hold = True
    source = start()
    until(lambda: intake.held, "the batch is offered")
    assert source.polls == 0
    intake.release()
    poll(source)
    assert keys(intake) == ["a"]


def test_it_stops_while_the_engine_does_not_answer(folder: Path, intake: ScriptedIntake, start: Start) -> None:
    (folder / "a").write_text("x")
    intake.hold = True
    source = start(polling_interval="1h")
    until(lambda: intake.held, "the batch is offered")
    source.stop()
    intake.held.clear()  # the daemon died before the commit
    intake.hold = False
    poll(start())
    assert keys(intake) == ["a"]


def test_a_burst_of_2000_files_comes_in_batches_oldest_first(
    folder: Path, intake: ScriptedIntake, start: Start
) -> None:
    for n in range(2000):
        path = folder / f"{n % 20}" / f"{n}"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
        os.utime(path, (0, 1772332200 + n))
    poll(start())
    assert [int(item.data["key"].split("/")[1]) for item in intake.items] == list(range(2000))
    assert [len(batch.items) for batch in intake.batches] == [500] * 4
    assert all(len(batch.objects) == 500 for batch in intake.batches)


def test_a_removed_file_is_forgotten_without_an_event(folder: Path, intake: ScriptedIntake, start: Start) -> None:
    for name in ("stays", "goes"):
        (folder / name).write_text("x")
    source = start()
    poll(source)
    (folder / "goes").unlink()
    poll(source)
    assert sorted(keys(intake)) == ["goes", "stays"]
    assert list(intake.stored) == ["stays"]
    assert intake.batches[-1].objects == {"goes": None}
    put(folder / "goes", "back, and different")
    poll(source)
    assert sorted(keys(intake)) == ["goes", "goes", "stays"]


def test_a_folder_that_is_away_forgets_nothing(folder: Path, intake: ScriptedIntake, start: Start) -> None:
    (folder / "a").write_text("x")
    source = start()
    poll(source)
    folder.rename(folder.with_name("elsewhere"))
    poll(source)
    assert source.last_error is not None
    assert "features" in source.last_error
    assert list(intake.stored) == ["a"]
    folder.with_name("elsewhere").rename(folder)
    put(folder / "b", "x")
    poll(source)
    assert keys(intake) == ["a", "b"]
    assert source.last_error is None


def test_a_part_that_cannot_be_looked_into_hides_nothing_else(
    folder: Path, intake: ScriptedIntake, start: Start
) -> None:
    (folder / "a").write_text("x")
    name, path = "d" * 250, str(folder)
    parent = os.open(folder, os.O_RDONLY)
    for _ in range(20):  # longer than a path may be
        os.mkdir(name, dir_fd=parent)
        below = os.open(name, os.O_RDONLY, dir_fd=parent)
        os.close(parent)
        parent, path = below, f"{path}/{name}"
    os.close(parent)
    inside = f"{path}/known".removeprefix(f"{folder}/")
    intake.stored = {inside: "1:1"}
    source = start()
    poll(source)
    assert keys(intake) == ["a"]
    assert inside in intake.stored
    assert source.last_error is not None
    shutil.rmtree(folder)


def test_symlinks_lead_to_files_but_not_round_in_circles(folder: Path, intake: ScriptedIntake, start: Start) -> None:
    (folder / "real").write_text("x")
    (folder / "link").symlink_to("real")
    (folder / "circle").symlink_to(".", target_is_directory=True)
    (folder / "broken").symlink_to("nowhere")
    (folder / "self").symlink_to("self")
    os.mkfifo(folder / "pipe")
    poll(start())
    assert sorted(keys(intake)) == ["link", "real"]


@pytest.mark.parametrize(
    ("name", "reported"),
    [
        pytest.param("a.csv", True, id="file"),
        pytest.param("a.tmp", False, id="temporary"),
        pytest.param(".hidden", False, id="hidden"),
        pytest.param("x/.hidden", False, id="hidden-below"),
        pytest.param(".git/config", False, id="in-a-hidden-folder"),
        pytest.param("x/_temporary/0/part", False, id="spark"),
        pytest.param("x/_SUCCESS", True, id="marker"),
        pytest.param("a b+c%2F\n.csv", True, id="odd-characters"),
    ],
)
def test_what_is_ignored(folder: Path, intake: ScriptedIntake, start: Start, name: str, reported: bool) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("x")
    poll(start())
    assert keys(intake) == [name] * reported


def test_names_that_are_not_utf_8_stay_apart(folder: Path, intake: ScriptedIntake, start: Start) -> None:
    for name in (b"a\xff", b"a\xfe", rb"a\xff", rb"a\x5cxff"):
        Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_text("x")
    poll(start())
    assert sorted(keys(intake)) == sorted([r"a\xff", r"a\xfe", r"a\x5cxff", r"a\x5cx5cxff"])
    assert all(orjson.dumps(item.data) for item in intake.items)  # raises for invalid Unicode


@pytest.mark.parametrize(
    ("name", "content", "rows"),
    [
        pytest.param("a.csv", "id,x\n1,2\n3,4\n", 2, id="csv-less-its-header"),
        pytest.param("a.CSV", "id,x\n1,2", 1, id="last-line-without-end"),
        pytest.param("a.csv", "", 0, id="empty"),
        pytest.param("a.csv", "id,x\n", 0, id="header-only"),
        pytest.param("a.jsonl", '{"a": 1}\n{"a": 2}\n', 2, id="jsonl"),
        pytest.param("a.jsonl", "{}\n" * 700_000, 700_000, id="larger-than-a-chunk"),
        pytest.param("a.parquet", "a\nb\n", None, id="other-types-have-none"),
    ],
)
def test_rows(folder: Path, intake: ScriptedIntake, start: Start, name: str, content: str, rows: int | None) -> None:
    (folder / name).write_text(content)
    poll(start(rows="lines"))
    assert intake.items[0].data.get("rows") == rows


@pytest.mark.parametrize(
    ("mtime", "time"),
    [
        pytest.param(1772332200, 1772332200, id="as-written"),
        pytest.param(NOW + 3600, NOW + 3600, id="a-clock-an-hour-ahead"),
        pytest.param(NOW + 10 * 365 * 86400, NOW, id="far-future-means-now"),
        pytest.param(-5, NOW, id="before-1970-means-now"),
    ],
)
def test_event_time(folder: Path, intake: ScriptedIntake, start: Start, mtime: float, time: float) -> None:
    (folder / "a").write_text("x")
    os.utime(folder / "a", (0, mtime))
    poll(start())
    assert intake.items[0].time == time


def test_the_bucket_may_have_a_name_of_its_own(folder: Path, intake: ScriptedIntake, start: Start) -> None:
    (folder / "a").write_text("x")
    poll(start(bucket="lake-prod", path=str(folder)))
    assert intake.items[0].data["bucket"] == "lake-prod"


def test_the_registry_knows_who_serves_what(tmp_path: Path, intake: ScriptedIntake) -> None:
    from retrainer.config.models import WebhookSource

    directory = DirectoryConfig(type="directory", path="x")
    hook = WebhookSource(type="webhook", path="/hooks/x")
    sources = {"lake": directory, "push": hook}
    assert {name: wanted.config for name, wanted in threaded(sources, leads=True).items()} == {"lake": directory}
    assert threaded(sources, leads=False) == {}  # each replica would count its files
    assert webhooks(sources) == {"push": hook}
    assert build("lake", directory, intake, FixedClock(NOW), tmp_path).name == "lake"


def test_a_fifo_that_takes_a_files_place_hides_nothing(folder: Path, intake: ScriptedIntake, start: Start) -> None:
    (folder / "a.csv").write_text("id\n1\n")
    source = start(rows="lines")
    poll(source)
    (folder / "a.csv").unlink()
    os.mkfifo(folder / "a.csv")
    put(folder / "b.csv", "id\n1\n")
    poll(source)
    assert keys(intake) == ["a.csv", "b.csv"]
    assert list(intake.stored) == ["b.csv"]
    assert source.last_error is None


@pytest.mark.parametrize(
    ("links", "reported"),
    [pytest.param("inside", ["in"], id="inside"), pytest.param("anywhere", ["in", "out", "via"], id="anywhere")],
)
def test_links_are_followed_as_far_as_is_asked(
    folder: Path, intake: ScriptedIntake, start: Start, links: str, reported: list[str]
) -> None:
    outside = folder.with_name("outside")
    outside.mkdir()
    (outside / "secret").write_text("x")
    (folder / ".hidden").write_text("x")
    (folder / "in").symlink_to(folder / ".hidden")
    (folder / "out").symlink_to(outside / "secret")
    (folder / "via").symlink_to("folder/secret")
    (folder / "folder").symlink_to(outside)
    (folder / "zero").symlink_to("/dev/zero")
    source = start(links=links)
    poll(source)
    assert sorted(keys(intake)) == reported
    assert source.last_error is None


def test_what_is_passed_over_is_told_once(
    folder: Path, intake: ScriptedIntake, start: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "self").symlink_to("self")
    (folder / "nowhere").symlink_to("no/such/file")
    (folder / "zero").symlink_to("/dev/zero")
    os.mkfifo(folder / "pipe")
    (folder / "z").write_text("x")
    poll(start(), times=4)
    said = capsys.readouterr().out
    assert keys(intake) == ["z"]
    assert said.count("directory.passed_over") == 1
    assert "nowhere: a link to a missing file; pipe: a FIFO; self: a link that leads to itself" in said
    assert "count=4" in said


@pytest.mark.parametrize(
    "replace",
    [
        pytest.param(lambda path, _: os.mkfifo(path), id="a-fifo"),
        pytest.param(lambda path, _: path.symlink_to(path.name), id="a-link-to-itself"),
        pytest.param(lambda path, other: path.symlink_to(other), id="a-link-to-a-file-like-it"),
        pytest.param(lambda path, other: other.rename(path), id="a-file-like-it"),
        pytest.param(lambda path, _: path.mkdir(), id="a-folder"),
        pytest.param(lambda *_: None, id="nothing"),
    ],
)
def test_what_takes_a_files_place_before_it_is_opened_is_not_read(folder: Path, replace: Any) -> None:
    path, other = folder / "a", folder.with_name("other")
    for one in (path, other):
        one.write_text("x")
        os.utime(one, (0, NOW))
    file = list_folder(Scope(str(folder), ignorer([])), {}).changed["a"]
    path.unlink()
    replace(path, other)
    with pytest.raises(OSError, match="a"):
        file.open(str(folder))


def test_a_folder_that_becomes_a_link_while_it_is_looked_at_leads_nowhere(folder: Path) -> None:
    outside = folder.with_name("outside")
    outside.mkdir()
    (outside / "secret").write_text("x")
    (folder / "sub").mkdir()

    def ignored(key: str) -> bool:
        if key == "sub/":
            (folder / "sub").rmdir()
            (folder / "sub").symlink_to(outside)
        return False

    listing = list_folder(Scope(str(folder), ignored), {"sub/known": "1:1"})
    assert listing.changed == {}
    assert not listing.knows("sub/known")
    assert listing.knows("sub2/known")


def test_a_file_that_grows_as_fast_as_it_is_read_has_an_end() -> None:
    with Path("/dev/zero").open("rb") as endless:
        count = Count("")
        assert count_on(count, endless, 3 * 2**20, lambda: False)
        assert rows(count, "a.jsonl") == 1
        with pytest.raises(StoppedError):
            count_on(Count(""), endless, 2**63, lambda: True)


def test_a_huge_file_is_counted_in_pieces_and_holds_up_no_other(
    folder: Path, intake: ScriptedIntake, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("directory", "files.lines"):
        monkeypatch.setattr(f"retrainer.sources.{module}.AT_ONCE", 10)
    (folder / "huge.csv").write_text("id\n" + "1\n" * 100)
    os.utime(folder / "huge.csv", (0, NOW - 60))
    for n in range(3):
        put(folder / f"{n}.csv", "id\n1\n2\n")
    start(rows="lines")
    until(lambda: len(intake.items) == 4, "all are reported")
    assert keys(intake) == ["0.csv", "1.csv", "2.csv", "huge.csv"]
    assert [item.data["rows"] for item in intake.items] == [2, 2, 2, 100]
    assert [len(batch.items) for batch in intake.batches] == [1, 1, 1, 1]


def test_a_huge_file_that_changes_while_it_is_counted_is_counted_anew(
    folder: Path, intake: ScriptedIntake, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("retrainer.sources.files.lines.AT_ONCE", 10)
    put(folder / "huge.csv", "id\n" + "1\n" * 100)
    source = start(rows="lines")
    poll(source, times=1)
    put(folder / "huge.csv", "id\n" + "12\n" * 50)
    until(lambda: intake.items, "it is reported")
    assert [item.data["rows"] for item in intake.items] == [50]


def test_of_too_many_files_the_source_says_so_and_forgets_none(
    folder: Path, intake: ScriptedIntake, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("retrainer.sources.files.listing.MOST_FILES", 5)
    for n in range(8):
        (folder / f"{n}").write_text("x")
    intake.stored = {"known": "1:1"}
    source = start()
    poll(source)
    assert len(keys(intake)) == 5
    assert source.last_error == "more than 5 files: the others are ignored, split the folder"
    assert "known" in intake.stored


def test_more_than_one_listing_reports_come_oldest_first_all_the_same(
    folder: Path, intake: ScriptedIntake, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("retrainer.sources.files.listing.MOST_CHANGED", 7)
    for n in range(40):
        path = folder / f"{(n * 17) % 40:02}"
        path.write_text("x")
        os.utime(path, (0, 1772332200 + int(path.name)))
    start()
    until(lambda: len(intake.items) >= 40, "all are reported")
    assert keys(intake) == [f"{n:02}" for n in range(40)]


@pytest.mark.parametrize("depth", [pytest.param(1500, id="deeper-than-python-recurs")])
def test_a_deep_tree_is_listed(folder: Path, intake: ScriptedIntake, start: Start, depth: int) -> None:
    at = os.open(folder, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=at)
        below = os.open("d", os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=at))
    os.close(at)
    poll(start())
    assert keys(intake) == ["d/" * depth + "file"]
    assert remove(folder)
