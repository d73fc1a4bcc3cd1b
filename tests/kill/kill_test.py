"""Kills the server and a camera, each KILLS times, at seeded random moments, and checks the rest.

usage: kill_test.py BUILD KILLS SEED

After the last kill the loop must still adapt; then:
 - every chunk that the camera was told is stored is in the server's database, with the same bytes;
 - its file (or, once labelled, its labels) is there;
 - no number was ever acknowledged with two contents;
 - camera and server are at the same version, with parameters that are equal bit for bit.
"""
import hashlib
import json
import os
import random
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

ADAPT_TIMEOUT_S = 90
START_TIMEOUT_S = 30


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Site:
    """The two processes, their folders and how they are started."""

    def __init__(self, build, folder):
        self.attune = os.path.join(build, "src/cmd/attune")
        self.helper = os.path.join(build, "tests/kill/kill_helper")
        self.folder = folder
        self.https, self.http = free_port(), free_port()
        self.process = {"server": None, "camera": None}
        self.adapt = True
        subprocess.run([self.helper, "models", folder, "64", "64"], check=True)

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def arguments(self, name):
        student = self.path("town-student.onnx")
        if name == "server":
            return [self.attune, "server", "--state", self.path("server"),
                    "--student", student, "--teacher", self.path("town-teacher.onnx"),
                    "--auth", "false", "--listen", f"127.0.0.1:{self.https}", "--http", f"127.0.0.1:{self.http}",
                    "--chunk-s", "0.5", "--period-s", "1", "--frames-min", "2", "--steps", "4",
                    "--sampling-fps-min", "2", "--sampling-fps-max", "8",
                    "--learning-rate", "0.01", "--disk-free-min-mb", "0",
                    "--adapt", "true" if self.adapt else "false"]
        return [self.attune, "camera", "--source",
                "town:width=64,height=64,fps=20,scenario=all,seconds=800000",
                "--student", student, "--server", f"https://127.0.0.1:{self.https}",
                "--ca", self.path("server", "tls", "cert.pem"), "--id", "cam",
                "--state", self.path("camera"), "--json"]

    def start(self, name):
        with open(self.path(name + ".log"), "ab") as log, \
             open(self.path(name + ".out"), "ab") as out:
            self.process[name] = subprocess.Popen(self.arguments(name), stdout=out, stderr=log)

    def end(self, name, how):
        p = self.process[name]
        p.send_signal(how)
        return p.wait(timeout=30)

    def check_alive(self):
        for name, p in self.process.items():
            if p.poll() is not None:
                raise AssertionError(f"{name} ended by itself with status {p.returncode}")

    def get(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http}{path}", timeout=10) as r:
            return r.read()

    def camera(self):
        """What the server says of the camera, None while there is no answer."""
        try:
            return json.loads(self.get("/v1/cameras/cam"))
        except (urllib.error.URLError, OSError):
            return None

    def wait_for(self, what, condition, timeout_s):
        until = time.monotonic() + timeout_s
        while time.monotonic() < until:
            state = self.camera()
            if state and condition(state):
                return state
            self.check_alive()
            time.sleep(0.1)
        raise AssertionError(f"{what} did not happen within {timeout_s} s; camera: {self.camera()}")

    def tail(self):
        for name in ("server", "camera"):
            print(f"--- the end of {name}'s log", file=sys.stderr)
            subprocess.run(["tail", "-n", "25", self.path(name + ".log")], stdout=sys.stderr)


def kill_in_turn(site, kills, rng):
    order = ["server", "camera"] * kills
    rng.shuffle(order)
    for number, name in enumerate(order, 1):
        time.sleep(rng.uniform(0.2, 2.5))
        site.check_alive()
        site.end(name, signal.SIGKILL)
        time.sleep(rng.uniform(0, 0.4))
        site.start(name)
        if sys.stderr.isatty():
            print(f"\r{number}/{len(order)} kills", end="", file=sys.stderr)
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr)


