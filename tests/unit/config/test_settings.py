# ruff: noqa: E501 - a table with one case a line
from pathlib import Path

import pytest

from retrainer.config.errors import ConfigErrors
from retrainer.config.load import load_settings, validate
from retrainer.config.settings import LocalEngine, VolumeManifests


def write(tmp_path: Path, text: str) -> str:
    file = tmp_path / "retrainer.yaml"
    file.write_text(text)
    return str(file)


def test_relative_paths_are_seen_from_the_files_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "token").write_text("secret\n")
    write(
        tmp_path,
        "version: 1\nrules: [rules, /etc/rules]\nengine: {type: local, templates: t, runs: /var/runs}\n"
        "store: {path: data/r.db}\nhttp: {token: {from_file: token}}\n"
        "manifests: {type: volume, path: fed, uri: 'file:///data/fed'}\n",
    )
    monkeypatch.chdir(tmp_path.parent)
    settings = load_settings(f"{tmp_path.name}/retrainer.yaml")
    assert settings.rules == [f"{tmp_path}/rules", "/etc/rules"]
    assert isinstance(settings.engine, LocalEngine)
    assert (settings.engine.templates, settings.engine.runs) == (f"{tmp_path}/t", "/var/runs")
    assert settings.store.path == f"{tmp_path}/data/r.db"
    assert isinstance(settings.manifests, VolumeManifests)
    assert settings.manifests.path == f"{tmp_path}/fed"
    assert settings.http.token
    assert settings.http.token.model_dump() == {"from_file": f"{tmp_path}/token"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("engine: {type: argo}", "1:1: version: `version` is missing (begin with `version: 1`)", id="version"),
        pytest.param("version: 1", "1:1: engine: `engine` is missing (add `engine: {type: argo, namespaces: [ml]}`)", id="engine"),
        pytest.param("version: 1\nengine: {type: argos}", "2:9: engine: unknown type 'argos' (did you mean `argo`?)", id="type of engine"),
        pytest.param("version: 1\nengine: {type: argo, instanceid: x}", "2:22: engine.instanceid: unknown field `instanceid` (did you mean `instance_id`?)", id="unknown field"),
        pytest.param("version: 1\nengine: {type: argo}\nhttp: {host: 0.0.0.0}", "3:14: http.host: the API would be open to everyone who can reach 0.0.0.0", id="open to all"),
        pytest.param("version: 1\nengine: {type: argo}\nhttp: {token: {from_env: NO_SUCH_VARIABLE}}", "3:15: http.token: the environment variable NO_SUCH_VARIABLE is not set", id="missing secret"),
        pytest.param("version: 1\nengine: {type: argo}\nhttp: {tls: {certificate: no.pem, key: /etc/passwd}}", "3:27: http.tls.certificate: ", id="no certificate"),
        pytest.param('version: 1\nengine: {type: argo}\ntracing: {endpoint: "collector:4318"}', "3:21: tracing.endpoint: 'collector:4318' is not allowed here (write such as http://collector:4318)", id="an address without its scheme"),
        pytest.param("version: 1\nengine: {type: argo}\nhttp: {read_token: {from_env: HOME}}", "3:8: http.read_token: a read-only token has no effect without", id="readers only"),
        pytest.param("version: 1\nengine: {type: argo, namespaces: [fraud]}\nhttp:\n  tokens:\n    - {name: a, token: {from_env: HOME}, namespaces: [frod]}", "5:55: http.tokens[0].namespaces[0]: `frod` is not among the engine's namespaces, so no rule runs there (did you mean `fraud`?)", id="token for an unknown namespace"),
        pytest.param("version: 1\nengine: {type: argo, namespaces: [fraud]}\nhttp:\n  tokens:\n    - {name: a, token: {from_env: HOME}, namespaces: []}", "5:54: http.tokens[0].namespaces: a token without a namespace has no use (name one, or write `all`)", id="token for no namespace"),
        pytest.param("version: 1\nengine: {type: argo, namespaces: [fraud]}\nhttp:\n  tokens:\n    - {name: a, token: {from_env: HOME}, namespaces: fraud}", "5:54: http.tokens[0].namespaces: expected a list or `all`", id="namespace without a list"),
        pytest.param("version: 1\nengine: {type: argo, namespaces: [fraud]}\nhttp:\n  tokens:\n    - {name: a, token: {from_env: HOME}, }", "5:7: http.tokens[0].namespaces: `namespaces` is missing", id="token without namespaces"),
        pytest.param("version: 1\nengine: {type: argo, namespaces: [fraud]}\nhttp:\n  tokens:\n    - {name: a, token: {from_env: HOME}, namespaces: all, verbs: [write]}", "5:67: http.tokens[0].verbs[0]: ", id="unknown verb"),
        pytest.param("version: 1\nengine: {type: argo, namespaces: [fraud]}\nhttp:\n  tokens:\n    - {name: a, token: {from_env: HOME}, namespaces: all, verbs: []}", "5:66: http.tokens[0].verbs: ", id="no verb"),
        pytest.param("version: 1\nengine: {type: argo, namespaces: [fraud]}\nhttp:\n  tokens:\n    - {name: a, token: {from_env: HOME}, namespaces: [fraud], verbs: [read, administer]}", "5:77: http.tokens[0].verbs[1]: `administer` concerns the rules of all namespaces (remove it, or write `namespaces: all` for the token)", id="team that administers"),
        pytest.param("version: 1\nengine: {type: argo, namespaces: [fraud]}\nhttp:\n  tokens:\n    - {name: a, token: {from_env: HOME}, namespaces: all}\n    - {name: a, token: {from_env: PATH}, namespaces: all}", "6:14: http.tokens[1].name: another token is named `a`", id="tokens of one name"),
        pytest.param("version: 1\nengine: {type: argo}\nhttp: {tokens: [{name: files, token: {from_env: HOME}, namespaces: all}]}", "3:24: http.tokens[0].name: `files` stands for something else in the list of activity", id="reserved name of a token"),
        pytest.param("version: 1\nengine: {type: argo}\nmanifests: {type: s3, url: lake/x}", "3:28: manifests.url: ", id="not a bucket"),
        pytest.param("version: 1\nengine: {type: argo}\nhttp: {port: 70000}", "3:14: http.port: ", id="port"),
        pytest.param("version: 1\nengine: {type: argo}\nstore: {url: 'mysql://u@h/d'}", "3:14: store.url: the store is a SQLite file (`path`) or a PostgreSQL database", id="another database"),
        pytest.param("version: 1\nengine: {type: argo}\nstore: {url: 'postgresql://u@h:port/d'}", "3:14: store.url: this cannot be read as a URL", id="no URL"),
        pytest.param("version: 1\nengine: {type: argo}\nstore: {url: 'postgresql://u@h'}", "3:14: store.url: host or database is missing", id="no database"),
        pytest.param("version: 1\nengine: {type: argo}\nstore: {password: {from_env: HOME}}", "3:9: store.password: a SQLite file has no password", id="a file with a password"),
        pytest.param("version: 1\nengine: {type: argo}\nstore: {url: 'postgresql://u@h/d', password: {from_env: NO_SUCH_VARIABLE}}", "3:46: store.password: the environment variable NO_SUCH_VARIABLE is not set", id="missing password"),
        pytest.param("- 1", "1:1: expected a map", id="not a map"),
        pytest.param("", "1:1: the file is empty", id="empty"),
    ],
)  # fmt: skip
def test_mistakes(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(ConfigErrors) as caught:
        load_settings(write(tmp_path, text))
    assert [
        str(problem).replace(f"{tmp_path}/retrainer.yaml:", "")[: len(expected)] for problem in caught.value.problems
    ] == [expected]


@pytest.mark.parametrize(
    "url", ["postgresql://u:c4nary@h/d", "postgresql://u@h/d?password=c4nary", "mysql://u:c4nary@h/d"]
)
def test_a_password_in_the_stores_url_is_refused_and_never_shown(tmp_path: Path, url: str) -> None:
    with pytest.raises(ConfigErrors) as caught:
        load_settings(write(tmp_path, f"version: 1\nengine: {{type: argo}}\nstore: {{url: '{url}'}}"))
    assert "this one holds a password" in str(caught.value)
    assert "c4nary" not in str(caught.value)


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigErrors, match=r"cannot be read: No such file"):
        load_settings(str(tmp_path / "nope.yaml"))


def test_validate_takes_settings_and_rules_together(tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "a.yaml").write_text(
        "version: 1\nrules:\n  - {name: a, triggers: {t: {schedule: {cron: '@daily'}}}, submit: {workflow_template: x, namespace: mll}}\n"
    )
    write(tmp_path, "version: 1\nengine: {type: argo, namespaces: [ml], instanceid: x}\n")
    configuration, problems = validate(str(tmp_path))
    assert configuration is None
    assert [f"{problem.path}: {problem.message} ({problem.hint})" for problem in problems] == [
        "engine.instanceid: unknown field `instanceid` (did you mean `instance_id`?)",
        "rules[0].submit.namespace: `mll` is not among the engine's namespaces (did you mean `ml`?)",
    ]
