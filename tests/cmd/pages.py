#!/usr/bin/env python3
"""Manual pages and completion name every command and every option that --help has, and bash completes
with what is printed for it.
    pages.py ATTUNE SOURCE"""
import glob
import os
import re
import subprocess
import sys
import tempfile

wrong = []


def run(*command):
    r = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if r.returncode:
        wrong.append(f"{command}: {r.returncode} {r.stderr}")
    return r.stdout


def expect(good, what):
    if not good:
        wrong.append(what)


def page(folder, pattern):
    found = glob.glob(os.path.join(folder, "man*", pattern))
    expect(len(found) == 1, f"no page {pattern}")
    return open(found[0]).read().replace("\\-", "-") if found else ""


def check_commands(attune, folder, bash, fish):
    commands = re.findall(r"^  ([a-z][a-z-]*) ", run(attune, "--help"), re.M)
    expect(len(commands) >= 12, f"only these commands were found: {commands}")
    for command in commands:
        text = page(folder, f"attune-{command}.[18]")
        line = re.search(rf"^    {command}\) (.*)$", bash, re.M)
        expect(line, f"bash does not complete {command}")
        expect(f" -a {command}\n" in fish, f"fish does not complete {command}")
        for option in re.findall(r"^ +(--[a-z0-9-]+)", run(attune, command, "--help"), re.M):
            expect(re.search(rf"{option}\b", text), f"attune-{command}'s page does not name {option}")
            expect(line and re.search(rf"{option}[ \"]", line[1]), f"bash does not complete {command} {option}")


def check_others(folder, source):
    for name in ("state", "student", "window_s"):
        expect(f"\\fB{name}\\fR" in page(folder, "attune.yaml.5"), f"attune.yaml(5) does not name {name}")
    library = page(folder, "libattune.3")
    header = open(os.path.join(source, "include", "attune", "attune.h")).read()
    for name in set(re.findall(r"\b(attune_[a-z_]+)\(", header)):
        expect(name in library, f"libattune(3) does not name {name}")


def check_bash(path):
    run("bash", "-n", path)
    script = '. "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _attune; echo "${COMPREPLY[*]}"'
    for want, *words in (("model", "mo"), ("quantize", "model", "q"), ("--resume", "model", "train", "--res"),
                         ("--teacher", "server", "--tea"), ("", "camera", "--source", "rts")):
        got = run("bash", "-c", script, path, "attune", *words).strip()
        expect(got == want, f"attune {words} completes to '{got}', not '{want}'")


def main():
    attune, source = sys.argv[1:3]
    os.environ.pop("MESON_INSTALL_DESTDIR_PREFIX", None)
    with tempfile.TemporaryDirectory() as folder:
        run(sys.executable, os.path.join(source, "tools", "make_man.py"), attune, source, folder, "0")
        path = os.path.join(folder, "bash")
        bash = run(attune, "completion", "bash")
        with open(path, "w") as f:
            f.write(bash)
        check_commands(attune, folder, bash, run(attune, "completion", "fish"))
        expect("bashcompinit" in run(attune, "completion", "zsh"), "zsh is not told to read bash's")
        check_others(folder, source)
        check_bash(path)
    sys.exit("\n".join(wrong) or 0)


main()
