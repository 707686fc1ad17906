#!/usr/bin/env python3
# SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
"""A kernel's BTF on standard input, that of a kernel with another struct task_struct on standard output.

What follows each type: include/uapi/linux/btf.h.
"""
import struct
import sys

STRUCT = 4
AFTER = {1: 4, 3: 12, 14: 4, 17: 4}  # int, array, variable, tag of a declaration
FOR_EACH = {4: 12, 5: 12, 6: 8, 13: 8, 15: 12, 19: 12}  # structs, unions, enums, prototypes, sections, 64-bit enums
MEMBER = b"thread_pid"
SHIFT_BITS = 64


def main():
    data = bytearray(sys.stdin.buffer.read())
    head_size, types_at, types_size, names_at = struct.unpack_from("<IIII", data, 4)
    at, end, names = head_size + types_at, head_size + types_at + types_size, head_size + names_at

    def name(offset):
        return bytes(data[names + offset:data.index(0, names + offset)])

    while at < end:
        name_off, info = struct.unpack_from("<II", data, at)
        kind, number = info >> 24 & 31, info & 0xffff
        at += 12
        for member in range(number if kind == STRUCT and name(name_off) == b"task_struct" else 0):
            member_name, _, place = struct.unpack_from("<III", data, at + 12 * member)
            if name(member_name) == MEMBER:
                struct.pack_into("<I", data, at + 12 * member + 8, place + SHIFT_BITS)
        at += AFTER.get(kind, 0) + FOR_EACH.get(kind, 0) * number
    sys.stdout.buffer.write(data)


main()
