#!/usr/bin/env python3
"""What server and camera tell a service manager: READY=1 once, WATCHDOG=1 while they live, STOPPING=1.
    notify.py ATTUNE MODELS"""
import os, signal, socket, subprocess, sys, tempfile

WAIT_S = 60


def heard(sock, word):
    """Reads messages until one has the word; what came is returned."""
    got = []
    while not any(word in m for m in got):
        got += sock.recv(4096).decode().split("\n")
    return got


def run(name, command, folder):
    path = os.path.join(folder, name + ".sock")
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sock.bind(path)
    sock.settimeout(WAIT_S)
    env = dict(os.environ, NOTIFY_SOCKET=path, WATCHDOG_USEC="300000")
    child = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        got = heard(sock, "READY=1")
        assert any(m.startswith("STATUS=") for m in got), got
        for _ in range(3):
            heard(sock, "WATCHDOG=1")
        child.send_signal(signal.SIGSTOP)  # hangs: no word comes
        sock.settimeout(0.2)
        try:
            while True:
                sock.recv(4096)
        except TimeoutError:
            pass
        sock.settimeout(0.5)
        try:
            raise AssertionError(f"{name} hangs and says {sock.recv(4096)}")
        except TimeoutError:
            pass
        sock.settimeout(WAIT_S)
        child.send_signal(signal.SIGCONT)
        child.send_signal(signal.SIGTERM)
        got = heard(sock, "STOPPING=1")
        assert "READY=1" not in got, got
        assert child.wait(WAIT_S) == 0, child.returncode
    finally:
        child.kill()
        child.wait()


def main():
    attune, models = sys.argv[1:3]
    student = os.path.join(models, "town-student.onnx")
    with tempfile.TemporaryDirectory() as folder:
        run("server", [attune, "server", "--student", student, "--teacher",
                       os.path.join(models, "town-teacher.onnx"), "--listen", "off", "--http",
                       "127.0.0.1:0", "--state", os.path.join(folder, "state")], folder)
        run("camera", [attune, "camera", "--source", "town:scenario=clear", "--fps", "4", "--student", student,
                       "--state", os.path.join(folder, "camera")], folder)


main()
