"""Artifacts, volumes and own paths of the local engine's steps, with mounts and without."""

from __future__ import annotations

import os
import tarfile
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from retrainer.workflows.local import artifacts, file_view
from retrainer.workflows.local.artifact import Artifact
from retrainer.workflows.local.artifacts import ArtifactBudget, BadArtifactError, copy, place
from retrainer.workflows.local.outputs import BadOutputError
from retrainer.workflows.local.places import Places, followed
from retrainer.workflows.local.pod import Pod
from retrainer.workflows.local.step import LocalStep
from retrainer.workflows.local.step_files import Machine, StepFiles
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from retrainer.workflows.local.node import Outputs

FORKS = "ignore:This process .* is multi-threaded:DeprecationWarning"  # of Python 3.12; runners have one thread
pytestmark = pytest.mark.filterwarnings(FORKS)
with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    CAN_MOUNT = file_view.available()
needs_mounts = pytest.mark.skipif(not CAN_MOUNT, reason="this system allows no mounts")
MODES = [pytest.param(True, id="mounted", marks=needs_mounts), pytest.param(False, id="replaced")]


@pytest.fixture(params=MODES)
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., Outputs]:
    """Execute a pod with a shell script in the run of the test. Return its outputs."""
    (tmp_path / "project").mkdir()
    machine = Machine(tmp_path / "run", str(tmp_path / "project"), request.param, ("claim",))

    def execute(code: str, name: str = "step", given: Mapping[str, Any] | None = None, **template: Any) -> Outputs:
        mounts = template.pop("mounts", [])
        values = template.pop("values", {})
        whole = {"name": name, "script": {"command": ["sh", "-e"], "source": code, "volumeMounts": mounts}, **template}
        pod = Pod(name, whole, values, machine.run / "tasks" / name, given or {})
        step = LocalStep(pod, StepFiles(pod, machine))
        step.start(machine)
        result = until(step.ended, "it ends")
        assert (result.code, result.error, step.last_words() if result.code else "") == (0, "", "")
        return step.outputs()

    return execute


def out(name: str, path: str, **more: Any) -> dict[str, Any]:
    return {"outputs": {"artifacts": [{"name": name, "path": path, **more}]}}


def text(path: str) -> dict[str, Any]:
    return {"parameters": [{"name": "text", "valueFrom": {"path": path}}]}


def into(path: str, **more: Any) -> dict[str, Any]:
    return {"inputs": {"artifacts": [{"name": "in", "path": path, **more}]}}


@pytest.mark.parametrize("path", ["/tmp/a", "/result.txt", "/mnt/deep/er/a", "/usr/share/retrainer-test/a", "/opt/a"])
def test_a_file_goes_from_a_step_to_the_next_at_the_paths_of_both(run: Callable[..., Outputs], path: str) -> None:
    left = run(f"mkdir -p {os.path.dirname(path)}; echo 7 > {path}", "first", **out("a", path))  # noqa: PTH120
    seen = run(
        "cat /in/put > /tmp/text; wc -c < {{inputs.artifacts.in.path}} >> /tmp/text",
        "second",
        {"in": left.artifacts["a"]},
        **into("/in/put"),
        outputs=text("/tmp/text"),
    )
    assert seen.parameters == {"text": "7\n2"}
    assert not Path(path).exists()


def test_a_folder_is_handed_over_with_modes_and_links(run: Callable[..., Outputs]) -> None:
    code = "mkdir -p /mnt/d/e; echo x > /mnt/d/e/f; chmod 755 /mnt/d/e/f; ln -s e/f /mnt/d/link"
    left = run(code, "first", **out("d", "/mnt/d"))
    seen = run(
        "cat /in/link; test -x /in/e/f; test -L /in/link; echo fine > /tmp/text",
        "second",
        {"in": left.artifacts["d"]},
        **into("/in"),
        outputs=text("/tmp/text"),
    )
    assert seen.parameters == {"text": "fine"}


def test_the_next_step_cannot_change_what_others_take(run: Callable[..., Outputs]) -> None:
    left = run("echo 1 > /tmp/a", "first", **out("a", "/tmp/a"))
    given = {"in": left.artifacts["a"]}
    run("echo 2 > /in/a", "second", given, **into("/in/a"))
    assert run("cp /in/a /tmp/text", "third", given, **into("/in/a"), outputs=text("/tmp/text")).parameters == {
        "text": "1"
    }


