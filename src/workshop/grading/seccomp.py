"""The system calls that a sandbox refuses: a filter for `bwrap --seccomp`, assembled here.

Namespaces hide files, processes and the network. They do not hide the kernel's keyrings, which all sandboxes of a user
share and which outlive a process; memory in memfds and System V segments is nobody's resident memory, so no limit
counts it. Both are refused, with whatever else no notebook needs: tracing, mounting, new namespaces, io_uring, bpf.
A refused call fails with "operation not permitted", so a library that only tries one goes on.
"""

from __future__ import annotations

import errno
import platform
import struct

ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

REFUSED = {  # name: numbers on x86_64 and aarch64, None where there is none
    **{"add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219)},
    **{"memfd_create": (319, 279), "memfd_secret": (447, 447)},
    **{"shmget": (29, 194), "shmctl": (31, 195), "shmat": (30, 196), "shmdt": (67, 197)},
    **{"semget": (64, 190), "semctl": (66, 191), "semop": (65, 193), "semtimedop": (220, 192)},
    **{"msgget": (68, 186), "msgctl": (71, 187), "msgrcv": (70, 188), "msgsnd": (69, 189)},
    **{"mq_open": (240, 180), "mq_unlink": (241, 181)},
    **{"ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "kcmp": (312, 272)},
    **{"pidfd_getfd": (438, 438), "process_madvise": (440, 440), "personality": (135, 92)},
    **{"perf_event_open": (298, 241), "bpf": (321, 280), "userfaultfd": (323, 282), "fanotify_init": (300, 262)},
    **{"io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427)},
    **{"unshare": (272, 97), "setns": (308, 268), "chroot": (161, 51), "pivot_root": (155, 41)},
    **{"mount": (165, 40), "umount2": (166, 39), "open_tree": (428, 428), "move_mount": (429, 429)},
    **{"fsopen": (430, 430), "fsconfig": (431, 431), "fsmount": (432, 432), "fspick": (433, 433)},
    **{"mount_setattr": (442, 442), "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265)},
    **{"init_module": (175, 105), "finit_module": (313, 273), "delete_module": (176, 106)},
    **{"kexec_load": (246, 104), "kexec_file_load": (320, 294), "reboot": (169, 142), "syslog": (103, 116)},
    **{"swapon": (167, 224), "swapoff": (168, 225), "acct": (163, 89), "quotactl": (179, 60)},
    **{"settimeofday": (164, 170), "clock_settime": (227, 112), "adjtimex": (159, 171), "clock_adjtime": (305, 266)},
    **{"iopl": (172, None), "ioperm": (173, None), "modify_ldt": (154, None), "lookup_dcookie": (212, 18)},
}

CLONE, CLONE3 = (56, 220), (435, 435)
NEW_NAMESPACES = 0x7E020000  # any CLONE_NEW... flag but the one of time, which shares its bit with a signal number
SOCKET, FAMILIES = (41, 198), (1, 2, 10, 16)
"""Sockets of a system of its own, of the network and of the kernel's news. A namespace of the network does not hold
AF_VSOCK back, the way from a virtual machine to its host."""

X32 = 0x40000000

LOAD, EQUAL, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
ALLOW, KILL, FAIL = 0x7FFF0000, 0x80000000, 0x00050000


def program(machine: str = "") -> bytes:
    """Return the filter for this machine, empty where its numbers are not known here.

    Instructions of classic BPF, each of 8 bytes: code, how many to skip if true and if false, operand.
    """
    machine = machine or platform.machine()
    if machine not in ARCHITECTURES:
        return b""
    column = list(ARCHITECTURES).index(machine)
    refused = sorted({numbers[column] for numbers in REFUSED.values() if numbers[column] is not None})
    steps = [
        (LOAD, 0, 0, 4),  # the architecture: a call made as a 32-bit program has other numbers
        (EQUAL, 1, 0, ARCHITECTURES[machine]),
        (RETURN, 0, 0, KILL),
        (LOAD, 0, 0, 0),  # the number of the call
        (AT_LEAST, 0, 1, X32),
        (RETURN, 0, 0, FAIL | errno.EPERM),
        (EQUAL, 0, 1, CLONE3[column]),  # its flags are in memory, where a filter cannot look; libraries fall back
        (RETURN, 0, 0, FAIL | errno.ENOSYS),
        (EQUAL, 0, 4, CLONE[column]),
        (LOAD, 0, 0, 16),  # the first argument: the flags
        (ANY_BIT, 0, 1, NEW_NAMESPACES),
        (RETURN, 0, 0, FAIL | errno.EPERM),
        (RETURN, 0, 0, ALLOW),
        (EQUAL, 0, 3 + len(FAMILIES), SOCKET[column]),
        (LOAD, 0, 0, 16),  # the first argument: the family
        *((EQUAL, len(FAMILIES) - at, 0, family) for at, family in enumerate(FAMILIES)),
        (RETURN, 0, 0, FAIL | errno.EAFNOSUPPORT),
        (RETURN, 0, 0, ALLOW),
        *((EQUAL, len(refused) - at, 0, number) for at, number in enumerate(refused)),
        (RETURN, 0, 0, ALLOW),
        (RETURN, 0, 0, FAIL | errno.EPERM),
    ]
    return b"".join(struct.pack("=HBBI", *step) for step in steps)
