"""Imports of packages whose own `__init__` pulls in far more than is used here.

`kubernetes.client` defines 700 models (80 MB, half a second); we need one or two modules of it. Memory at rest and the
time until a restarted daemon is ready are worth these lines.
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
    """Within the block, these packages (parents first) stand without their `__init__` having run.

    Submodules can be imported from them and stay; whoever imports a package itself afterwards gets it whole. Raise
    ModuleNotFoundError for one that is not installed.
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
