"""What keeps a step from reading the secrets of the daemon, and from leaving processes behind: calls into the kernel.

Linux shows the environment and the memory of a process in `/proc/PID` to whoever may trace it, which is every process
of the same user that has the same capabilities. Two measures, each of which is enough for the daemon by itself:

- The daemon is not dumpable: its `/proc` belongs to root, and takes a capability (SYS_PTRACE, SYS_ADMIN, PERFMON).
- Steps have less than the daemon has: as root, without these capabilities; as another user, in a user namespace of
  their own. That also hides what stands beside the daemon with the same environment (an init process, a shell).
"""

from __future__ import annotations

import ctypes
import os
import sys
from contextlib import suppress
from pathlib import Path

_SET_DUMPABLE, _CAPBSET_READ, _CAPBSET_DROP, _SET_CHILD_SUBREAPER = 4, 23, 24, 36  # linux/prctl.h
_SETPCAP = 8  # linux/capability.h
_LOOK_INTO_OTHERS = (19, 21, 38)  # SYS_PTRACE, SYS_ADMIN, PERFMON: with any of them /proc shows all of any process
_NEWUSER = 0x10000000  # linux/sched.h
_LINUX = sys.platform == "linux"


def hide() -> bool:
    """Keep other processes of this user out of this one's environment and memory; tell whether the system can.

    Core dumps, and debuggers of the same user, are off from then on.
    """
    return _prctl(_SET_DUMPABLE, 0)


def all_powerful() -> bool:
    """Tell whether programs that this process starts may trace any other, hidden or not."""
    return _LINUX and os.geteuid() == 0 and any(_prctl(_CAPBSET_READ, one) for one in _LOOK_INTO_OTHERS)


def adopt_orphans() -> bool:
    """Become the parent of every process below this one whose own parent ends; tell whether the system can."""
    return _prctl(_SET_CHILD_SUBREAPER, 1)


def confine() -> str:
    """Take from this process's children what it takes to look into processes of other kinds; say why it cannot be.

    Only for a process with one thread. Empty if it could be done.
    """
    if not _LINUX:
        return f"{sys.platform} shows the environment of a process to all processes of its user"
    if os.geteuid() == 0:
        return _drop_capabilities()
    return _own_user_namespace()


def _drop_capabilities() -> str:
    # As root every program is started with all capabilities of the bounding set. Who has any one less than another
    # process cannot look into that one, so where there is none of these any other does, as under Docker.
    wanted = [one for one in (*_LOOK_INTO_OTHERS, _SETPCAP) if _prctl(_CAPBSET_READ, one)]
    first = [one for one in wanted if one != _SETPCAP] or wanted
    if wanted and all(_prctl(_CAPBSET_DROP, one) for one in first):
        return ""
    return "root without the capability SETPCAP cannot take anything from a step"


def _own_user_namespace() -> str:
    child = os.fork()  # what was half done could not be taken back
    if child == 0:
        done = False
        with suppress(BaseException):
            done = _enter_user_namespace()
        os._exit(0 if done else 1)
    if os.waitpid(child, 0)[1] == 0 and _enter_user_namespace():
        return ""
    return "this system gives no user namespaces to ordinary users"


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
    # Variadic: each argument must be as wide as the kernel reads it.
    result: int = _libc().prctl(option, *(ctypes.c_ulong(number) for number in (value, 0, 0, 0)))
    return result == (1 if option == _CAPBSET_READ else 0)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


if __name__ == "__main__":
    sys.stdout.write(confine())
