#!/usr/bin/env python3
"""Writes files as one C source with arrays: embed.py OUT.c FILE..."""
import sys
from pathlib import Path

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}

out, files = Path(sys.argv[1]), [Path(f) for f in sys.argv[2:]]
lines = ['/* Made by web/embed.py from web/dist. */', '#include "server/assets.h"', '']
for i, f in enumerate(files):
    data = f.read_bytes()
    lines.append(f"static const unsigned char bytes_{i}[] = {{")
    lines += ["    " + "".join(f"{b}," for b in data[k:k + 24]) for k in range(0, len(data), 24)]
    lines.append("    0};")
lines.append("const struct asset assets_table[] = {")
for i, f in enumerate(files):
    lines.append(f'    {{"{f.name}", "{TYPES[f.suffix]}", bytes_{i}, sizeof bytes_{i} - 1}},')
lines += ["};", f"const int assets_count = {len(files)};", ""]
out.write_text("\n".join(lines))
