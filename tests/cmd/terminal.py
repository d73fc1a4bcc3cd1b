#!/usr/bin/env python3
"""Runs a command on a terminal of its own and types answers to what it asks.

    terminal.py COLUMNS [PROMPT ANSWER]... -- COMMAND...

Prints what the terminal showed and exits as the command did; 99 when a prompt never came.
"""
import fcntl
import os
import pty
import select
import struct
import sys
import termios
import time

split = sys.argv.index("--")
columns, talk, command = int(sys.argv[1]), sys.argv[2:split], sys.argv[split + 1:]
size_read, size_set = os.pipe()  # the command begins when the terminal has its size
pid, fd = pty.fork()
if pid == 0:
    os.close(size_set)
    os.read(size_read, 1)
    os.environ["TERM"] = "xterm"
    os.execvp(command[0], command)
fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
os.close(size_read)
os.close(size_set)
seen, unread = b"", 0


def read_more(seconds):
    """False: the command has ended, or is silent."""
    global seen
    if not select.select([fd], [], [], seconds)[0]:
        return False
    try:
        more = os.read(fd, 65536)
    except OSError:
        more = b""
    seen += more
    return bool(more)


missed = False
for prompt, answer in zip(talk[::2], talk[1::2]):
    end = time.time() + 60
    while prompt.encode() not in seen[unread:] and time.time() < end and read_more(60):
        pass
    missed = missed or prompt.encode() not in seen[unread:]
    unread = len(seen)
    if not missed:
        os.write(fd, answer.encode() + (b"" if answer == "\x03" else b"\n"))
while read_more(60):
    pass
if not termios.tcgetattr(fd)[3] & termios.ECHO:
    seen += b"the terminal was left without echo\n"
os.close(fd)  # one that still waits for something is hung up on
sys.stdout.write(seen.decode(errors="replace").replace("\r\n", "\n"))
code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
sys.exit(99 if missed else code)
