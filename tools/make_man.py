#!/usr/bin/env python3
"""The manual pages: what the program says of itself, and the prose in docs/man.

    make_man.py ATTUNE SOURCE FOLDER [VERSION]      FOLDER: within the prefix when Meson installs

attune(1) and a page a command from its --help (attune-server in section 8), attune.yaml(5) from
`attune server --settings-markdown`, libattune(3) from the public header. Nothing here names an
option: a page cannot fall behind the program.
"""
import os
import re
import subprocess
import sys

MAN8 = {"server"}


def run(*command):
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)


def text(s):
    """Escaped for roff."""
    s = s.replace("\\", "\\e").replace("-", "\\-")
    return "\n".join("\\&" + line if line[:1] in ".'" else line for line in s.split("\n"))


def indent(line):
    return len(line) - len(line.lstrip())


def split_item(line):
    """'  --name ARG   what it is' as (term, text), or None; the text may begin a line later."""
    m = re.match(r"^( {0,4})(\S.*?)(?:  +(\S.*))?$", line)
    if not m or (not m[3] and not m[2].startswith("--")):
        return None
    return m[2], m[3] or ""


def items(lines):
    """Options and the like, each with its continuation lines; the rest are None, line."""
    out = []
    for line in lines:
        item = split_item(line)
        if item and (indent(line) or item[1]):
            out.append([item[0], [item[1]] if item[1] else []])
        elif out and indent(line) > 4 and out[-1][0] is not None:
            out[-1][1].append(line.strip())
        else:
            out.append([None, [line]])
    return out


def block(lines):
    """A paragraph of the help as roff: a list of items, an example as it is, or prose."""
    got = items(lines)
    if any(i[0] and (i[0].startswith("-") or indent(l)) for i, l in zip(got, lines)):
        out = []
        for term, body in got:
            if term is None:
                out += [".PP", text(body[0].strip())]
            else:
                out += [".TP", "\\fB" + text(term) + "\\fR", text(" ".join(body)) or "\\&"]
        return out
    if any(indent(l) >= 2 for l in lines):
        return [".PP", ".nf", *(text(l) for l in lines), ".fi"]
    return [".PP", *(text(l) for l in lines)]


def paragraphs(help_text):
    return [p.split("\n") for p in re.split(r"\n\s*\n", help_text.strip("\n")) if p.strip()]


def body(help_text, heading):
    """SYNOPSIS, DESCRIPTION and OPTIONS of one help text; heading: of each, before its name."""
    synopsis, out, title = [], [], None
    for p in paragraphs(help_text):
        if re.match(r"usage:", p[0]):
            synopsis += [re.sub(r"^(usage:|      ) ?", "", l) for l in p]
            continue
        want = "DESCRIPTION" if title in (None, "DESCRIPTION") else "NOTES"
        if p[0].lstrip().startswith("--"):
            want = "OPTIONS"
        elif re.match(r"examples?:", p[0]):
            want, p[0] = "EXAMPLE", re.sub(r"^examples?:\s*", "", p[0])
            p = [l for l in p if l.strip()]
            if title != want:
                out.append(f".SH {heading}{want}")
            title = want
            out += [".nf", *(text(l.strip()) for l in p), ".fi"]
            continue
        elif p[0].startswith("exit status:"):
            want, p[0] = "EXIT STATUS", p[0][len("exit status:"):].strip()
        if title != want:
            out.append(f".SH {heading}{want}")
            title = want
        out += block(p)
    head = [f".SH {heading}SYNOPSIS", ".nf", *(text(l) for l in synopsis), ".fi"] if synopsis else []
    return head + out


def verbs(attune):
    """What commands have of verbs with a help of their own: {command: [verb]}."""
    found = {}
    for command, verb in re.findall(r"^    ([a-z-]+)/([a-z-]+)\)", run(attune, "completion", "bash").stdout, re.M):
        found.setdefault(command, []).append(verb)
    return found


class Pages:
    def __init__(self, folder, version):
        self.folder, self.version = folder, version

    def write(self, name, section, summary, lines):
        folder = os.path.join(self.folder, f"man{section}")
        os.makedirs(folder, exist_ok=True)
        head = [f'.TH {name.upper()} {section} "" "attune {self.version}"', ".SH NAME", f"{name} \\- {text(summary)}"]
        with open(os.path.join(folder, f"{name}.{section}"), "w") as f:
            f.write("\n".join(head + lines) + "\n")


