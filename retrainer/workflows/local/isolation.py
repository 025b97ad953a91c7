"""What prevents a step from reading the daemon's secrets and from leaving processes behind.

Runners and steps receive a small part of the daemon's environment. The rest is kernel calls.

Linux shows the environment and the memory of a process in `/proc/PID` to each process that may trace it: all processes
of the same user with the same capabilities. Two measures, each of which protects the daemon by itself:

- The daemon is not dumpable: its `/proc` belongs to root, and takes a capability (SYS_PTRACE, SYS_ADMIN, PERFMON).
- Steps have less than the daemon has: as root, without these capabilities; as another user, in a user namespace of
  their own. That also hides other processes with the same environment (an init process, a shell).
"""

from __future__ import annotations

import ctypes
import os
import sys
from contextlib import suppress
from pathlib import Path

_SET_DUMPABLE, _CAPBSET_READ, _CAPBSET_DROP, _SET_CHILD_SUBREAPER = 4, 23, 24, 36  # linux/prctl.h
_SETPCAP = 8  # linux/capability.h
_LOOK_INTO_OTHERS = (19, 21, 38)  # SYS_PTRACE, SYS_ADMIN, PERFMON: each gives full access to /proc of any process
_NEWUSER = 0x10000000  # linux/sched.h
_LINUX = sys.platform == "linux"
KEPT = ("HOME", "LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "LOGNAME", "SHELL", "TZ", "USER")
"""Variables of the daemon that a step receives, in addition to those of its template: locations, and no secrets."""
_RUNNER = (*KEPT, "PATH", "PYTHONHOME", "PYTHONPATH", "PYTHONPYCACHEPREFIX", "PYTHONDONTWRITEBYTECODE", "TMPDIR")


def environment_of_runner() -> dict[str, str]:
    """Return the environment of a runner: that of a step, and what is needed to start this interpreter."""
    return {name: os.environ[name] for name in _RUNNER if name in os.environ}


def hide() -> bool:
    """Hide this process's environment and memory from other processes of its user. Return whether the system can.

    This also disables core dumps, and debuggers of the same user.
    """
    return _prctl(_SET_DUMPABLE, 0)


def all_powerful() -> bool:
    """Return whether child programs can trace any other process, hidden or not."""
    return _LINUX and os.geteuid() == 0 and any(_prctl(_CAPBSET_READ, capability) for capability in _LOOK_INTO_OTHERS)


def adopt_orphans() -> bool:
    """Become the parent of each descendant whose own parent ends. Return whether the system can."""
    return _prctl(_SET_CHILD_SUBREAPER, 1)


def confine() -> str:
    """Remove what children of this process need to read other processes. Return why that fails, empty if it worked.

    Only for a process with one thread.
    """
    if not _LINUX:
        return f"{sys.platform} shows the environment of a process to all processes of its user"
    if os.geteuid() == 0:
        return _drop_capabilities()
    return _own_user_namespace()


def _drop_capabilities() -> str:
    # As root, each program starts with all capabilities of the bounding set. A process that lacks any capability of
    # another cannot trace it. So where none of these exists, dropping any other one is enough, as under Docker.
    wanted = [one for one in (*_LOOK_INTO_OTHERS, _SETPCAP) if _prctl(_CAPBSET_READ, one)]
    first = [one for one in wanted if one != _SETPCAP] or wanted
    if wanted and all(_prctl(_CAPBSET_DROP, one) for one in first):
        return ""
    return "root without the capability SETPCAP cannot take anything from a step"


def _own_user_namespace() -> str:
    child = os.fork()  # tried in a child first, because a partial change cannot be undone
    if child == 0:
        done = False
        with suppress(BaseException):
            done = _enter_user_namespace()
        os._exit(0 if done else 1)
    if os.waitpid(child, 0)[1] == 0 and _enter_user_namespace():
        return ""
    return "this system does not allow user namespaces for ordinary users"


def _enter_user_namespace() -> bool:
    user, group = os.geteuid(), os.getegid()
    if _libc().unshare(_NEWUSER) != 0:
        return False
    try:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    except OSError:
        return False
    return True


def _prctl(option: int, value: int) -> bool:
    if not _LINUX:
        return False
    # Variadic: each argument must have the width that the kernel reads.
    result: int = _libc().prctl(option, *(ctypes.c_ulong(number) for number in (value, 0, 0, 0)))
    return result == (1 if option == _CAPBSET_READ else 0)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


if __name__ == "__main__":
    sys.stdout.write(confine())
