"""ONNX graphs run by PyTorch's functions, in any floating type: the reference of check_grads.py and
make_nn_cases.py. Development only; covers what the checked networks use."""
import numpy as np
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
    if want[0] == 1 and x.shape[0] > 1:  # a file for one image, run with more
        want[0] = x.shape[0]
    return x.reshape(want)


def slice_(a, x, starts, ends, axes=None, steps=None):
    axes = range(len(starts)) if axes is None else axes
    for i, axis in enumerate(axes):
        step = 1 if steps is None else int(steps[i])
        picked = list(range(x.shape[int(axis)]))[int(starts[i]):int(ends[i]):step]
        x = x.index_select(int(axis), torch.tensor(picked, dtype=torch.long))
    return x


def pad(a, x, pads, value=None):
    n = x.dim()
    flat = [int(v) for v in pads]
    order = [v for i in reversed(range(n)) for v in (flat[i], flat[i + n])]
    return F.pad(x, order, value=0 if value is None else float(value))


def average_pool(a, x):
    p = a.get("pads", [0, 0, 0, 0])
    assert p[0] == p[2] and p[1] == p[3]
    return F.avg_pool2d(x, a["kernel_shape"], a["strides"], p[:2], bool(a.get("ceil_mode", 0)),
                        bool(a.get("count_include_pad", 0)))


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


def gemm(a, x, y, c=None):
    x = x.T if a.get("transA", 0) else x
    y = y.T if a.get("transB", 0) else y
    z = a.get("alpha", 1.0) * (x @ y)
    return z if c is None else z + a.get("beta", 1.0) * c


def split(a, x, sizes=None):
    sizes = a["split"] if sizes is None else [int(v) for v in sizes]
    return torch.split(x, sizes, a.get("axis", 0))


def reduce(how):
    def run(a, x, axes=None):
        axes = a.get("axes") if axes is None else [int(v) for v in axes]
        return how(x, list(range(x.dim())) if axes is None else list(axes),
                   keepdim=bool(a.get("keepdims", 1)))
    return run


def cast(a, x):
    kinds = {1: None, 6: torch.long, 7: torch.long, 9: torch.bool}
    kind = kinds[a["to"]]  # floats stay what they are
    return x if kind is None and x.is_floating_point() else x.to(kind or torch.float64)


def squeeze(a, x, axes=None):
    axes = a.get("axes") if axes is None else [int(v) for v in axes]
    for axis in sorted((i % x.dim() for i in axes), reverse=True):
        x = x.squeeze(axis)
    return x


def unsqueeze(a, x, axes=None):
    axes = a.get("axes") if axes is None else [int(v) for v in axes]
    for axis in sorted(i % (x.dim() + len(axes)) for i in axes):
        x = x.unsqueeze(axis)
    return x


def depth_to_space(a, x):
    b = a["blocksize"]
    if a.get("mode", b"DCR") == b"CRD":
        return F.pixel_shuffle(x, b)
    n, c, h, w = x.shape
    x = x.reshape(n, b, b, c // b // b, h, w).permute(0, 3, 4, 1, 5, 2)
    return x.reshape(n, c // b // b, h * b, w * b)


def space_to_depth(a, x):
    b = a["blocksize"]
    n, c, h, w = x.shape
    x = x.reshape(n, c, h // b, b, w // b, b).permute(0, 3, 5, 1, 2, 4)
    return x.reshape(n, c * b * b, h // b, w // b)


def operators(bn):
    return {
        "Abs": lambda a, x: x.abs(),
        "Add": lambda a, x, y: x + y,
        "Sub": lambda a, x, y: x - y,
        "Mul": lambda a, x, y: x * y,
        "Div": lambda a, x, y: x / y if x.is_floating_point() else x // y,
        "AveragePool": average_pool,
        "BatchNormalization": batch_norm(bn),
        "Cast": cast,
        "Clip": lambda a, x, lo=None, hi=None: x.clamp(
            a.get("min", lo), a.get("max", hi)),
        "Concat": lambda a, *x: torch.cat(x, a["axis"]),
        "Conv": conv,
        "ConvTranspose": conv_transpose,
        "DepthToSpace": depth_to_space,
        "Elu": lambda a, x: F.elu(x, a.get("alpha", 1.0)),
        "Erf": lambda a, x: x.erf(),
        "Exp": lambda a, x: x.exp(),
        "Flatten": lambda a, x: x.reshape(x.shape[0], -1),
        "Gather": gather,
        "Gelu": lambda a, x: F.gelu(x),
        "Gemm": gemm,
        "GlobalAveragePool": lambda a, x: x.mean((2, 3), keepdim=True),
        "HardSigmoid": lambda a, x: (x * a.get("alpha", 0.2) + a.get("beta", 0.5)).clamp(0, 1),
        "HardSwish": lambda a, x: F.hardswish(x),
        "Identity": lambda a, x: x,
        "LeakyRelu": lambda a, x: F.leaky_relu(x, a.get("alpha", 0.01)),
        "MatMul": lambda a, x, y: x @ y,
        "MaxPool": max_pool,
        "Neg": lambda a, x: -x,
        "PRelu": prelu,
        "Pad": pad,
        "Pow": lambda a, x, e: x.pow(float(e)),
        "ReduceMean": reduce(torch.mean),
        "ReduceSum": reduce(torch.sum),
        "Relu": lambda a, x: x.relu(),
        "Reshape": reshape,
        "Resize": resize,
        "Shape": lambda a, x: torch.tensor(x.shape),
        "Sigmoid": lambda a, x: x.sigmoid(),
        "Slice": slice_,
        "Softmax": lambda a, x: x.softmax(a.get("axis", -1)),
        "Softplus": lambda a, x: -F.logsigmoid(-x),
        "SpaceToDepth": space_to_depth,
        "Split": split,
        "Sqrt": lambda a, x: x.sqrt(),
        "Squeeze": squeeze,
        "Tanh": lambda a, x: x.tanh(),
        "Transpose": lambda a, x: x.permute(a["perm"]),
        "Unsqueeze": unsqueeze,
    }


def to_tensor(proto, dtype):
    t = torch.from_numpy(np.array(numpy_helper.to_array(proto)))
    return t.to(dtype) if t.is_floating_point() else t


def run_graph(graph, inputs, params, dtype, table):
    """inputs and params: tensors by name. Returns the outputs in the graph's order."""
    env = {**params, **inputs}
    for n in graph.node:
        a = {x.name: helper.get_attribute_value(x) for x in n.attribute}
        if n.op_type == "Constant":
            env[n.output[0]] = to_tensor(a["value"], dtype)
            continue
        y = table[n.op_type](a, *[env[i] if i else None for i in n.input])
        for name, value in zip(n.output, y if isinstance(y, (tuple, list)) else [y]):
            env[name] = value
    return [env[o.name] for o in graph.output]
