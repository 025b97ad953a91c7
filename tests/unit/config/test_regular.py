"""Special files in place of a configuration file are read or rejected with a reason, and never block."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Any

import pytest

from retrainer.config.files import DEEPEST, find, fingerprint, read_text
from retrainer.config.load import validate
from retrainer.config.models import FromFile
from retrainer.config.secrets import MissingSecretError, resolve
from retrainer.util import regular_files as regular
from retrainer.util.regular_files import UnreadableFileError, check_regular, read_settled

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MOST = 1000
GOOD = "version: 1\nrules: [{name: a, triggers: {s: {schedule: {cron: '@daily'}}}, submit: {workflow_template: t}}]\n"


def folder(at: Path) -> None:
    at.mkdir()


def fifo(at: Path) -> None:
    os.mkfifo(at)


def a_socket(at: Path) -> None:
    listening = socket.socket(socket.AF_UNIX)
    try:
        os.chdir(at.parent)  # a socket's path has at most 107 bytes
        listening.bind(at.name)
    finally:
        listening.close()


def loop(at: Path) -> None:
    at.symlink_to(at.name)


def dangling(at: Path) -> None:
    at.symlink_to("gone.yaml")


def device(at: Path) -> None:
    at.symlink_to("/dev/zero")


def endless(at: Path) -> None:
    """A file with size 0 that never ends."""
    at.symlink_to("/proc/self/smaps")


def huge(at: Path) -> None:
    with at.open("wb") as file:
        file.truncate(1 << 40)


THINGS = [
    pytest.param(folder, "it is a folder", id="a folder"),
    pytest.param(fifo, "it is a FIFO", id="a FIFO"),
    pytest.param(a_socket, "it is a socket", id="a socket"),
    pytest.param(loop, "it is a link that leads to itself", id="a link to itself"),
    pytest.param(dangling, "No such file or directory", id="a link to nowhere"),
    pytest.param(device, "it is a device", id="/dev/zero"),
    pytest.param(endless, "it is larger than", id="more than it says"),
    pytest.param(huge, "it is larger than", id="a terabyte of nothing"),
]


@pytest.mark.parametrize(("make", "why"), THINGS)
def test_what_is_no_file_is_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], None], why: str
) -> None:
    monkeypatch.chdir(tmp_path)
    make(tmp_path / "x")
    with pytest.raises(UnreadableFileError, match=why):
        read_settled(str(tmp_path / "x"), MOST)


@pytest.mark.parametrize(("make", "why"), [one for one in THINGS if one.values[0] is not endless])
def test_as_a_secret_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], None], why: str
) -> None:
    monkeypatch.chdir(tmp_path)
    make(tmp_path / "x")
    with pytest.raises(MissingSecretError, match=why):
        resolve(FromFile(from_file=str(tmp_path / "x")))


@pytest.mark.parametrize(("make", "why"), [one for one in THINGS if one.values[0] not in (folder, endless)])
def test_as_a_rule_file_it_is_a_problem_and_the_good_file_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], None], why: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good.yaml").write_text(GOOD)
    make(tmp_path / "x.yaml")
    _, problems = validate(str(tmp_path))
    (problem,) = problems
    assert problem.file == str(tmp_path / "x.yaml")
    assert why in problem.message
    assert problem.hint
    assert fingerprint([str(tmp_path)])


@pytest.mark.parametrize(
    ("name", "why"),
    [
        pytest.param("a\0b", "its name is none that a file can have", id="NUL"),
        pytest.param("a" * 300, "File name too long", id="too long"),
        pytest.param("\udcff\ud800", "its name is none that a file can have", id="no UTF-8"),
    ],
)
def test_a_name_that_no_file_can_have_is_said(name: str, why: str) -> None:
    with pytest.raises(UnreadableFileError, match=why):
        read_settled(name, MOST)


def test_a_rule_file_with_a_name_that_is_no_text_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "good.yaml").write_text(GOOD)
    with open(os.fsencode(tmp_path) + b"/\xff.yaml", "wb") as file:  # noqa: PTH123 - the name is bytes
        file.write(b"version: 1\n")
    _, problems = validate(str(tmp_path))
    assert [problem.message for problem in problems] == ["its name is not UTF-8"]
    assert str(problems[0]).encode()
    assert fingerprint([str(tmp_path)])


def test_what_is_written_while_it_is_read_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, writes = tmp_path / "x.yaml", iter([True, False])
    file.write_text("half")
    read = regular._read

    def slowly(*given: Any) -> bytes:
        content = read(*given)
        if next(writes):
            file.write_text("whole text")
        return content

    monkeypatch.setattr(regular, "_read", slowly)
    assert read_text(str(file)) == "whole text"


def test_what_never_ends_being_written_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "x.yaml"
    file.write_text("# ")
    read = regular._read

    def slowly(*given: Any) -> bytes:
        content = read(*given)
        with file.open("a") as more:
            more.write("half a ru")
        return content

    monkeypatch.setattr(regular, "_read", slowly)
    problem = read_text(str(file))
    assert not isinstance(problem, str)
    assert problem.message == "cannot be read: it changes while it is read"


def test_folders_within_folders_are_looked_into_so_far_and_no_further(tmp_path: Path) -> None:
    deep = tmp_path
    for _ in range(2 * DEEPEST):
        deep = deep / "d"
        deep.mkdir()
    (tmp_path / "a.yaml").write_text(GOOD)
    *good, too_deep = find([str(tmp_path)]).files
    assert good == [str(tmp_path / "a.yaml")]
    assert too_deep == str(tmp_path) + "/d" * DEEPEST
    assert not isinstance(read_text(too_deep), str)


def test_a_file_at_its_limit_is_taken(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"x" * MOST)
    assert read_settled(str(tmp_path / "x"), MOST) == b"x" * MOST
    check_regular(str(tmp_path / "x"), MOST)
    with pytest.raises(UnreadableFileError, match="larger than"):
        read_settled(str(tmp_path / "x"), MOST - 1)
