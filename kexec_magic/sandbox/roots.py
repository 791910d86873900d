"""What a container finds below `/`: busybox alone, the machine's tools, a shell with little, or no shell at all."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from kexec_magic.sandbox import namespaces

__all__ = ["busybox_applets", "find_static_busybox", "populate_folder", "populate_proc", "populate_root", "search_path"]

_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
_MACHINE_FOLDERS = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
_NO_SHELL = ("echo", "cat", "sleep")
# And a shell, which has `kill` and little else built in: no setsid, head, dd, stty, ps.
_BARE = (*_NO_SHELL, "grep", "ls", "mkfifo", "true")
_ELF_INTERPRETER = 3  # PT_INTERP of elf.h: a program that has one is not static
# A container's root writes below /proc as the machine's root would: runc hides the same.
_READ_ONLY_PROC = ("bus", "fs", "irq", "sys", "sysrq-trigger")
_BUSYBOX_PATH = "/bin:/usr/bin:/sbin:/usr/sbin"
_MACHINE_PATH = "/usr/bin:/usr/sbin:/bin:/sbin"
# Pods write to memory; one that fills it must not take the machine along.
_MAX_ROOT = "size=1g,mode=0755"


def find_static_busybox() -> Path | None:
    """Give the machine's busybox if it runs without any library; None if there is no such one."""
    found = shutil.which("busybox", path=os.defpath + ":/sbin:/usr/sbin:/usr/local/bin")
    if found is None:
        return None
    path = Path(found).resolve()
    with path.open("rb") as file:
        content = file.read(4096)
    if content[:5] != b"\x7fELF\x02":
        return None
    offset, size = int.from_bytes(content[32:40], "little"), int.from_bytes(content[54:56], "little")
    count = int.from_bytes(content[56:58], "little")
    kinds = [int.from_bytes(content[offset + n * size :][:4], "little") for n in range(count)]
    return None if _ELF_INTERPRETER in kinds else path


def busybox_applets(busybox: Path) -> list[str]:
    """Ask a busybox which commands it has."""
    listing = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True, timeout=10)
    return listing.stdout.split()


def search_path(spec: dict[str, Any]) -> str:
    """Give the PATH of a container's commands."""
    if not spec["isolated"]:
        own = f"{spec['folder']}/bin"
        if spec["image"] == "bare":
            return own
        return own if spec["busybox"] and spec["image"] != "tools" else f"{own}:{_MACHINE_PATH}"
    if spec["busybox"] and spec["image"] != "tools":
        return _BUSYBOX_PATH
    python = _own_python()
    return f"{_MACHINE_PATH}:{python}/bin" if python else _MACHINE_PATH


def populate_folder(spec: dict[str, Any]) -> None:
    """Fill the folder of a container that has no root of its own: the programs its PATH leads to, nothing else."""
    programs = Path(spec["folder"]) / "bin"
    programs.mkdir(parents=True, exist_ok=True)
    if spec["image"] == "tools":
        names: dict[str, str] = {"python3": sys.executable}
    elif spec["busybox"] and spec["image"] == "busybox":
        names = dict.fromkeys(spec["applets"], spec["busybox"])
    else:
        names = _few_programs(spec)
    for name, target in names.items():
        if not (programs / name).is_symlink():
            (programs / name).symlink_to(target)


def populate_root(spec: dict[str, Any]) -> None:
    """Build a container's root in its folder, as a mount that only this mount namespace sees.

    Raises:
        OSError: If the kernel refuses a mount.
    """
    root = Path(spec["folder"])
    namespaces.mount("tmpfs", root, "tmpfs", namespaces.MS_NOSUID | namespaces.MS_NODEV, _MAX_ROOT)
    for name in ("bin", "data", "dev", "etc", "proc", "root", "run", "sys", "usr", "var"):
        (root / name).mkdir(mode=0o700 if name == "root" else 0o755)
    for name in ("tmp", "var/tmp"):
        (root / name).mkdir()
        (root / name).chmod(0o1777)
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\ntty:x:5:\nnogroup:x:65534:\n")
    (root / "etc/hostname").write_text(f"{spec['pod']}\n")
    (root / "etc/hosts").write_text(f"127.0.0.1\tlocalhost\n127.0.0.1\t{spec['pod']}\n")
    _populate_programs(root, spec)
    _populate_devices(root / "dev")


