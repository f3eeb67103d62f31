"""Docker's default profile as the floor's filter: for each architecture a binary search over runs of system calls with one
decision. It is written by hand, apart from Corten's own compiler, and libseccomp tells the numbers of calls.

    floor_filter.py PROFILE >filter.h
"""

import ctypes
import json
import sys

ALLOW, ERROR = 0x7FFF0000, 0x00050000
LOAD, EQUAL, AT_LEAST, ANY_BIT, AND, RETURN, JUMP = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06, 0x05
NUMBER, ARCHITECTURE, ARGUMENT = 0, 4, 16  # offsets in struct seccomp_data; the low word of the first argument
X86_64, X32, I386 = 0xC000003E, 0x4000003E, 0x40000003
X32_BIT = 0x40000000
DENY = ERROR | 1
CALLS = 1024

libseccomp = ctypes.CDLL("libseccomp.so.2")


def decisions(profile, architecture):
    """Number -> decision, or the list of conditions on the first argument."""
    table = {}
    for entry in profile["syscalls"]:
        for name in entry["names"]:
            number = libseccomp.seccomp_syscall_resolve_name_arch(architecture, name.encode())
            if number < 0:
                continue
            if architecture == X32:
                number &= ~X32_BIT
            if entry.get("args"):
                table.setdefault(number, []).append(entry["args"][0])
            else:
                table[number] = ALLOW if entry["action"] == "SCMP_ACT_ALLOW" else ERROR | entry.get("errnoRet", 1)
    return table


def runs(table):
    """(first number, decision), where the decision changes."""
    numbers = range(CALLS)
    return [(n, table.get(n, DENY)) for n in numbers if n == 0 or table.get(n, DENY) != table.get(n - 1, DENY)]


def leaf(decision):
    if isinstance(decision, int):
        return [(RETURN, 0, 0, decision)]
    first = decision[0]
    ends = [(RETURN, 0, 0, DENY), (RETURN, 0, 0, ALLOW)]
    if first["op"] == "SCMP_CMP_MASKED_EQ":
        tests = [(ANY_BIT, 0, 1, first["value"])]
    elif first["op"] == "SCMP_CMP_NE":
        tests = [(EQUAL, 0, 1, first["value"])]
    else:
        tests = [(EQUAL, len(decision) - i, 0, test["value"]) for i, test in enumerate(decision)]
    return [(LOAD, 0, 0, ARGUMENT), *tests, *ends]


def search(table):
    if len(table) == 1:
        return leaf(table[0][1])
    middle = len(table) // 2
    low, high = search(table[:middle]), search(table[middle:])
    bound = table[middle][0]
    if len(low) < 255:
        return [(AT_LEAST, len(low), 0, bound), *low, *high]
    return [(AT_LEAST, 0, 1, bound), (JUMP, 0, 0, len(low)), *low, *high]


def program(profile):
    x86_64, x32, i386 = (search(runs(decisions(profile, architecture))) for architecture in (X86_64, X32, I386))
    wide = [(LOAD, 0, 0, NUMBER), (ANY_BIT, 0, 1, X32_BIT), (JUMP, 0, 0, len(x86_64)), *x86_64]
    wide += [(AND, 0, 0, ~X32_BIT & 0xFFFFFFFF), *x32]
    head = [(LOAD, 0, 0, ARCHITECTURE), (EQUAL, 1, 0, X86_64), (JUMP, 0, 0, len(wide))]
    return [*head, *wide, (EQUAL, 1, 0, I386), (RETURN, 0, 0, 0), (LOAD, 0, 0, NUMBER), *i386]


with open(sys.argv[1]) as file:
    lines = ["{%d, %d, %d, %du}," % instruction for instruction in program(json.load(file))]
print("static const struct sock_filter filter[] = {", *lines, "};", sep="\n")
