#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes a file's bytes as a C array: embed.py INPUT NAME HEADER SOURCE."""

import sys


def main():
    path, name, header, source = sys.argv[1:]
    with open(path, "rb") as file:
        data = file.read()
    guard = f"{name.upper()}_H"
    with open(header, "w", encoding="ascii") as out:
        out.write("/* SPDX-License-Identifier: Apache-2.0 */\n"
                  f"/* The bytes of a file, without an end of their own. Made by schema/embed.py. */\n"
                  f"#ifndef {guard}\n#define {guard}\n\n#include <stddef.h>\n\n"
                  f"extern const char {name}[];\nextern const size_t {name}_size;\n\n#endif\n")
    with open(source, "w", encoding="ascii") as out:
        out.write(f"/* SPDX-License-Identifier: Apache-2.0 */\n#include \"{header.rsplit('/', 1)[-1]}\"\n\n"
                  f"const size_t {name}_size = {len(data)};\nconst char {name}[] = {{\n")
        for at in range(0, len(data), 16):
            out.write("\t" + " ".join(f"{byte}," for byte in data[at:at + 16]) + "\n")
        out.write("};\n")


if __name__ == "__main__":
    main()
