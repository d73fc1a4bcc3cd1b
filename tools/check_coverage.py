#!/usr/bin/python3
"""Print a Markdown table: the engine's outputs and gradients on every ONNX file of some folders,
against ONNX Runtime and PyTorch.

    ORT_DIR=~/ort tools/check_coverage.py NN_RUN FOLDER... [--only TEXT]
        [--outputs-only ENDING...]

NN_RUN is build/tests/nn/nn_run. Make the files with tools/export_torchvision.py; detectors and
others can be in further folders. See docs/coverage.md for what the columns say. Exit status 1 when
a file does not run, when an output is off by more than 1e-3, or when a gradient on the smooth
graph is by more than that and by more than four times what PyTorch in float32 is.
"""
import argparse
import collections
import pathlib
import subprocess
import sys

import onnx
import torch

import check_grads
import check_models

TOLERANCE = 1e-3
TOLERANCE_RATIO = 4
BATCH = 2
LARGE_PIXELS = 1 << 18  # above, a batch of one has to do

HEADER = ("| file | nodes | parameters | outputs | written | gradients | smooth | batch mode | "
          "smooth |")
RULE = "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"

Pair = collections.namedtuple("Pair", "ours theirs")  # largest relative errors


def gradient_pair(nn_run, path, batch, bn, smooth):
    model = onnx.load(path)
    if smooth:
        check_grads.remove_kinks(model)
    ours, exact, single = check_grads.steps(nn_run, model, batch, bn)
    names = check_grads.compared(ours, exact)
    return Pair(*(max(check_grads.grad_errors(step, exact, names).values())
                  for step in (ours, single)))


def batch_of(model):
    height, width = check_grads.input_dims(model)[2:]
    return BATCH if height * width < LARGE_PIXELS else 1


def facts(path):
    model = onnx.load(path)
    kept = any(n.op_type == "BatchNormalization" for n in model.graph.node)
    floats = [i for i in model.graph.initializer if i.data_type == onnx.TensorProto.FLOAT]
    count = sum(int(torch.tensor(list(i.dims)).prod()) for i in floats)
    return len(model.graph.node), count, batch_of(model), kept


def cell(pair):
    return f"{pair.ours:.1e} ({pair.theirs:.1e})"


def row(nn_run, path, grads):
    """The line of the table, and whether it is good."""
    nodes, count, batch, kept = facts(path)
    rows = check_models.compare(nn_run, path, batch)
    output, written = max(r[2] for r in rows), max(r[3] for r in rows)
    modes = (["frozen", "batch"] if kept else ["frozen"]) if grads else []
    pairs = [gradient_pair(nn_run, path, batch, bn, smooth)
             for bn in modes for smooth in (False, True)]
    cells = [cell(p) for p in pairs] + [""] * (4 - len(pairs))
    good = max(output, written) <= TOLERANCE and all(
        p.ours <= max(TOLERANCE, TOLERANCE_RATIO * p.theirs) for p in pairs[1::2])
    return (f"| {path.stem} | {nodes} | {count / 1e6:.2f} M | {output:.1e} | {written:.1e} | "
            + " | ".join(cells) + " |"), good


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("nn_run")
    parser.add_argument("folders", type=pathlib.Path, nargs="+")
    parser.add_argument("--only", default="", help="files whose name has this text")
    parser.add_argument("--outputs-only", nargs="+", default=[], metavar="ENDING",
                        help="no gradients of files whose names end so: they differ from others "
                        "in size or in how they are exported")
    args = parser.parse_args()
    torch.set_num_threads(1)
    files = [f for folder in args.folders for f in sorted(folder.rglob("*.onnx"))]
    bad = []
    print(HEADER)
    print(RULE)
    for path in (f for f in files if args.only in f.name):
        try:
            line, good = row(args.nn_run, path, not path.stem.endswith(tuple(args.outputs_only)))
        except (RuntimeError, subprocess.CalledProcessError) as e:
            text = str(getattr(e, "stderr", None) or e).strip()
            line, good = f"| {path.stem} | {text} |" + " |" * 7, False
        print(line, flush=True)
        bad += [] if good else [path.name]
    if bad:
        sys.exit("not good: " + ", ".join(bad))


if __name__ == "__main__":
    main()
