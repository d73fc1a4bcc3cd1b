#!/usr/bin/env python3
"""Writes files as one C source with arrays, plain and with gzip: embed.py OUT.c FILE...

index.html names the others with their hash (app.js?v=1a2b...), so that browsers may keep them for
good; the same bytes always make the same output."""
import gzip
import hashlib
import sys
from pathlib import Path

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}


def digest(data):
    return hashlib.sha256(data).hexdigest()[:16]


def array(name, data):
    rows = ["    " + "".join(f"{b}," for b in data[k:k + 24]) for k in range(0, len(data), 24)]
    return [f"static const unsigned char {name}[] = {{", *rows, "    0};"]


out, files = Path(sys.argv[1]), {Path(f).name: Path(f).read_bytes() for f in sys.argv[2:]}
for name, data in list(files.items()):
    if not name.endswith(".html"):
        continue
    for other, bytes_ in files.items():
        data = data.replace(f'"{other}"'.encode(), f'"{other}?v={digest(bytes_)}"'.encode())
    files[name] = data

lines = ["/* Made by web/embed.py from web/dist. */", '#include "server/assets.h"', ""]
for i, data in enumerate(files.values()):
    lines += array(f"plain_{i}", data) + array(f"gzip_{i}", gzip.compress(data, 9, mtime=0))
lines.append("const struct asset assets_table[] = {")
for i, (name, data) in enumerate(files.items()):
    lines.append(f'    {{"{name}", "{TYPES[Path(name).suffix]}", "{digest(data)}",')
    lines.append(f"     {{plain_{i}, sizeof plain_{i} - 1}}, {{gzip_{i}, sizeof gzip_{i} - 1}}}},")
lines += ["};", f"const int assets_count = {len(files)};", ""]
out.write_text("\n".join(lines))
