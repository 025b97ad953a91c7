# ruff: noqa: E501 - a table with one case a line
"""Which files are loaded, and what happens when some of them are invalid."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from retrainer.config.load import Loaded, load_rules, load_settings, validate

SETTINGS = "version: 1\nengine: {type: local, templates: templates, runs: runs}\n"


def rule(name: str, source: str = "") -> str:
    trigger = f"data: {{source: {source}}}" if source else "schedule: {cron: '@daily'}"
    return f"  - {{name: {name}, triggers: {{t: {{{trigger}}}}}, submit: {{workflow_template: x}}}}\n"


def rules(*names: str, source: str = "") -> str:
    return "version: 1\nrules:\n" + "".join(rule(name, source) for name in names)


PLATFORM = "version: 1\nsources:\n  lake: {type: directory, path: landing}\n"


class Home:
    """A folder with a settings file. Rule files are written and loaded by short names."""

    def __init__(self, folder: Path) -> None:
        self.rules = folder / "rules"
        self.rules.mkdir()
        (folder / "retrainer.yaml").write_text(SETTINGS)
        self.settings = load_settings(str(folder / "retrainer.yaml"))
        self.loaded: Loaded | None = None

    def write(self, **files: str | None) -> None:
        for name, text in files.items():
            path = self.rules / f"{name}.yaml"
            path.unlink(missing_ok=True) if text is None else path.write_text(text)

    def load(self) -> Loaded:
        """Load as the daemon does: the configuration in use is the last known good one."""
        self.loaded = load_rules(self.settings, last_good=self.loaded.files if self.loaded else {})
        return self.loaded

    def names(self) -> list[str]:
        assert self.loaded
        return [rule.name for rule in self.loaded.configuration.rules]

    def at_fault(self) -> set[str]:
        assert self.loaded
        return {Path(problem.file).stem for problem in self.loaded.problems}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def test_all_files_of_a_folder_are_one_configuration(home: Home) -> None:
    home.write(platform=PLATFORM, a=rules("a", source="lake"), b=rules("b", "c"))
    loaded = home.load()
    assert not loaded.problems
    assert home.names() == ["a", "b", "c"]
    assert loaded.configuration.positions["rules.c"] == f"{home.rules}/b.yaml:4:5"
    source = loaded.configuration.sources["lake"]
    assert source.type == "directory"
    assert source.path == str(home.rules / "landing")


def test_a_broken_file_keeps_its_last_good_text_and_does_not_hold_up_the_others(home: Home) -> None:
    home.write(a=rules("a"), b=rules("b"))
    home.load()
    home.write(a=rules("a", "a2"), b="version: 1\nrules: [")
    home.load()
    assert (home.names(), home.at_fault()) == (["a", "a2", "b"], {"b"})
    home.write(b=rules("b", "b2"))
    home.load()
    assert (home.names(), home.at_fault()) == (["a", "a2", "b", "b2"], set())


def test_a_broken_file_without_a_last_good_text_is_left_out(home: Home) -> None:
    home.write(a=rules("a"), b=rules("b").replace("cron", "crn"))
    home.load()
    assert (home.names(), home.at_fault()) == (["a"], {"b"})


OLD: Mapping[str, str] = {"platform": PLATFORM, "a": rules("a", source="lake"), "b": rules("b")}


@pytest.mark.parametrize(
    ("new", "names", "at_fault"),
    [
        pytest.param({"a": rules("a", "b")}, ["a", "b"], {"a"}, id="a duplicate is the fault of who added it, first in order"),
        pytest.param({"b": rules("a", "b")}, ["a", "b"], {"b"}, id="a duplicate is the fault of who added it, last in order"),
        pytest.param({"a": rules("c", source="lakes"), "b": rules("d")}, ["a", "d"], {"a"}, id="unknown source"),
        pytest.param(
            {"platform": PLATFORM.replace("lake", "sea"), "b": rules("d")}, ["a", "d"], {"a", "platform"}, id="source renamed under a rule"
        ),
        pytest.param({"platform": None, "b": rules("d")}, ["a", "d"], {"a", "platform"}, id="source's file removed under a rule"),
        pytest.param({"platform": "version: 1\nsources: [", "a": rules("c", source="lake")}, ["b", "c"], {"platform"}, id="unreadable source file"),
        pytest.param({"b": None}, ["a"], set(), id="a removed file is gone"),
        pytest.param({"b": rules("a"), "a": rules("b")}, ["a", "b"], set(), id="rules that change places"),
        pytest.param({"platform": None, "a": None, "b": ""}, ["b"], {"b"}, id="half written"),
        pytest.param({"b": "apiVersion: v1\nkind: ConfigMap\n"}, ["a", "b"], {"b"}, id="a manifest by mistake"),
    ],
)  # fmt: skip
def test_the_file_at_fault_falls_back(
    home: Home, new: Mapping[str, str | None], names: list[str], at_fault: set[str]
) -> None:
    home.write(**OLD)
    home.load()
    home.write(**new)
    home.load()
    assert (home.names(), home.at_fault()) == (names, at_fault)


def test_a_restart_with_broken_files_starts_from_the_last_good_ones(home: Home) -> None:
    home.write(**OLD)
    good = home.load()
    home.write(platform="nonsense", a="- 1", b=rules("b").replace("version: 1", "version: 7"))
    bad = load_rules(home.settings, last_good=good.files)
    assert bad.configuration == good.configuration
    assert bad.files == good.files
    assert len(bad.problems) == 3


def test_what_needs_a_broken_file_is_left_out_and_says_so(home: Home) -> None:
    home.write(platform=PLATFORM + "  [", a=rules("a", source="lake"), b=rules("b"))
    loaded = home.load()
    assert (home.names(), home.at_fault()) == (["b"], {"a", "platform"})
    assert [p.message for p in loaded.problems if p.file.endswith("a.yaml")] == [
        "it is ignored: it does not fit together with the other files as they are now"
    ]


def test_a_secret_that_goes_missing_does_not_drop_what_was_good(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUSH_TOKEN", "x")
    webhook = "version: 1\nsources:\n  push: {type: webhook, path: /hooks/p, token: {from_env: PUSH_TOKEN}}\n"
    home.write(a=webhook + rules("a", source="push").removeprefix("version: 1\n"))
    home.load()
    monkeypatch.delenv("PUSH_TOKEN")
    loaded = home.load()
    assert home.names() == ["a"]
    assert [problem.kind for problem in loaded.problems] == ["environment"]


def test_a_folder_that_is_not_there_for_a_moment_keeps_its_rules(home: Home) -> None:
    home.write(a=rules("a"))
    home.load()
    home.rules.rename(home.rules.with_name("elsewhere"))
    loaded = home.load()
    assert home.names() == ["a"]
    assert [problem.message for problem in loaded.problems] == ["there is no such file or folder"]


def test_a_config_map_is_read_through_its_links_and_once(home: Home) -> None:
    data = home.rules / "..2026_01_01"
    data.mkdir()
    (data / "a.yaml").write_text(rules("a"))
    (home.rules / "..data").symlink_to(data.name)
    (home.rules / "a.yaml").symlink_to("..data/a.yaml")
    assert not home.load().problems
    assert home.names() == ["a"]
    swapped = home.rules / "..2026_01_02"
    swapped.mkdir()
    (swapped / "a.yaml").write_text(rules("b"))
    (home.rules / "..tmp").symlink_to(swapped.name)
    (home.rules / "..tmp").replace(home.rules / "..data")
    home.load()
    assert home.names() == ["b"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(b"version: 1\nrules: []\n# \xff\n", "3:3: not UTF-8: byte 0xff (save the file as UTF-8)", id="bad UTF-8"),
        pytest.param(b"\xef\xbb\xbfversion: 1\r\nrulez: []\r\n", "2:1: rulez: unknown field", id="byte order mark and CRLF"),
    ],
)  # fmt: skip
def test_bytes(tmp_path: Path, content: bytes, expected: str) -> None:
    file = tmp_path / "a.yaml"
    file.write_bytes(content)
    assert expected in str(validate(str(file))[1][0])


@pytest.mark.parametrize(
    ("old", "new", "whole", "one"),
    [
        pytest.param("daily", "hourly", True, True, id="a schedule"),
        pytest.param(
            "- {name: a,", "# comment\n  - {description: more words, name: a,", False, False, id="words and layout"
        ),
        pytest.param("name: b,", "name: bb,", True, False, id="another rule"),
        pytest.param("dates: [2026-12-24]", "dates: [2026-12-25]", True, True, id="a calendar it leaves out"),
        pytest.param("dates: [2026-01-01]", "dates: [2026-01-02]", False, False, id="a calendar nobody uses"),
        pytest.param("gpu: 4", "gpu: 5", True, False, id="a pool"),
    ],
)
def test_revisions_change_with_the_meaning(home: Home, old: str, new: str, whole: bool, one: bool) -> None:
    head = "version: 1\npools: {gpu: 4}\ncalendars: {c: {dates: [2026-12-24]}, d: {dates: [2026-01-01]}}\nrules:\n"
    text = head + rule("a").replace("'@daily'", "'@daily', except: [c]") + rule("b")
    assert old in text
    home.write(a=text)
    before = home.load().configuration
    home.write(a=text.replace(old, new, 1))
    after = home.load().configuration
    assert not home.at_fault()
    assert (before.revision != after.revision) == whole
    assert (before.rule_revision("a") != after.rule_revision("a")) == one
    assert len(after.revision) == 12


def test_the_order_of_files_and_rules_does_not_matter(home: Home) -> None:
    home.write(a=rules("a", "b"), b=rules("c"))
    before = home.load().configuration
    home.write(a=rules("c", "b"), b=rules("a"))
    assert home.load().configuration.revision == before.revision


SHADOW = "root:$6$abc$def:20420:0:99999:7:::\ndaemon:*:20420:0:99999:7:::\n"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(SHADOW, id="passwords"),
        pytest.param(SHADOW.replace("*", "!"), id="with another sign"),
        pytest.param("secret: s3cr3t\nuser: me\n", id="a map"),
        pytest.param("s3cr3t: 017\nno: yes\n", id="a map of what would be refused"),
    ],
)
def test_of_a_file_that_is_none_of_ours_nothing_is_told(tmp_path: Path, text: str) -> None:
    """A symbolic link may refer to any file of the machine, so the error shows none of its content."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text(text)
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules/a.yaml").symlink_to(elsewhere)
    _, (problem,) = validate(str(tmp_path / "rules"))
    assert problem.message == "this is not a rule file: it has none of its fields"
    assert not {"root", "daemon", "s3cr3t", "99999", "017"} & set(
        re.split(r"[^a-z0-9]+", problem.render().replace(str(tmp_path), ""))
    )


def test_a_field_that_is_misspelt_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("rule: []\n")
    assert any("did you mean `rules`" in problem.hint for problem in validate(str(tmp_path))[1])
