#!/usr/bin/python3
"""Compare the engine's outputs with ONNX Runtime's for every ONNX file under a folder.

    ORT_DIR=~/ort tools/check_models.py NN_RUN FOLDER [--batch N] [--tolerance 1e-3]

NN_RUN is build/tests/nn/nn_run; ORT_DIR as in ort_run.mjs. The error of an output is its largest
difference divided by its largest magnitude. Exit status 1 when one is above the tolerance.
"""
import argparse
import json
import pathlib
import re
import subprocess
import sys
import tempfile

import numpy as np

HERE = pathlib.Path(__file__).resolve().parent


def reference(model, folder, batch):
    command = ["node", HERE / "ort_run.mjs"] + (["--batch", str(batch)] if batch > 1 else [])
    lines = subprocess.run(command + [model, folder], check=True, capture_output=True, text=True)
    return [json.loads(line) for line in lines.stdout.splitlines()]


def check(nn_run, model, batch, tolerance):
    with tempfile.TemporaryDirectory() as folder:
        tensors = reference(model, folder, batch)
        inputs = pathlib.Path(folder, "inputs")
        inputs.write_bytes(b"".join(pathlib.Path(t["file"]).read_bytes()
                                    for t in tensors if t["kind"] == "input"))
        ours = pathlib.Path(folder, "ours")
        run = subprocess.run([nn_run, "infer", model, inputs, ours, str(batch)],
                             capture_output=True, text=True)
        if run.returncode:
            print(f"{model.name}: {run.stderr.strip()}")
            return False
        got = np.fromfile(ours, np.float32)
        at, good = 0, True
        for t in tensors:
            if t["kind"] != "output":
                continue
            want = np.fromfile(t["file"], np.float32)
            part = got[at:at + want.size]
            at += want.size
            error = np.abs(part - want).max() / max(np.abs(want).max(), 1e-30)
            good = good and bool(error <= tolerance)
            print(f"{model.name}: {t['name']} {t['dims']} relative error {error:.2e}")
        return good and at == got.size


def speed(nn_run, model, batch):
    line = subprocess.run([nn_run, "time", model, "infer", str(batch)], capture_output=True,
                          text=True).stdout
    found = re.search(r"run ([\d.]+) ms", line)
    return float(found.group(1)) if found else float("nan")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("nn_run")
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--tolerance", type=float, default=1e-3)
    parser.add_argument("--time", action="store_true", help="also time a forward pass, one thread")
    args = parser.parse_args()
    good = True
    for model in sorted(args.folder.rglob("*.onnx")):
        good = check(args.nn_run, model, args.batch, args.tolerance) and good
        if args.time:
            print(f"{model.name}: {speed(args.nn_run, model, args.batch):.2f} ms")
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
