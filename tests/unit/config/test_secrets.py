from pathlib import Path

import pytest

from retrainer.config.models import FromEnv, FromFile
from retrainer.config.secrets import MissingSecretError, resolve


def test_a_file_is_read_again_each_time(tmp_path: Path) -> None:
    file = tmp_path / "token"
    secret = FromFile(from_file=str(file))
    file.write_text("one\n")
    assert resolve(secret) == "one"
    file.write_text(" two ")
    assert resolve(secret) == "two"


def test_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "one")
    assert resolve(FromEnv(from_env="TOKEN")) == "one"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(None, "cannot be read (No such file or directory): mount it", id="missing"),
        pytest.param(b"\n", "is empty: write the secret into it", id="empty"),
        pytest.param(b"\xff\xfe", "cannot be read (it is not UTF-8)", id="not text"),
    ],
)
def test_a_bad_file_is_named(tmp_path: Path, content: bytes | None, expected: str) -> None:
    file = tmp_path / "token"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(MissingSecretError) as caught:
        resolve(FromFile(from_file=str(file)))
    assert str(file) in str(caught.value)
    assert expected in str(caught.value)
