"""Hook of mkdocs: the order of the pages, and links to files outside docs/.

The pages are written for a forge, where a relative link may lead to any file of the repository. The site shows each
such file beneath `repository/`: Markdown as a page, other text as a page with its code, a folder as a list.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mkdocs.structure.files import File, Files, InclusionLevel

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
KINDS = ("tutorial", "how-to", "reference", "concepts", "decisions")
LINK = re.compile(r"(\]\()(?![a-z]+:|#)([^)#\s]+)((?:#[^)\s]*)?\))")
_FENCE = re.compile(r"(^```.*?^```)", re.DOTALL | re.MULTILINE)
_LARGEST = 64 * 1024
"""Maximum bytes of a file that is shown as a page. A larger or binary file is copied as it is."""
_LANGUAGES = {".py": "python", ".yaml": "yaml", ".yml": "yaml", ".json": "json", ".toml": "toml", ".sh": "sh"}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Order the pages as the README.md of each folder links them."""
    config.nav = [{"Home": "README.md"}, *({_title(DOCS / kind / "README.md"): _order(DOCS / kind)} for kind in KINDS)]
    return config


def _order(folder: Path) -> list[Any]:
    """The pages and folders of a folder: its README.md, the pages that it links to in order, then all others."""
    index = folder / "README.md"
    linked = [(folder / link).resolve() for _, link, _ in LINK.findall(index.read_text())]
    inside = [path for path in linked if folder in (path.parent, path.parent.parent)]
    named = [path.parent if path.name == "README.md" and path.parent != folder else path for path in inside]
    every = [path for path in sorted(folder.iterdir()) if path.suffix == ".md" or (path.is_dir() and _pages(path))]
    order = [path for path in dict.fromkeys([index, *named, *every]) if path in every]
    return [_entry(path) for path in order]


def _pages(folder: Path) -> list[Path]:
    return sorted(folder.glob("**/*.md"))


def _entry(path: Path) -> str | dict[str, Any]:
    if path.suffix == ".md":
        return path.relative_to(DOCS).as_posix()
    if (path / "README.md").exists():
        return {_title(path / "README.md"): _order(path)}
    return {path.name.capitalize(): [page.relative_to(DOCS).as_posix() for page in _pages(path)]}


def _title(page: Path) -> str:
    return page.read_text().partition("\n")[0].removeprefix("# ")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add every file and folder outside docs/ that a page links to, directly or through another such page."""
    waiting, seen = [path for page in _pages(DOCS) for path in _outside(page)], set[Path]()
    while waiting:
        path = waiting.pop()
        if path not in seen and path.exists():
            seen.add(path)
            files.append(_generated(path, config))
            waiting += _outside(path) if path.suffix == ".md" else []
            waiting += _listed(path) if _is_list(path) else []
    return files


def _outside(page: Path) -> Iterator[Path]:
    for part in _FENCE.split(page.read_text())[::2]:
        for _, link, _ in LINK.findall(part):
            target = _target(page, link)
            if not target.is_relative_to(DOCS) and target.is_relative_to(ROOT):
                yield target


def _target(page: Path, link: str) -> Path:
    """The target of a link: for a folder its README.md, if it has one."""
    path = Path(os.path.normpath(page.parent / link))
    return path / "README.md" if (path / "README.md").exists() else path


def _is_list(path: Path) -> bool:
    return path.is_dir()


def _listed(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.iterdir()) if path.is_file() and path.name[0] not in "._"]


def _generated(path: Path, config: MkDocsConfig) -> File:
    if path.suffix == ".md":
        content: str | None = path.read_text()
    elif _is_list(path):
        links = "\n".join(f"- [{one.name}]({path.name}/{one.name})" for one in _listed(path))
        content = f"# {path.relative_to(ROOT)}\n\n{links}\n"
    else:
        content = _as_code(path)
    if content is None:
        return File.generated(config, _uri(path), abs_src_path=str(path), inclusion=InclusionLevel.NOT_IN_NAV)
    return File.generated(config, _uri(path), content=content, inclusion=InclusionLevel.NOT_IN_NAV)


def _as_code(path: Path) -> str | None:
    """The file as a page that is excluded from search. None if it is too large or binary."""
    try:
        text = path.read_text() if path.stat().st_size <= _LARGEST else None
    except UnicodeDecodeError:
        return None
    if text is None:
        return None
    head = f"---\nsearch: {{exclude: true}}\n---\n# {path.relative_to(ROOT)}\n\n"
    return f"{head}````{_LANGUAGES.get(path.suffix, 'text')}\n{text.rstrip()}\n````\n"


def _uri(path: Path) -> str:
    """The path of a repository file among the sources of the site."""
    if path.is_relative_to(DOCS):
        return path.relative_to(DOCS).as_posix()
    uri = f"repository/{path.relative_to(ROOT).as_posix()}"
    shown = path.suffix == ".md" or (path.is_file() and _as_code(path) is None)
    return uri if shown else f"{uri}.md"


def on_page_markdown(markdown: str, page: Page, **_others: Any) -> str:
    """Replace links to repository files by links of the site."""
    here = page.file.src_uri
    path = ROOT / here.removeprefix("repository/") if here.startswith("repository/") else DOCS / here

    def moved(found: re.Match[str]) -> str:
        target = _target(path, found[2])
        if not target.is_relative_to(ROOT) or not target.exists():
            return found[0]  # mkdocs reports the broken link
        return f"{found[1]}{os.path.relpath(_uri(target), Path(here).parent)}{found[3]}"

    parts = _FENCE.split(markdown)
    return "".join(part if number % 2 else LINK.sub(moved, part) for number, part in enumerate(parts))
