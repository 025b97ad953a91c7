from pathlib import Path

from retrainer.config.files import fingerprint


def test_it_changes_with_content_and_names_and_with_nothing_else(tmp_path: Path) -> None:
    folder, file = tmp_path / "rules", tmp_path / "extra.yaml"
    folder.mkdir()
    (folder / "a.yaml").write_text("a: 1")
    paths = [str(folder), str(file)]
    seen = [fingerprint(paths)]
    (folder / "notes.txt").write_text("not ours")
    (folder / ".a.yaml.swp").write_text("nor this")
    (folder / "a.yaml").touch()
    assert fingerprint(paths) == seen[0]
    (folder / "a.yaml").write_text("a: 2")
    seen.append(fingerprint(paths))
    (folder / "a.yaml").rename(folder / "b.yml")
    seen.append(fingerprint(paths))
    file.write_text("a: 2")
    seen.append(fingerprint(paths))
    file.unlink()
    assert fingerprint(paths) == seen[2]
    assert len(set(seen)) == 4
