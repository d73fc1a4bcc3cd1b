#!/usr/bin/env python3
"""A few seconds of `attune demo` with untrained networks: it must start everything, report, judge
(untrained networks fall short, so the exit status is 1), and leave nothing behind; the same when
it is interrupted.

usage: demo_test.py BUILD
"""
import json
import os
import signal
import subprocess
import sys
import tempfile
import time


def processes_of(folder):
    """Processes that have the folder in their arguments."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                if folder.encode() in f.read() and int(pid) != os.getpid():
                    found.append(pid)
        except OSError:
            pass
    return found


def demo(build, folder, *more):
    environment = dict(os.environ, TMPDIR=folder)
    return subprocess.Popen([os.path.join(build, "src/cmd/attune"), "demo", "--models", folder,
                             "--headless", *more], env=environment, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)


def check_clean(folder):
    assert sorted(os.listdir(folder)) == ["town-student.onnx", "town-teacher.onnx"], \
        os.listdir(folder)
    until = time.monotonic() + 10
    while processes_of(folder) and time.monotonic() < until:
        time.sleep(0.1)
    assert not processes_of(folder), "a child was left behind"


def main():
    build = sys.argv[1]
    with tempfile.TemporaryDirectory(prefix="attune-demo-test-") as folder:
        subprocess.run([os.path.join(build, "tests/kill/kill_helper"), "models", folder,
                        "64", "64"], check=True)
        p = demo(build, folder, "--seconds", "20", "--fps", "2", "--json")
        out, err = p.communicate(timeout=120)
        assert p.returncode == 1, (p.returncode, err)
        assert "fell short" in err and "promised" in err, err
        result = json.loads(out)
        assert result["passed"] is False and result["reasons"]
        assert [c["id"] for c in result["cameras"]] == [
            "north-1", "harbour-1", "hill-1", "north-2", "harbour-2", "hill-2", "north-3", "harbour-3"]
        together = [c for g in result["groups"] for c in g]
        assert len(together) == len(set(together)), result["groups"]
        assert set(together) <= {c["id"] for c in result["cameras"]}, result["groups"]
        for c in result["cameras"]:
            assert c["frames"] > 0 and 0 <= c["miou"] <= 1, c
            assert c["up_kbps"] > 0 and c["latency_p95_ms"] > 0, c
        check_clean(folder)

        p = demo(build, folder, "--seconds", "100", "--fps", "5")
        time.sleep(2)
        p.send_signal(signal.SIGINT)
        out, err = p.communicate(timeout=60)
        assert p.returncode in (1, 3), (p.returncode, err)
        check_clean(folder)


main()