def acknowledged(site):
    """{seq: sha256} of the camera's log; a number with two contents is an error."""
    line = re.compile(r'event="chunk acknowledged" seq=(\d+) bytes=\d+ sha256=([0-9a-f]{64})')
    found = {}
    with open(site.path("camera.log"), errors="replace") as log:
        for seq, sha256 in line.findall(log.read()):
            assert found.setdefault(int(seq), sha256) == sha256, \
                f"chunk {seq} was acknowledged with two contents"
    return found


def check_chunks(site):
    acks = acknowledged(site)
    assert acks, "the camera never got a chunk through"
    db = sqlite3.connect(f"file:{site.path('server', 'attune.db')}?mode=ro", uri=True)
    rows = {seq: (sha256, state) for seq, sha256, state in
            db.execute("SELECT seq, sha256, state FROM chunks WHERE camera='cam'")}
    retired, = db.execute("SELECT seq_retired FROM cameras WHERE id='cam'").fetchone()
    db.close()
    labelled = 0
    for seq, sha256 in acks.items():
        if seq <= retired:
            continue
        assert seq in rows, f"chunk {seq} was acknowledged and is not in the database"
        assert rows[seq][0] == sha256, f"chunk {seq} is stored with other bytes"
        chunk = site.path("server", "chunks", "cam", f"{seq}.chunk")
        labels = site.path("server", "labels", "cam", f"{seq}.labels")
        assert os.path.exists(chunk) or os.path.exists(labels), f"chunk {seq} has no file"
        if os.path.exists(chunk):
            with open(chunk, "rb") as f:
                assert hashlib.sha256(f.read()).hexdigest() == sha256, f"chunk {seq}: its file"
        labelled += rows[seq][1] == 2
    return len(acks), labelled


def check_params(site):
    snapshot = site.path("snapshot.delta")
    with open(snapshot, "wb") as f:
        f.write(site.get("/v1/cameras/cam/updates?have=0"))
    lines = subprocess.run([site.helper, "params", site.path("town-student.onnx"),
                            site.path("camera", "params.ckpt"), snapshot],
                           check=True, capture_output=True, text=True).stdout.split("\n")
    assert lines[0] == lines[1], f"camera has {lines[0]}, server {lines[1]} (version, CRC-32)"
    return lines[0]


def run(site, kills, rng):
    site.start("server")
    site.wait_for_server = time.monotonic() + START_TIMEOUT_S
    while not os.path.exists(site.path("server", "tls", "cert.pem")):
        assert time.monotonic() < site.wait_for_server, "the server did not start"
        time.sleep(0.05)
    site.start("camera")
    site.wait_for("a first update", lambda c: c["version"] >= 1, ADAPT_TIMEOUT_S)
    kill_in_turn(site, kills, rng)
    state = site.wait_for("an answer after the last kill", lambda c: True, START_TIMEOUT_S)
    before = state["version"]
    site.wait_for("a new version after the last kill",
                  lambda c: c["version"] > before and c["camera_version"] > before,
                  ADAPT_TIMEOUT_S)
    # Freeze the training, let the camera catch up, then stop it.
    assert site.end("server", signal.SIGTERM) == 0, "the server did not end well"
    site.adapt = False
    site.start("server")
    state = site.wait_for("the last update at the camera",
                          lambda c: c["camera_version"] == c["version"], ADAPT_TIMEOUT_S)
    assert site.end("camera", signal.SIGTERM) == 0, "the camera did not end well"
    chunks, labelled = check_chunks(site)
    params = check_params(site)
    site.end("server", signal.SIGTERM)
    print(f"kill test: {kills} kills of each; {chunks} chunks acknowledged, none lost, "
          f"{labelled} labelled; version {state['version']} on both sides "
          f"({before} at the last kill), parameters equal ({params.split()[1]})")


def main():
    build, kills, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    folder = tempfile.mkdtemp(prefix="attune-kill-")
    site = None
    try:
        site = Site(build, folder)
        run(site, kills, random.Random(seed))
    except AssertionError as wrong:
        print(f"kill test failed: {wrong} (seed {seed})", file=sys.stderr)
        site.tail()
        return 1
    finally:
        for p in site.process.values() if site else ():
            if p and p.poll() is None:
                p.kill()
                p.wait()
        shutil.rmtree(folder, ignore_errors=True)
    return 0


sys.exit(main())
