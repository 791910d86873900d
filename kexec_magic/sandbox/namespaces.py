"""The few Linux calls that give a container a root, processes and a host name of its own.

Python has them only from 3.12 on (`os.unshare`), or not at all (`mount`, `pivot_root`).
"""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

__all__ = [
    "bind",
    "die_with_parent",
    "drop_capabilities",
    "enter_new_namespaces",
    "make_read_only",
    "make_subreaper",
    "mount",
    "pivot_root",
]

_libc = ctypes.CDLL(None, use_errno=True)

# linux/sched.h
_CLONE_NEWNS, _CLONE_NEWUTS, _CLONE_NEWIPC = 0x00020000, 0x04000000, 0x08000000
_CLONE_NEWUSER, _CLONE_NEWPID = 0x10000000, 0x20000000
# sys/mount.h
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT = 1, 2, 4, 8, 32
_MS_BIND, _MS_REC, _MS_PRIVATE = 4096, 16384, 1 << 18
_MNT_DETACH = 2
# A bind mount that is made read-only must keep the flags that its file system has, or a user namespace may not do it.
# statvfs(3) reports them under the numbers that mount(2) takes; 1024 is MS_NOATIME.
_KEPT = MS_NOSUID | MS_NODEV | MS_NOEXEC | 1024
# linux/prctl.h
_PR_SET_PDEATHSIG, _PR_CAPBSET_DROP, _PR_SET_CHILD_SUBREAPER = 1, 24, 36
# containerd's default set, without CAP_MKNOD: its containers have a device cgroup, ours have none.
# CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP NET_BIND_SERVICE NET_RAW SYS_CHROOT AUDIT_WRITE SETFCAP
_KEPT_CAPABILITIES = {0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 29, 31}
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41, "riscv64": 41, "armv7l": 218, "ppc64le": 203, "s390x": 217}


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def enter_new_namespaces(hostname: str) -> None:
    """Give this process new mount, process, host name and IPC namespaces, and, if it is not root's, a user namespace.

    The process namespace is that of the children to come: the first one becomes its process 1.

    Raises:
        OSError: If the kernel refuses; its text names the call.
    """
    flags = _CLONE_NEWNS | _CLONE_NEWPID | _CLONE_NEWUTS | _CLONE_NEWIPC
    user, group = os.geteuid(), os.getegid()
    if user != 0:
        flags |= _CLONE_NEWUSER
    _check(_libc.unshare(flags), "unshare")
    if user != 0:
        # The kernel lets an ordinary user map its group only after setgroups was given up (user_namespaces(7)).
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {user} 1")
        Path("/proc/self/gid_map").write_text(f"0 {group} 1")
    # Else our mounts would appear on the machine itself.
    mount("none", Path("/"), "", _MS_REC | _MS_PRIVATE)
    name = hostname.encode()
    _check(_libc.sethostname(name, len(name)), "sethostname")


def mount(source: str, target: Path, kind: str, flags: int = 0, options: str = "") -> None:
    """Call mount(2)."""
    arguments = (source.encode(), os.fsencode(target), kind.encode(), ctypes.c_ulong(flags), options.encode())
    _check(_libc.mount(*arguments), f"mount {target}")


def bind(source: Path, target: Path, *, writable: bool = False) -> None:
    """Show a file or folder of the machine at `target`, which must exist, read-only unless told otherwise."""
    mount(str(source), target, "", _MS_BIND | _MS_REC)
    if not writable:
        make_read_only(target)


def make_read_only(target: Path) -> None:
    """Let nobody write through this mount; those below it stay as they are."""
    kept = os.statvfs(target).f_flag & _KEPT
    mount("none", target, "", MS_REMOUNT | _MS_BIND | MS_RDONLY | kept)


def pivot_root(root: Path) -> None:
    """Make `root`, a mount point, this namespace's root and let go of the machine's."""
    old = root / ".old"
    old.mkdir()
    number = _PIVOT_ROOT.get(os.uname().machine)
    if number is None:
        raise OSError(f"pivot_root: its number on {os.uname().machine} is not known")
    _check(_libc.syscall(number, os.fsencode(root), os.fsencode(old)), "pivot_root")
    os.chdir("/")
    _check(_libc.umount2(b"/.old", _MNT_DETACH), "umount2")
    Path("/.old").rmdir()


def die_with_parent(signal_number: int) -> None:
    """Have the kernel send this process a signal when the thread that made it ends; no effect outside Linux."""
    if sys.platform == "linux":
        _check(_libc.prctl(_PR_SET_PDEATHSIG, signal_number, 0, 0, 0), "prctl")


def make_subreaper() -> None:
    """Become the parent of all orphans below this process, so that none can hide; no effect outside Linux."""
    if sys.platform == "linux":
        _check(_libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "prctl")


def drop_capabilities() -> None:
    """Leave to the programs started from here on what a container's root has, not what the machine's root has."""
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
    for capability in set(range(last + 1)) - _KEPT_CAPABILITIES:
        _check(_libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0), "prctl")
