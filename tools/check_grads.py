#!/usr/bin/python3
"""Compare one training step's outputs and gradients with PyTorch's, tensor by tensor.

    tools/check_grads.py NN_RUN MODEL [--batch 2] [--bn frozen|batch] [--smooth]

The ONNX graph is interpreted with PyTorch functions in float64 (and float32 for comparison), the
cotangent of the outputs is random. The error of a tensor is the norm of the difference divided by
its norm. A float32 run takes the other side of a few kinks (ReLU, max pooling) than the float64
one, so that PyTorch's own float32 error, printed beside ours, is not that of rounding alone;
--smooth checks the graph with every kinked operator exchanged for a smooth one of the same shapes.
Exit status 1 when a tensor is above the tolerance.
"""
import argparse
import collections
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import torch
from onnx import numpy_helper

import onnx_torch

# What takes a kinked operator's place, and the attributes that it keeps. PRelu's slopes become 1.
SMOOTH = {"Relu": ("Softplus", ()), "LeakyRelu": ("Softplus", ()), "Clip": ("Softplus", ()),
          "HardSigmoid": ("Sigmoid", ()),
          "MaxPool": ("AveragePool", ("kernel_shape", "strides", "pads", "ceil_mode"))}

Step = collections.namedtuple("Step", "outputs grads")  # arrays; arrays by name


def remove_kinks(model):
    slopes = {n.input[1] for n in model.graph.node if n.op_type == "PRelu"}
    for i in model.graph.initializer:
        if i.name in slopes:
            ones = np.ones(numpy_helper.to_array(i).shape, np.float32)
            i.CopyFrom(numpy_helper.from_array(ones, i.name))
    for n in model.graph.node:
        if n.op_type not in SMOOTH:
            continue
        n.op_type, kept = SMOOTH[n.op_type]
        attributes = [a for a in n.attribute if a.name in kept]
        del n.attribute[:], n.input[1:]
        n.attribute.extend(attributes)


def leaves(model, dtype):
    params = {i.name: onnx_torch.to_tensor(i, dtype) for i in model.graph.initializer}
    for t in params.values():
        t.requires_grad_(t.is_floating_point())
    return params


def input_name(model, params):
    return [i.name for i in model.graph.input if i.name not in params][0]


def output_dims(model, image):
    """Dims for one image, some of which a file with a dynamic batch may leave out."""
    params = leaves(model, torch.float32)
    with torch.no_grad():
        out = onnx_torch.run_graph(model.graph, {input_name(model, params): image}, params,
                                   torch.float32, onnx_torch.operators("frozen"))
    return [list(o.shape) for o in out]


def torch_step(model, x, cotangents, dtype, bn):
    """Where images do not depend on each other they run one by one, as files for one image want."""
    params, table, parts = leaves(model, dtype), onnx_torch.operators(bn), []
    name = input_name(model, params)
    chunks = 1 if bn == "batch" else len(x)
    for i, image in enumerate(np.split(x, chunks)):
        out = onnx_torch.run_graph(model.graph, {name: torch.from_numpy(image).to(dtype)}, params,
                                   dtype, table)
        sum((o * torch.from_numpy(np.split(c, chunks)[i]).to(dtype).reshape(o.shape)).sum()
            for o, c in zip(out, cotangents)).backward()
        parts.append([o.detach().numpy() for o in out])
    grads = {k: v.grad.numpy() for k, v in params.items() if v.grad is not None}
    return Step([np.concatenate(p) for p in zip(*parts)], grads)


def engine_step(nn_run, model, x, cotangents, bn):
    with tempfile.TemporaryDirectory() as folder:
        path = {k: pathlib.Path(folder, k) for k in ("x", "y", "gy", "g", "model")}
        onnx.save(model, str(path["model"]))
        path["x"].write_bytes(x.tobytes())
        path["gy"].write_bytes(b"".join(c.tobytes() for c in cotangents))
        run = subprocess.run([nn_run, "train", path["model"], path["x"], path["y"], str(len(x)), bn,
                              path["gy"], path["g"]], capture_output=True, text=True)
        if run.returncode:
            raise RuntimeError(run.stderr.strip())
        outputs, grads, at = np.fromfile(path["y"], np.float32), {}, 0
        ends = np.cumsum([c.size for c in cotangents])[:-1]
        outputs = [o.reshape(c.shape) for o, c in zip(np.split(outputs, ends), cotangents)]
        values = np.fromfile(path["g"], np.float32)
        for line in run.stdout.splitlines():
            name, count = line.rsplit(" ", 1)
            grads[name] = values[at:at + int(count)]
            at += int(count)
        return Step(outputs, grads)


def input_dims(model):
    known = {i.name for i in model.graph.initializer}
    source = [i for i in model.graph.input if i.name not in known][0]
    return [d.dim_value for d in source.type.tensor_type.shape.dim]


def steps(nn_run, model, batch, bn):
    """The same step by the engine, by PyTorch in float64 and by PyTorch in float32."""
    rng = np.random.default_rng(1)
    x = rng.standard_normal([batch] + input_dims(model)[1:]).astype(np.float32)
    cotangents = [rng.standard_normal([batch] + d[1:]).astype(np.float32)
                  for d in output_dims(model, torch.from_numpy(x[:1]))]
    exact = torch_step(model, x, cotangents, torch.float64, bn)
    single = torch_step(model, x, cotangents, torch.float32, bn)
    return engine_step(nn_run, model, x, cotangents, bn), exact, single


def error_of(got, want, floor=1e-30):
    want = want.ravel()
    return float(np.linalg.norm(got.ravel() - want) / max(np.linalg.norm(want), floor))


def output_error(step, exact):
    return max(error_of(got, want) for got, want in zip(step.outputs, exact.outputs))


def grad_errors(step, exact, names):
    """By name. A bias in front of a batch-norm has no gradient but rounding: a norm is not taken to
    be below this share of all."""
    floor = 1e-5 * np.sqrt(sum(np.linalg.norm(v) ** 2 for v in exact.grads.values()))
    return {k: error_of(step.grads[k], exact.grads[k], floor) for k in names}


def compared(ours, exact):
    """Parameters that both know: the engine merges and splits a few."""
    return [k for k in ours.grads if k in exact.grads]


def report(ours, exact, single, tolerance):
    names = compared(ours, exact)
    for k in ours.grads:
        if k not in exact.grads:
            print(f"{k}: not a parameter in PyTorch's graph")
    errors, theirs = grad_errors(ours, exact, names), grad_errors(single, exact, names)
    bad = [k for k in names if errors[k] > tolerance]
    for k in bad:
        print(f"{k} {exact.grads[k].shape}: relative error {errors[k]:.2e}, PyTorch in float32 "
              f"{theirs[k]:.2e}")
    print(f"output: relative error {output_error(ours, exact):.2e}, PyTorch in float32 "
          f"{output_error(single, exact):.2e}")
    print(f"{len(names)} tensors, worst relative error {max(errors.values()):.2e}, PyTorch in "
          f"float32 {max(theirs.values()):.2e}")
    return not bad


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("nn_run")
    parser.add_argument("model")
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--bn", choices=["frozen", "batch"], default="frozen")
    parser.add_argument("--smooth", action="store_true")
    parser.add_argument("--tolerance", type=float, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    model = onnx.load(args.model)
    if args.smooth:
        remove_kinks(model)
    try:
        ours, exact, single = steps(args.nn_run, model, args.batch, args.bn)
    except RuntimeError as e:
        sys.exit(str(e))
    good = report(ours, exact, single, args.tolerance or (1e-3 if args.smooth else 1e-2))
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
