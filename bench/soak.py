#!/usr/bin/env python3
"""Runs a server with RTSP cameras for a long time and breaks what they look at.

    bench/soak.py --build build [--minutes 60] [--cameras 12] [--work DIR] [--keep]

Twelve streams of the town come from GStreamer's RTSP server (tests/video/rtsp_server.c); attune
server infers, labels and trains for all of them. Every 10 minutes the RTSP server is killed and
started again 20 s later; between, one stream at a time stalls for 30 s, and a camera's process is
killed. Memory, descriptors and threads are read from /proc each 30 s. The table at the end says
what grew, how often each camera was opened again, and what the others lost while one failed.

Needs what tools/install-deps.sh ci installs, and ffmpeg.
"""
import argparse
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

FPS = 5
OUTAGE_S, OUTAGE_EVERY_S = 20, 600
STALL_S, STALL_EVERY_S = 30, 120
KILL_EVERY_S = 420
SETTLE_S = 30  # after a fault, before a camera counts as undisturbed


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Rtsp:
    """The server of the streams, on a port that stays."""

    def __init__(self, program, paths, log):
        self.port = free_port()
        self.args = [program, "--port", str(self.port)]
        for name, path in paths.items():
            self.args += ["/" + name, f"codec=file,fps={FPS},location={path}"]
        self.log = log
        self.start()

    def start(self):
        self.process = subprocess.Popen(self.args, stdout=subprocess.PIPE, stderr=self.log, text=True)
        line = self.process.stdout.readline()
        self.control = int(re.match(r"port \d+ control (\d+)", line).group(1))

    def kill(self):
        self.process.kill()
        self.process.wait()

    def tell(self, text):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(5)
            s.sendto(text.encode(), ("127.0.0.1", self.control))
            return s.recv(200).decode()


def render(attune, folder, count):
    """H.264 of the town without a container, one a camera, so that it can go round in a loop."""
    subprocess.run([attune, "synth", "--out", folder, "--cameras", str(count), "--districts", "4",
                    "--seconds", "60", "--fps", str(FPS), "--size", "320x180", "--quiet"], check=True)
    paths = {}
    for i in range(count):
        path = os.path.join(folder, f"c{i:02d}.h264")
        subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", os.path.join(folder, f"camera{i}.mp4"),
                        "-c:v", "libx264", "-preset", "veryfast", "-bf", "0", "-g", "10", "-crf", "26",
                        "-bsf:v", "h264_mp4toannexb", path], check=True)
        paths[f"c{i:02d}"] = path
    return paths


def proc_status(pid):
    """(RSS kB, anonymous RSS kB, threads, descriptors) of a process; None when it is gone."""
    try:
        with open(f"/proc/{pid}/status") as f:
            text = f.read()
        number = lambda key: int(re.search(rf"^{key}:\s+(\d+)", text, re.M).group(1))
        return number("VmRSS"), number("RssAnon"), number("Threads"), len(os.listdir(f"/proc/{pid}/fd"))
    except (OSError, AttributeError):
        return None


def children(pid):
    """(pid, role) of the processes below one: cameras by their id, workers."""
    found, pids = [], []
    tasks = os.listdir(f"/proc/{pid}/task") if os.path.exists(f"/proc/{pid}/task") else []
    for task in tasks:
        try:
            with open(f"/proc/{pid}/task/{task}/children") as f:
                pids += f.read().split()
        except OSError:  # a thread that has just ended
            continue
    for child in set(pids):
        try:
            with open(f"/proc/{child}/cmdline", "rb") as f:
                words = f.read().decode(errors="replace").split("\0")
        except OSError:
            continue
        if "--id" in words:
            found.append((int(child), words[words.index("--id") + 1]))
        elif len(words) > 1:
            found.append((int(child), words[1]))
    return found


