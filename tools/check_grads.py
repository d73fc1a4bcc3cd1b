#!/usr/bin/python3
"""Compare one training step's gradients with PyTorch's, tensor by tensor.

    tools/check_grads.py NN_RUN MODEL [--batch 2] [--bn frozen|batch] [--smooth]

The ONNX graph is interpreted with PyTorch functions in float64 (and float32 for comparison), the
cotangent of the outputs is random. The error of a tensor is the norm of the difference divided by
its norm. A float32 run takes the other side of a few kinks (ReLU, PRelu) than the float64 one, so
that PyTorch's own float32 error, printed beside ours, is not that of rounding alone; --smooth sets
the slopes of PRelu to 1, which leaves no kinks. Exit status 1 when a tensor is above the tolerance.
"""
import argparse
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from torch.nn import functional as F


def same_padding(a):
    p = a.get("pads", [0, 0, 0, 0])
    return [p[1], p[3], p[0], p[2]]


def conv(a, x, w, b=None):
    x = F.pad(x, same_padding(a))
    return F.conv2d(x, w, b, a.get("strides", 1), 0, a.get("dilations", 1), a.get("group", 1))


def conv_transpose(a, x, w, b=None):
    y = F.conv_transpose2d(x, w, b, a.get("strides", 1), 0, 0, a.get("group", 1),
                           a.get("dilations", 1))
    extra = a.get("output_padding", [0, 0])
    p = a.get("pads", [0, 0, 0, 0])
    y = F.pad(y, [0, extra[1], 0, extra[0]])
    return y[:, :, p[0]:y.shape[2] - p[2], p[1]:y.shape[3] - p[3]]


def resize(a, x, roi=None, scales=None, sizes=None):
    if sizes is None or sizes.numel() == 0:
        sizes = torch.floor(torch.tensor(x.shape) * scales)
    size = [int(v) for v in sizes[2:]]
    mode = a["coordinate_transformation_mode"].decode()
    if a["mode"] == b"nearest":
        return F.interpolate(x, size, mode="nearest")
    return F.interpolate(x, size, mode="bilinear", align_corners=mode == "align_corners")


def reshape(a, x, shape):
    want = [int(v) for v in shape]
    want = [x.shape[i] if v == 0 else v for i, v in enumerate(want)]
    if want[0] == 1 and x.shape[0] > 1:
        want[0] = x.shape[0]
    return x.reshape(want)


def slice_(a, x, starts, ends, axes=None, steps=None):
    axes = range(len(starts)) if axes is None else axes
    for i, axis in enumerate(axes):
        step = 1 if steps is None else int(steps[i])
        picked = list(range(x.shape[int(axis)]))[int(starts[i]):int(ends[i]):step]
        x = x.index_select(int(axis), torch.tensor(picked))
    return x


def pad(a, x, pads, value=None):
    n = x.dim()
    flat = [int(v) for v in pads]
    order = [v for i in reversed(range(n)) for v in (flat[i], flat[i + n])]
    return F.pad(x, order, value=0 if value is None else float(value))


def average_pool(a, x):
    assert not a.get("ceil_mode", 0)
    p = a.get("pads", [0, 0, 0, 0])
    assert p[0] == p[2] and p[1] == p[3]
    return F.avg_pool2d(x, a["kernel_shape"], a["strides"], p[:2],
                        count_include_pad=bool(a.get("count_include_pad", 0)))


def max_pool(a, x):
    p = a.get("pads", [0, 0, 0, 0])
    assert p[0] == p[2] and p[1] == p[3]
    return F.max_pool2d(x, a["kernel_shape"], a["strides"], p[:2],
                        ceil_mode=bool(a.get("ceil_mode", 0)))


def gather(a, x, index):
    axis = a.get("axis", 0)
    return x.select(axis, int(index)) if not index.dim() else x.index_select(
        axis, index % x.shape[axis])


def batch_norm(bn):
    def run(a, x, scale, shift, mean, variance):
        return F.batch_norm(x, mean.detach().clone(), variance.detach().clone(), scale, shift,
                            bn == "batch", 0.1, a.get("epsilon", 1e-5))
    return run


def prelu(a, x, slope):
    return torch.where(x > 0, x, slope * x)


def operators(bn):
    return {
        "Add": lambda a, x, y: x + y,
        "Sub": lambda a, x, y: x - y,
        "Mul": lambda a, x, y: x * y,
        "Div": lambda a, x, y: x / y if x.is_floating_point() else x // y,
        "AveragePool": average_pool,
        "BatchNormalization": batch_norm(bn),
        "Cast": lambda a, x: x,
        "Clip": lambda a, x, lo=None, hi=None: x.clamp(lo, hi),
        "Concat": lambda a, *x: torch.cat(x, a["axis"]),
        "Constant": None,
        "Conv": conv,
        "ConvTranspose": conv_transpose,
        "Gather": gather,
        "GlobalAveragePool": lambda a, x: x.mean((2, 3), keepdim=True),
        "LeakyRelu": lambda a, x: F.leaky_relu(x, a.get("alpha", 0.01)),
        "MatMul": lambda a, x, y: x @ y,
        "MaxPool": max_pool,
        "PRelu": prelu,
        "Pad": pad,
        "Relu": lambda a, x: x.relu(),
        "Reshape": reshape,
        "Resize": resize,
        "Shape": lambda a, x: torch.tensor(x.shape),
        "Sigmoid": lambda a, x: x.sigmoid(),
        "Slice": slice_,
        "Softmax": lambda a, x: x.softmax(a.get("axis", -1)),
        "Transpose": lambda a, x: x.permute(a["perm"]),
    }