def populate_proc(folder: Path) -> None:
    """Mount /proc as the first process of a new process namespace, with what would reach the machine read-only.

    A user namespace may do so only while it sees another /proc with nothing hidden: before `pivot_root`.
    """
    flags = namespaces.MS_NOSUID | namespaces.MS_NODEV | namespaces.MS_NOEXEC
    namespaces.mount("proc", folder, "proc", flags)
    for name in _READ_ONLY_PROC:
        if (path := folder / name).exists():
            namespaces.bind(path, path)


def _populate_programs(root: Path, spec: dict[str, Any]) -> None:
    if spec["image"] in ("noshell", "bare"):
        _populate_few_programs(root, spec)
    elif spec["busybox"] and spec["image"] == "busybox":
        _show(Path(spec["busybox"]), root / "bin/busybox")
        for name in spec["applets"]:
            if name != "busybox":
                (root / "bin" / name).symlink_to("busybox")
        # Scripts say /usr/bin/env; busybox itself has everything in /bin.
        (root / "usr/bin").mkdir()
        (root / "usr/bin/env").symlink_to("../../bin/busybox")
    else:
        _populate_machine(root)


def _populate_machine(root: Path) -> None:
    namespaces.bind(Path("/usr"), root / "usr")
    (root / "bin").rmdir()
    for name in _MACHINE_FOLDERS:
        _mirror(Path("/") / name, root / name)
    for name in ("etc/alternatives", "etc/ld.so.cache"):
        _mirror(Path("/") / name, root / name)
    if prefix := _own_python():
        _show(Path(prefix), root / prefix.lstrip("/"))


def _populate_few_programs(root: Path, spec: dict[str, Any]) -> None:
    # One file under several names, not links to busybox: through a link any other program would be a word away.
    for name, found in _few_programs(spec).items():
        _show(Path(found).resolve(), root / "bin" / name)
    if spec["image"] == "bare" or not spec["busybox"]:
        for name in ("usr/lib", "usr/lib64", "lib", "lib64", "etc/ld.so.cache"):
            _mirror(Path("/") / name, root / name)


def _few_programs(spec: dict[str, Any]) -> dict[str, str]:
    """Find the programs of an image that has only some, by name.

    Raises:
        OSError: If this machine lacks one.
    """
    bare = spec["image"] == "bare"
    found = {name: spec["busybox"] or _which(name) for name in (_BARE if bare else _NO_SHELL)}
    if bare:
        # Debian's busybox as sh would run every one of its programs by name (FEATURE_SH_STANDALONE).
        found["sh"] = _which("dash", "sh")
    return found


def _which(*names: str) -> str:
    for name in names:
        if found := shutil.which(name, path=os.defpath):
            return found
    raise OSError(f"this machine has no {names[-1]}")


def _own_python() -> str:
    """Give the prefix of the Python that runs this where the machine has none in /usr; else nothing."""
    return "" if Path("/usr/bin/python3").exists() else sys.base_prefix


def _populate_devices(folder: Path) -> None:
    namespaces.mount("tmpfs", folder, "tmpfs", namespaces.MS_NOSUID, "size=64m,mode=0755")
    for name in _DEVICES:
        # A user namespace may not make device files, but may show those of the machine.
        (folder / name).touch()
        namespaces.bind(Path("/dev") / name, folder / name, writable=True)
    for name in ("pts", "shm"):
        (folder / name).mkdir()
    flags = namespaces.MS_NOSUID | namespaces.MS_NOEXEC
    namespaces.mount("devpts", folder / "pts", "devpts", flags, "newinstance,ptmxmode=0666,mode=0620")
    namespaces.mount("tmpfs", folder / "shm", "tmpfs", flags | namespaces.MS_NODEV, "size=64m,mode=1777")
    links = {"ptmx": "pts/ptmx", "fd": "/proc/self/fd"}
    links |= {name: f"/proc/self/fd/{number}" for number, name in enumerate(("stdin", "stdout", "stderr"))}
    for name, target in links.items():
        (folder / name).symlink_to(target)


def _mirror(source: Path, target: Path) -> None:
    """Show what the machine has at `source`, a link as a link, if it has it."""
    if source.is_symlink():
        target.symlink_to(source.readlink())
    elif source.exists():
        _show(source, target)


def _show(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        target.mkdir(exist_ok=True)
    else:
        target.touch()
    namespaces.bind(source, target)