@pytest.mark.parametrize(
    ("kept", "taken", "code", "seen"),
    [
        pytest.param({}, {}, "cat /in/d/f", "x", id="unpacked"),
        pytest.param({"none": {}}, {"none": {}}, "cat /in/d/f", "x", id="never-packed"),
        pytest.param({}, {"none": {}}, "tar xzOf /in/d d/f", "x", id="packed-as-tar"),
        pytest.param(
            {"zip": {}},
            {"none": {}},
            "python3 -c \"import zipfile; print(zipfile.ZipFile('/in/d').read('d/f').decode(), end='')\"",
            "x",
            id="packed-as-zip",
        ),
    ],
)
def test_the_form_in_which_a_step_takes_an_artifact(
    run: Callable[..., Outputs], kept: dict[str, Any], taken: dict[str, Any], code: str, seen: str
) -> None:
    more: dict[str, Any] = {"archive": kept} if kept else {}
    left = run("mkdir /tmp/d; echo x > /tmp/d/f", "first", **out("d", "/tmp/d", **more))
    also: dict[str, Any] = {"archive": taken} if taken else {}
    after = run(
        f"{code} > /tmp/text",
        "second",
        {"in": left.artifacts["d"]},
        **into("/in/d", **also),
        outputs=text("/tmp/text"),
    )
    assert after.parameters == {"text": seen}


def test_an_archive_that_a_step_made_itself_is_unpacked(run: Callable[..., Outputs]) -> None:
    code = "mkdir d; echo x > d/f; tar czf /tmp/a.tgz d"
    left = run(f"cd /tmp; {code}", "first", **out("a", "/tmp/a.tgz", archive={"none": {}}))
    after = run(
        "cp /in/a/f /tmp/text", "second", {"in": left.artifacts["a"]}, **into("/in/a"), outputs=text("/tmp/text")
    )
    assert after.parameters == {"text": "x"}


def test_a_text_of_the_template_becomes_a_file_with_its_mode(run: Callable[..., Outputs]) -> None:
    raw = {"data": "#!/bin/sh\necho {{inputs.parameters.x}}\n"}
    section = into("/opt/tool/say", raw=raw, mode=0o755)
    section["inputs"]["parameters"] = [{"name": "x"}]
    seen = run("/opt/tool/say > /tmp/text", values={"inputs.parameters.x": "y"}, **section, outputs=text("/tmp/text"))
    assert seen.parameters == {"text": "y"}


def test_what_is_optional_may_be_missing(run: Callable[..., Outputs]) -> None:
    section = {**into("/in/a", optional=True), **out("a", "/tmp/none", optional=True)}
    assert run("test ! -e /in/a", **section).artifacts == {}


def test_an_input_that_nobody_gives_is_an_error(run: Callable[..., Outputs]) -> None:
    with pytest.raises(BadArtifactError, match="its input artifact in is given by no task, and is not optional"):
        run("true", **into("/in/a"))


@pytest.mark.parametrize(
    ("code", "message"),
    [
        pytest.param("true", "a: there is no file or folder /tmp/a", id="missing"),
        pytest.param("mkfifo /tmp/a", "contains a FIFO: a", id="fifo"),
        pytest.param("mkdir /tmp/a; mkfifo /tmp/a/f", "contains a FIFO: f", id="fifo-inside"),
        pytest.param("ln -s /etc/passwd /tmp/a", "leads out of the step's own files", id="link"),
        pytest.param("mkdir /tmp/a; ln -s /etc /tmp/a/b", "contains the link b, which leads out", id="link-inside"),
        pytest.param("mkdir /tmp/a; ln -s ../../.. /tmp/a/b", "contains the link b, which leads out", id="link-up"),
        pytest.param("truncate -s 1T /tmp/a", "is larger than 1,073,741,824 bytes", id="large"),
        pytest.param("mkdir /tmp/a; for i in 1 2 3 4 5; do echo > /tmp/a/$i; done", "more than 5 files", id="many"),
    ],
)
def test_an_artifact_that_cannot_be_kept(
    run: Callable[..., Outputs], monkeypatch: pytest.MonkeyPatch, code: str, message: str
) -> None:
    monkeypatch.setattr(artifacts, "MOST_FILES", 5)
    with pytest.raises(BadOutputError, match="an output artifact cannot be kept: a: ") as raised:
        run(code, **out("a", "/tmp/a"))
    assert message in str(raised.value)