def run_graph(graph, inputs, params, bn):
    table, env = operators(bn), dict(params)
    env.update(inputs)
    for n in graph.node:
        a = {x.name: helper.get_attribute_value(x) for x in n.attribute}
        if n.op_type == "Constant":
            env[n.output[0]] = torch.from_numpy(numpy_helper.to_array(a["value"]).copy())
            v = env[n.output[0]]
            if v.dtype == torch.float32 and inputs:
                env[n.output[0]] = v.to(next(iter(inputs.values())).dtype)
            continue
        y = table[n.op_type](a, *[env[i] if i else None for i in n.input])
        env[n.output[0]] = y
    return [env[o.name] for o in graph.output]


def torch_step(model, x, cotangent, dtype, bn):
    params = {}
    for i in model.graph.initializer:
        t = torch.from_numpy(numpy_helper.to_array(i).copy())
        if t.dtype == torch.float32:
            t = t.to(dtype).requires_grad_()
        params[i.name] = t
    name = [i.name for i in model.graph.input if i.name not in params][0]
    out = run_graph(model.graph, {name: torch.from_numpy(x).to(dtype)}, params, bn)[0]
    out.backward(torch.from_numpy(cotangent).to(dtype).reshape(out.shape))
    grads = {k: v.grad.numpy() for k, v in params.items()
             if v.requires_grad and v.grad is not None}
    return out.detach().numpy(), grads


def error_of(got, want, floor=1e-30):
    return float(np.linalg.norm((got - want).ravel()) / max(np.linalg.norm(want), floor))


def compare(lines, ours, exact, single, tolerance):
    # A bias in front of a batch-norm has no gradient but rounding: not below this.
    floor = 1e-5 * np.sqrt(sum(np.linalg.norm(v) ** 2 for v in exact.values()))
    at, worst, bad = 0, 0.0, 0
    for line in lines:
        name, count = line.rsplit(" ", 1)
        got = ours[at:at + int(count)]
        at += int(count)
        if name not in exact:
            print(f"{name}: not a parameter in PyTorch's graph")
            continue
        error = error_of(got, exact[name].ravel(), floor)
        worst = max(worst, error)
        if error > tolerance:
            bad += 1
            print(f"{name} {exact[name].shape}: relative error {error:.2e}, PyTorch in float32 "
                  f"{error_of(single[name], exact[name], floor):.2e}")
    print(f"{len(lines)} tensors, worst relative error {worst:.2e}, PyTorch in float32 "
          f"{max(error_of(single[k], exact[k], floor) for k in exact):.2e}")
    return bad == 0


def remove_kinks(model):
    slopes = {n.input[1] for n in model.graph.node if n.op_type == "PRelu"}
    for i in model.graph.initializer:
        if i.name in slopes:
            ones = np.ones(numpy_helper.to_array(i).shape, np.float32)
            i.CopyFrom(numpy_helper.from_array(ones, i.name))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("nn_run")
    parser.add_argument("model")
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--bn", choices=["frozen", "batch"], default="frozen")
    parser.add_argument("--smooth", action="store_true")
    parser.add_argument("--tolerance", type=float, default=0)
    args = parser.parse_args()
    args.tolerance = args.tolerance or (1e-3 if args.smooth else 1e-2)
    torch.set_num_threads(1)
    model = onnx.load(args.model)
    if args.smooth:
        remove_kinks(model)
    known = {i.name for i in model.graph.initializer}
    source = [i for i in model.graph.input if i.name not in known][0]
    dims = [args.batch] + [d.dim_value for d in source.type.tensor_type.shape.dim][1:]
    rng = np.random.default_rng(1)
    x = rng.standard_normal(dims).astype(np.float32)
    probe = [d.dim_value for d in model.graph.output[0].type.tensor_type.shape.dim]
    cotangent = rng.standard_normal([args.batch] + probe[1:]).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        path = {k: pathlib.Path(folder, k) for k in ("x", "y", "gy", "g", "model")}
        onnx.save(model, str(path["model"]))
        path["x"].write_bytes(x.tobytes())
        path["gy"].write_bytes(cotangent.tobytes())
        run = subprocess.run([args.nn_run, "train", path["model"], path["x"], path["y"],
                              str(args.batch), args.bn, path["gy"], path["g"]], check=True,
                             capture_output=True, text=True)
        out, exact = torch_step(model, x, cotangent, torch.float64, args.bn)
        out32, single = torch_step(model, x, cotangent, torch.float32, args.bn)
        ours = np.fromfile(path["y"], np.float32).reshape(out.shape)
        print(f"output: relative error {error_of(ours, out):.2e}, PyTorch in float32 "
              f"{error_of(out32, out):.2e}")
        good = compare(run.stdout.splitlines(), np.fromfile(path["g"], np.float32), exact, single,
                       args.tolerance)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
