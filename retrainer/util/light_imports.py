"""Import submodules of packages whose `__init__` imports far more than is used here.

`kubernetes.client` defines 700 models (80 MB, half a second), of which one or two modules are used. This saves memory,
and time until a restarted daemon is ready.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from importlib.util import find_spec, module_from_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def bare(*packages: str) -> Iterator[None]:
    """Within the block, these packages (parents first) are importable without running their `__init__`.

    Submodules can be imported from them and stay loaded. A later import of the package itself runs its `__init__`.
    Raise ModuleNotFoundError for a package that is not installed.
    """
    added = []
    for name in packages:
        if name in sys.modules:
            continue
        spec = find_spec(name)
        if spec is None:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        sys.modules[name] = module_from_spec(spec)
        added.append(name)
    try:
        yield
    finally:
        for name in added:
            sys.modules.pop(name, None)