class Soak:
    def __init__(self, o, work):
        self.o, self.work = o, work
        self.attune = os.path.join(o.build, "src/cmd/attune")
        self.log = open(os.path.join(work, "log"), "w")
        names = render(self.attune, os.path.join(work, "town"), o.cameras)
        self.rtsp = Rtsp(os.path.join(o.build, "tests/video/rtsp_server"), names, self.log)
        self.names = list(names)
        self.url = f"http://127.0.0.1:{free_port()}"
        self.rows, self.told = [], {n: [] for n in self.names}
        self.last = {n: (0, 0, 0) for n in self.names}
        self.faults = []  # (from, to, cameras, what)
        self.state = os.path.join(work, "state")
        self.server = subprocess.Popen([self.attune, "server", "--config", self.config()],
                                       stdout=self.log, stderr=self.log)
        self.begin = time.monotonic()

    def config(self):
        path = os.path.join(self.work, "soak.yaml")
        with open(path, "w") as f:
            f.write(f"state: {self.state}\nstudent: {self.o.models}/town-student.onnx\n"
                    f"teacher: {self.o.models}/town-teacher.onnx\nlisten: off\nauth: false\n"
                    f"http: {self.url[7:]}\nlog_level: warn\nworkers: 1\ncompute: {self.o.compute}\n"
                    f"sampling_fps_max: 0.2\n{self.o.more}cameras:\n")
            for n in self.names:
                f.write(f"  {n}: {{source: \"rtsp://127.0.0.1:{self.rtsp.port}/{n}\", timeout_s: 5, share: {self.o.share}}}\n")
        return path

    def now(self):
        return time.monotonic() - self.begin

    def ask(self, path):
        try:
            with urllib.request.urlopen(self.url + path, timeout=20) as r:
                return json.load(r)
        except OSError as e:
            if self.now() > 10:
                print(f"{self.now():6.0f} s: {path}: {e}", flush=True)
            return None

    def look(self):
        """What the cameras have told: time, frames that came, reconnects, starts, skipped of them."""
        for n in self.names:
            c = self.ask(f"/v1/cameras/{n}") or {}
            i, stream = c.get("inference"), c.get("stream") or {}
            if not i:
                continue
            at = self.now() - i["age_s"]
            row = (at, i["frames"] + i["held"] + i["skipped"], i["reconnects"], stream.get("starts", 0), i["skipped"])
            if not self.told[n] or at > self.told[n][-1][0] + 1:
                self.told[n].append(row)

    def measure(self):
        below = children(self.server.pid)
        cameras = [proc_status(p) for p, role in below if role in self.names]
        workers = [proc_status(p) for p, role in below if role not in self.names]
        server = proc_status(self.server.pid)
        size = lambda name: os.path.getsize(p) if os.path.exists(p := os.path.join(self.state, name)) else 0
        self.rows.append({"t": self.now(), "server": server, "cameras": [c for c in cameras if c],
                          "workers": [w for w in workers if w], "db": size("attune.db"),
                          "wal": size("attune.db-wal")})

    def fault(self, seconds, cameras, what):
        self.faults.append((self.now(), self.now() + seconds, cameras, what))
        print(f"{self.now():6.0f} s: {what}", flush=True)

    def later(self, seconds, action):
        self.due.append((self.now() + seconds, action))

    def outage(self):
        self.fault(OUTAGE_S, self.names, "the RTSP server is killed")
        self.rtsp.kill()
        self.later(OUTAGE_S, self.rtsp.start)
        self.later(OUTAGE_EVERY_S, self.outage)

    def stall(self):
        name = self.names[len(self.faults) % len(self.names)]
        if self.rtsp.process.poll() is None:
            self.fault(STALL_S, [name], f"{name} stalls")
            self.rtsp.tell(f"stall /{name}")
            self.later(STALL_S, lambda: self.rtsp.process.poll() is None and self.rtsp.tell(f"go /{name}"))
        self.later(STALL_EVERY_S, self.stall)

    def kill(self):
        below = [(p, role) for p, role in children(self.server.pid) if role in self.names]
        if below:
            pid, name = sorted(below, key=lambda c: c[1])[len(self.faults) % len(below)]
            self.fault(5, [name], f"the process of {name} is killed")
            os.kill(pid, signal.SIGKILL)
        self.later(KILL_EVERY_S, self.kill)

    def run(self):
        end = self.o.minutes * 60
        self.due = []
        self.later(min(OUTAGE_EVERY_S, end / 2), self.outage)
        self.later(min(STALL_EVERY_S, end / 5), self.stall)
        self.later(min(KILL_EVERY_S, end / 3), self.kill)
        next_row = 0
        while self.now() < end and self.server.poll() is None:
            for item in [d for d in self.due if d[0] <= self.now()]:
                self.due.remove(item)
                item[1]()
            if self.now() >= next_row:
                self.measure()
                next_row = self.now() + 30
            self.look()
            time.sleep(3)
        self.look()
        self.measure()
        self.events = self.ask("/v1/events?format=json&limit=1000&after=0") or {"events": []}

    def close(self):
        self.server.terminate()
        self.server.wait(60)
        self.rtsp.kill()
        self.log.close()

    # ---- the report ----

    def row_at(self, seconds):
        return min(self.rows, key=lambda r: abs(r["t"] - seconds))

    def slope(self, value, since):
        """Least squares of value over the hours, from `since` s on."""
        points = [(r["t"] / 3600, value(r)) for r in self.rows if r["t"] >= since and value(r) is not None]
        if len(points) < 3:
            return float("nan")
        n = len(points)
        mx, my = sum(x for x, _ in points) / n, sum(y for _, y in points) / n
        return sum((x - mx) * (y - my) for x, y in points) / sum((x - mx) ** 2 for x, _ in points)

    def memory(self):
        start = min(300, self.o.minutes * 30)
        a, b = self.row_at(start), self.rows[-1]
        mean = lambda key, i: lambda r: sum(c[i] for c in r[key]) / len(r[key]) if r[key] else None
        most = lambda key, i: lambda r: max(c[i] for c in r[key]) if r[key] else None
        rows = [("server RSS", lambda r: r["server"] and r["server"][0] / 1024, "MB"),
                ("server anonymous", lambda r: r["server"] and r["server"][1] / 1024, "MB"),
                ("camera RSS, mean", lambda r: (m := mean("cameras", 0)(r)) and m / 1024, "MB"),
                ("camera anonymous, mean", lambda r: (m := mean("cameras", 1)(r)) and m / 1024, "MB"),
                ("camera anonymous, most", lambda r: (m := most("cameras", 1)(r)) and m / 1024, "MB"),
                ("worker anonymous", lambda r: (m := mean("workers", 1)(r)) and m / 1024, "MB"),
                ("server threads", lambda r: r["server"] and r["server"][2], ""),
                ("server descriptors", lambda r: r["server"] and r["server"][3], ""),
                ("camera threads, most", most("cameras", 2), ""),
                ("camera descriptors, most", most("cameras", 3), ""),
                ("database", lambda r: r["db"] / 1048576, "MB"),
                ("write-ahead log", lambda r: r["wal"] / 1048576, "MB")]
        print(f"\n| | at {a['t'] / 60:.0f} min | at {b['t'] / 60:.0f} min | slope an hour | |")
        print("|---|---|---|---|---|")
        show = lambda v: "-" if v is None else f"{v:.1f}"
        for name, value, unit in rows:
            print(f"| {name} | {show(value(a))} | {show(value(b))} | {self.slope(value, a['t']):+.2f} | {unit} |")

    def disturbed(self, name, begin, end):
        """Whether a fault of this very camera overlaps, or has just been."""
        return any(name in f[2] and begin < f[1] + SETTLE_S and end > f[0] for f in self.faults)

    def cameras(self):
        print("\n| camera | frames | of them skipped | reconnects | starts | fewest a second while another failed |")
        print("|---|---|---|---|---|---|")
        for n in self.names:
            told, least = self.told[n], None
            frames, reconnects, skipped = (told[0][1], told[0][2], told[0][4]) if told else (0, 0, 0)
            for a, b in zip(told, told[1:]):
                new = b[3] != a[3] or b[1] < a[1]  # another process: counters begin anew
                frames += b[1] if new else b[1] - a[1]
                reconnects += b[2] if new else b[2] - a[2]
                skipped += b[4] if new else b[4] - a[4]
                others = any(n not in f[2] and a[0] < f[1] and b[0] > f[0] for f in self.faults)
                if others and not new and b[0] - a[0] > 5 and not self.disturbed(n, a[0], b[0]):
                    rate = (b[1] - a[1]) / (b[0] - a[0])
                    least = rate if least is None else min(least, rate)
            starts = told[-1][3] if told else 0
            print(f"| {n} | {frames} | {skipped} | {reconnects} | {starts} | {'-' if least is None else f'{least:.2f}'} |")

    def report(self):
        kinds = {}
        for e in self.events["events"]:
            kinds[e["kind"]] = kinds.get(e["kind"], 0) + 1
        print(f"\n{self.o.cameras} cameras, {self.now() / 60:.0f} minutes, {len(self.faults)} faults; "
              f"server {'runs' if self.server.poll() is None else 'HAS ENDED'}")
        self.memory()
        self.cameras()
        print("\nlast events by kind: " + ", ".join(f"{k} {v}" for k, v in sorted(kinds.items())))


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--build", default="build")
    p.add_argument("--models", default="models")
    p.add_argument("--minutes", type=float, default=60)
    p.add_argument("--cameras", type=int, default=12)
    p.add_argument("--compute", type=float, default=1.5, help="processors for inference, labelling and training")
    p.add_argument("--share", type=float, default=0.06, help="of it, for the inference of one camera")
    p.add_argument("--more", default="", help="more lines of the server's configuration")
    p.add_argument("--work", help="a folder to leave everything in (default: removed)")
    o = p.parse_args()
    o.build, o.models = os.path.abspath(o.build), os.path.abspath(o.models)
    o.more = o.more and o.more + "\n"
    work = o.work or tempfile.mkdtemp(prefix="attune-soak-")
    os.makedirs(work, exist_ok=True)
    soak = Soak(o, work)
    try:
        soak.run()
        soak.report()
    finally:
        with open(os.path.join(work, "soak.json"), "w") as f:
            json.dump({"rows": soak.rows, "told": soak.told, "faults": soak.faults}, f)
        soak.close()
        if not o.work:
            shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
