#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Makes a unified kernel image: uki.py STUB KERNEL INITRD COMMAND-LINE OUT.

The stub is systemd's (linuxaa64.efi.stub, linuxx64.efi.stub), a PE program that starts the kernel in
its section .linux with the initrd in .initrd and the command line in .cmdline (UAPI group, "Unified
Kernel Image"). The sections go behind the stub's own; PE/COFF specification, sections 3 and 4.
"""

import struct
import sys

SECTION = struct.Struct("<8sIIIIIIHHI")
READ, DATA = 0x40000000, 0x00000040


def round_up(n, unit):
    return -(-n // unit) * unit


class Image:
    """A PE program as bytes, with the places in its headers that adding a section changes."""

    def __init__(self, data):
        self.data = bytearray(data)
        self.pe, = struct.unpack_from("<I", data, 0x3C)
        if data[self.pe:self.pe + 4] != b"PE\0\0":
            raise ValueError("the stub is no PE program")
        self.count, = struct.unpack_from("<H", data, self.pe + 6)
        optional_size, = struct.unpack_from("<H", data, self.pe + 20)
        self.optional = self.pe + 24
        self.table = self.optional + optional_size
        self.section_unit, self.file_unit = struct.unpack_from("<II", data, self.optional + 32)
        self.headers_size, = struct.unpack_from("<I", data, self.optional + 60)

    def sections(self):
        for i in range(self.count):
            yield SECTION.unpack_from(self.data, self.table + i * SECTION.size)

    def add(self, name, content):
        at = self.table + self.count * SECTION.size
        begin = min([s[4] for s in self.sections() if s[4]] + [self.headers_size])
        if at + SECTION.size > begin:
            raise ValueError(f"the stub's headers have no room for {name}")
        address = max(round_up(s[2] + s[1], self.section_unit) for s in self.sections())
        self.data += bytes(round_up(len(self.data), self.file_unit) - len(self.data))
        size = round_up(len(content), self.file_unit)
        SECTION.pack_into(self.data, at, name.encode(), len(content), address, size,
                          len(self.data), 0, 0, 0, 0, READ | DATA)
        self.data += content + bytes(size - len(content))
        self.count += 1
        struct.pack_into("<H", self.data, self.pe + 6, self.count)
        end = round_up(address + len(content), self.section_unit)
        struct.pack_into("<I", self.data, self.optional + 56, end)


def read(path):
    with open(path, "rb") as file:
        return file.read()


def main():
    stub, kernel, initrd, command_line, out = sys.argv[1:]
    image = Image(read(stub))
    image.add(".osrel", b"ID=remora\nNAME=Remora\nPRETTY_NAME=Remora\n")
    image.add(".cmdline", command_line.encode())
    image.add(".initrd", read(initrd))
    image.add(".linux", read(kernel))
    with open(out, "wb") as file:
        file.write(image.data)


main()