def see_also(*names):
    return [".SH SEE ALSO", ", ".join(f"\\fB{n}\\fR({s})" for n, s in names)]


def prose(source, name):
    """Sections by hand: docs/man/NAME.txt, headings in capitals at the line's start."""
    path = os.path.join(source, "docs", "man", name + ".txt")
    if not os.path.exists(path):
        return []
    out = []
    for p in paragraphs(open(path).read()):
        if len(p) == 1 and p[0].isupper():
            out.append(".SH " + p[0])
        else:
            out += block(p)
    return out


def command_pages(attune, source, pages):
    listing = run(attune, "--help").stdout
    verbs_of = verbs(attune)
    commands = re.findall(r"^  ([a-z][a-z-]*) +(\S.*)$", listing, re.M)
    for name, summary in commands:
        help_text = run(attune, name, "--help").stdout
        lines = body(help_text, "")
        for verb in verbs_of.get(name, []):
            said = run(attune, name, verb, "--help").stdout
            if said != help_text:
                lines += body(said, f"{verb.upper()}: ")
        lines += prose(source, f"attune-{name}") + see_also(("attune", 1), ("attune.yaml", 5))
        pages.write(f"attune-{name}", 8 if name in MAN8 else 1, summary, lines)
    lines = body(listing, "") + prose(source, "attune")
    refs = [(f"attune-{n}", 8 if n in MAN8 else 1) for n, _ in commands]
    pages.write("attune", 1, "keeps small vision models on cameras accurate",
                lines + see_also(*refs, ("attune.yaml", 5), ("libattune", 3)))


def markdown(source_text):
    """The part of Markdown that our generated tables have, as roff."""
    out, code = [], False
    for line in source_text.split("\n"):
        if line.startswith("```"):
            code = not code
            out.append(".nf" if code else ".fi")
        elif code:
            out.append(text(line))
        elif line.startswith("#"):
            out.append(".SH " + text(line.lstrip("# ").replace("`", "")).upper())
        elif re.match(r"^\|[-| :]+\|$", line):
            continue
        elif line.startswith("|"):
            cells = [c.strip().replace("`", "") for c in line.strip("|").split("|")]
            out += [".TP", "\\fB" + text(cells[0]) + "\\fR", text("; ".join(c for c in cells[1:] if c)) or "\\&"]
        elif line.strip():
            out.append(text(re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", line).replace("`", "")))
        else:
            out.append(".PP")
    return out


def settings_page(attune, source, pages):
    table = run(attune, "server", "--settings-markdown").stdout
    table = re.sub(r"Made by `[^`]*` from .*?; do not\s+edit\.\s*", "", table, flags=re.S)
    pages.write("attune.yaml", 5, "the settings of an attune server and of its cameras",
                markdown(table) + prose(source, "attune.yaml") + see_also(("attune-server", 8)))


def library_page(source, pages):
    header = open(os.path.join(source, "include", "attune", "attune.h")).read()
    lines = [".SH SYNOPSIS", ".nf", "#include <attune/attune.h>", "cc ... $(pkg\\-config \\-\\-cflags \\-\\-libs libattune)", ".fi"]
    lines += prose(source, "libattune") + [".SH FUNCTIONS"]
    for comment, prototype in re.findall(r"/\*\*((?:(?!\*/).)*)\*/\s*ATTUNE_API\s+([^;]+);", header, re.S):
        said = re.sub(r"^\s*\*? ?", "", comment, flags=re.M).strip()
        said = re.sub(r"@param (\w+)", r"\n\1:", said).replace("@return", "\nReturns")
        said = said.replace("#", "").replace("`", "")
        lines += [".TP", "\\fB" + text(" ".join(prototype.split())) + "\\fR"]
        for part in re.split(r"\n(?=\w+: |Returns)", said):
            lines += [text(" ".join(part.split())), ".br"]
    pages.write("libattune", 3, "run a student network and follow what it has learned", lines + see_also(("attune-camera", 1)))


def main():
    if len(sys.argv) not in (4, 5):
        sys.exit(__doc__)
    attune, source, folder = sys.argv[1:4]
    folder = os.path.join(os.environ.get("MESON_INSTALL_DESTDIR_PREFIX", ""), folder)
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # the program need not start twice
    pages = Pages(folder, sys.argv[4] if len(sys.argv) > 4 else "")
    command_pages(attune, source, pages)
    settings_page(attune, source, pages)
    library_page(source, pages)


main()
