#!/usr/bin/python3
"""Compare the engine's outputs with ONNX Runtime's for every ONNX file under a folder.

    ORT_DIR=~/ort tools/check_models.py NN_RUN FOLDER [--batch N] [--tolerance 1e-3]

NN_RUN is build/tests/nn/nn_run; ORT_DIR as in ort_run.mjs. With a batch the runtime gets the images
one by one, as files for one image demand; the engine gets them together. The file that
nn_model_write makes of the model runs in the runtime too, with the whole batch. The error of an
output is its largest difference divided by its largest magnitude. Exit status 1 when one is above
the tolerance.
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


def run_ort(model, folder, given=()):
    command = ["node", HERE / "ort_run.mjs", model, folder, *given]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    tensors = [json.loads(line) for line in lines]
    for t in tensors:
        t["values"] = np.fromfile(t["file"], np.float32).reshape(t["dims"])
    return ([t for t in tensors if t["kind"] == "input"],
            [t for t in tensors if t["kind"] == "output"])


def give(tensors, folder):
    """Arguments of ort_run.mjs for the values of these inputs."""
    args = []
    for i, t in enumerate(tensors):
        path = pathlib.Path(folder, f"given_{i}.f32")
        path.write_bytes(t["values"].tobytes())
        args.append(f"{t['name']}={path}:{'x'.join(map(str, t['values'].shape))}")
    return args


def join(images):
    """The tensors of several images as those of one batch."""
    return [dict(ts[0], values=np.concatenate([t["values"] for t in ts])) for ts in zip(*images)]


def reference(model, folder, batch):
    """What the runtime gives for `batch` images, one by one: inputs and outputs."""
    rng = np.random.default_rng(1)
    inputs, outputs = run_ort(model, folder)
    images = [(inputs, outputs)]
    for _ in range(1, batch):
        given = [dict(t, values=rng.uniform(-1, 1, t["dims"]).astype(np.float32)) for t in inputs]
        images.append((given, run_ort(model, folder, give(given, folder))[1]))
    return join([i for i, _ in images]), join([o for _, o in images])


def error_of(got, want):
    return float(np.abs(got - want).max() / max(np.abs(want).max(), 1e-30))


def run_engine(nn_run, model, inputs, outputs, batch, folder):
    """The engine's outputs, shaped as the reference's."""
    path = [pathlib.Path(folder, "inputs"), pathlib.Path(folder, "ours")]
    path[0].write_bytes(b"".join(t["values"].tobytes() for t in inputs))
    run = subprocess.run([nn_run, "infer", model, *path, str(batch)], capture_output=True,
                         text=True)
    if run.returncode:
        raise RuntimeError(run.stderr.strip())
    got = np.fromfile(path[1], np.float32)
    if got.size != sum(t["values"].size for t in outputs):
        raise RuntimeError(f"{got.size} output values")
    ends = np.cumsum([t["values"].size for t in outputs])[:-1]
    return [g.reshape(t["values"].shape) for g, t in zip(np.split(got, ends), outputs)]


def compare(nn_run, model, batch):
    """[(output, dims, error of the engine, error of the written file in the runtime)]"""
    with tempfile.TemporaryDirectory() as folder:
        inputs, outputs = reference(model, folder, batch)
        ours = run_engine(nn_run, model, inputs, outputs, batch, folder)
        written = pathlib.Path(folder, "written.onnx")
        subprocess.run([nn_run, "write", model, written], check=True)
        theirs = {t["name"]: t["values"] for t in run_ort(written, folder, give(inputs, folder))[1]}
        return [(t["name"], list(t["values"].shape), error_of(g, t["values"]),
                 error_of(theirs[t["name"]], t["values"])) for t, g in zip(outputs, ours)]


def check(nn_run, model, batch, tolerance):
    good = True
    try:
        rows = compare(nn_run, model, batch)
    except (RuntimeError, subprocess.CalledProcessError) as e:
        print(f"{model.name}: {getattr(e, 'stderr', None) or e}")
        return False
    for name, dims, error, written in rows:
        good = good and error <= tolerance and written <= tolerance
        print(f"{model.name}: {name} {dims} relative error {error:.2e}, written {written:.2e}")
    return good


def speed(nn_run, model, batch):
    line = subprocess.run([nn_run, "time", model, "infer", str(batch)], capture_output=True,
                          text=True).stdout
    found = re.search(r"run ([\d.]+) ms", line)
    return float(found.group(1)) if found else float("nan")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
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