def test_a_claim_is_shared_by_the_run_and_an_empty_volume_is_not(run: Callable[..., Outputs]) -> None:
    mounts = [
        {"name": "claim", "mountPath": "/mnt/shared"},
        {"name": "scratch", "mountPath": "/scratch"},
        {"name": "claim", "mountPath": "/sub", "subPath": "a/b"},
    ]
    run("echo 1 > /mnt/shared/x; echo 2 > /scratch/x; echo 3 > /sub/y", "first", mounts=mounts)
    code = "cat /mnt/shared/x /mnt/shared/a/b/y > /mnt/shared/text; test ! -e /scratch/x"
    assert run(code, "second", mounts=mounts, outputs=text("/mnt/shared/text")).parameters == {"text": "1\n3"}


@pytest.fixture
def elsewhere() -> Iterator[Path]:
    """A folder that is not below `/tmp`: where a project or a run is below it, the step's own is not mounted."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        yield Path(folder)


def started(template: Mapping[str, Any], machine: Machine, values: Mapping[str, str]) -> LocalStep:
    pod = Pod("a", {"name": "a", **template}, values, machine.run / "tasks/a")
    step = LocalStep(pod, StepFiles(pod, machine))
    step.start(machine)
    assert (until(step.ended, "it ends").code, step.last_words()) == (0, "")
    return step


@needs_mounts
def test_a_step_sees_its_own_files_for_real(elsewhere: Path) -> None:
    (elsewhere / "project").mkdir()
    (elsewhere / "project/f").write_text("project")
    code = """
      at=/t; at="${at}mp"; echo a > $at/own            # a path that no text of the template contains
      cat f > $at/text; ls $at | grep -v -e own -e text && exit 1
      rm -rf /tmp/sub; echo {{p}} > {{p}}
    """
    machine = Machine(elsewhere / "run", str(elsewhere / "project"), mounts=True)
    template = {"script": {"command": ["sh", "-e"], "source": code}, "outputs": text("/tmp/text")}
    step = started(template, machine, {"p": "/tmp/no-such-file-of-this-machine"})
    assert step.outputs().parameters == {"text": "project"}
    assert (machine.run / "tasks/a/tmp/own").read_text() == "a\n"
    assert not Path("/tmp/no-such-file-of-this-machine").exists()


@needs_mounts
@pytest.mark.parametrize("what", ["project", "run", "value"])
def test_nothing_is_mounted_over_what_a_step_has_to_see(elsewhere: Path, tmp_path: Path, what: str) -> None:
    """A step that clears its own `/tmp` would clear that, too."""
    (tmp_path / "kept").mkdir()
    project = tmp_path if what == "project" else elsewhere
    machine = Machine((tmp_path if what == "run" else elsewhere) / "r", str(project), mounts=True)
    code = "rm -rf /tmp/*; echo cleared > /tmp/text; echo 1 > /out/x"
    template = {"script": {"command": ["sh", "-e"], "source": code}, "outputs": text("/tmp/text")}
    template["outputs"]["artifacts"] = [{"name": "x", "path": "/out/x", "optional": True}]
    code = code.replace("echo 1", "mkdir -p /out; echo 1")
    template["script"]["source"] = code
    step = started(template, machine, {"p": f"data={tmp_path}/kept"} if what == "value" else {})
    assert step.outputs().parameters == {"text": "cleared"}
    assert list(step.outputs().artifacts) == ["x"]
    assert (tmp_path / "kept").is_dir()


@pytest.mark.parametrize("run", MODES, indirect=True)
def test_programs_on_the_path_are_found_wherever_they_are(
    run: Callable[..., Outputs], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/own-tool").write_text("#!/bin/sh\necho found\n")
    (tmp_path / "bin/own-tool").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    assert run("own-tool > /tmp/text", outputs=text("/tmp/text")).parameters == {"text": "found"}


@needs_mounts
def test_a_working_directory_that_does_not_exist_is_said(tmp_path: Path) -> None:
    machine = Machine(tmp_path / "run", str(tmp_path), mounts=True)
    pod = Pod("a", {"name": "a", "container": {"command": ["true"], "workingDir": "/no/such"}}, {}, tmp_path / "pod")
    step = LocalStep(pod, StepFiles(pod, machine))
    step.start(machine)
    assert until(step.ended, "it ends").error == "[Errno 2] No such file or directory: '/no/such'"


@pytest.mark.parametrize("run", MODES, indirect=True)
@pytest.mark.parametrize(
    ("section", "value", "message"),
    [
        pytest.param(into("/in/{{p}}", raw={"data": ""}), "../../../x", r"must not contain `\.\.`", id="input"),
        pytest.param(into("{{p}}", raw={"data": ""}), "etc/x", "must be an absolute path", id="relative"),
        pytest.param(out("a", "{{p}}"), "/proc/self/x", "must not be below /proc", id="output"),
        pytest.param({"mounts": [{"name": "claim", "mountPath": "{{p}}"}]}, "/a/../..", "must not contain", id="mount"),
        pytest.param(
            {"mounts": [{"name": "claim", "mountPath": "/a", "subPath": "{{p}}"}]},
            "../../..",
            "leads out of the volume claim",
            id="part-of-a-volume",
        ),
    ],
)
def test_a_value_cannot_lead_a_path_elsewhere(
    run: Callable[..., Outputs], section: dict[str, Any], value: str, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        run("true", values={"p": value}, **section)


def test_links_are_followed_as_the_step_sees_them(tmp_path: Path) -> None:
    places = Places(tmp_path / "root", {"/tmp": tmp_path / "tmp"}, frozenset(), frozenset({"/tmp"}))
    (tmp_path / "tmp/d").mkdir(parents=True)
    for name, target in {"a": "/tmp/d/b", "d/b": "../c", "loop": "loop", "out": "/etc/x", "up": "../../../etc"}.items():
        (tmp_path / "tmp" / name).symlink_to(target)
    found = {name: followed(places, f"/tmp/{name}") for name in ("a", "loop", "out", "up", "no/such")}
    assert found == {"a": "/tmp/c", "loop": "/tmp/loop", "out": "/etc/x", "up": "/etc", "no/such": "/tmp/no/such"}


def test_an_archive_that_leads_out_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("x")
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.add(tmp_path / "x", arcname="../../evil")
    with pytest.raises(BadArtifactError, match="cannot be unpacked"):
        place(Artifact(tmp_path / "a.tar", archive="none"), {"name": "a"}, tmp_path / "b/c/in", ArtifactBudget())
    assert not (tmp_path / "evil").exists()


def test_a_bomb_is_not_unpacked(tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(bytes(2_000_000))
    with tarfile.open(tmp_path / "a.tgz", "w:gz") as archive:
        archive.add(tmp_path / "big", arcname="big")
    with pytest.raises(BadArtifactError, match="is larger than"):
        place(
            Artifact(tmp_path / "a.tgz", archive="none"), {"name": "a"}, tmp_path / "in", ArtifactBudget(size=1_000_000)
        )


def test_a_sub_path_is_a_part_of_the_artifact(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d/f").write_text("x")
    copy(tmp_path / "d", tmp_path / "kept", ArtifactBudget())
    place(Artifact(tmp_path / "kept", sub_path="f"), {"name": "a"}, tmp_path / "in", ArtifactBudget())
    assert (tmp_path / "in").read_text() == "x"
    for bad, why in {"../d": "leads out", "g": "there is no g"}.items():
        with pytest.raises(BadArtifactError, match=why):
            place(Artifact(tmp_path / "kept", sub_path=bad), {"name": "a"}, tmp_path / "in2", ArtifactBudget())


@pytest.mark.parametrize("run", MODES[:1], indirect=True)
def test_of_a_folder_that_this_machine_has_an_artifact_is_what_the_step_added(run: Callable[..., Outputs]) -> None:
    left = run("test -e /etc/passwd; mkdir /etc/own; echo 1 > /etc/own/x", **out("etc", "/etc"))
    kept = left.artifacts["etc"]
    assert isinstance(kept, Artifact)
    assert kept.path is not None
    assert sorted(path.name for path in kept.path.rglob("*")) == ["own", "x"]
    assert not Path("/etc/own").exists()
