#!/usr/bin/python3
"""Write tests/data/nn/operators.cases: small models with the values PyTorch computes for them.

    tools/make_nn_cases.py tests/data/nn/operators.cases

Development only: the tests read the file and need no Python. Each case is an ONNX model of one or
two operators. What they read is itself a parameter, brought in by a transposed convolution (or
product) with one-hot inputs, so that the gradient by that parameter is the operator's gradient by
its input, element by element. References are float64; pooling and resize are written out from
ONNX's definition here, for PyTorch's have other conventions.

Format (little-endian): "NNCASES1", u32 cases; a case is its name, u32 batch, u8 batch-norm mode (1
frozen, 2 batch), u32 size and bytes of the ONNX file, u16 tensors; a tensor is u8 kind (1 input, 2
output, 3 cotangent of the output, 4 gradient by the named parameter, 5 the named parameter after a
forward pass), its name, u32 count, float32 values. A name is u16 size and bytes.
"""
import math
import struct
import sys

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

import onnx_torch

RNG = np.random.default_rng(7)
CASES = []


def windows(a, x, fill):
    """Every window of a pooling node as [N, C, out_h, out_w, taps], and which taps are inside the
    image, inside image or padding."""
    kernel, stride = a["kernel_shape"], a.get("strides", [1, 1])
    dilation, p = a.get("dilations", [1, 1]), a.get("pads", [0, 0, 0, 0])
    out = []
    for i in range(2):
        span = x.shape[2 + i] + p[i] + p[i + 2] - (kernel[i] - 1) * dilation[i] - 1
        steps = math.ceil(span / stride[i]) if a.get("ceil_mode", 0) else span // stride[i]
        if a.get("ceil_mode", 0) and steps * stride[i] >= x.shape[2 + i] + p[i]:
            steps -= 1
        out.append(steps + 1)
    taps, inside, counted = [], [], []
    for ky in range(kernel[0]):
        for kx in range(kernel[1]):
            y = torch.arange(out[0]) * stride[0] + ky * dilation[0] - p[0]
            z = torch.arange(out[1]) * stride[1] + kx * dilation[1] - p[1]
            good = ((y >= 0) & (y < x.shape[2]))[:, None] & ((z >= 0) & (z < x.shape[3]))[None]
            near = (y < x.shape[2] + p[2])[:, None] & (z < x.shape[3] + p[3])[None]
            v = x[:, :, y.clamp(0, x.shape[2] - 1)][:, :, :, z.clamp(0, x.shape[3] - 1)]
            taps.append(torch.where(good, v, torch.full_like(v, fill)))
            inside.append(good)
            counted.append(near)
    return torch.stack(taps, -1), torch.stack(inside, -1), torch.stack(counted, -1)


def max_pool(a, x):
    return windows(a, x, -math.inf)[0].max(-1).values


def average_pool(a, x):
    taps, inside, counted = windows(a, x, 0.0)
    divisor = (counted if a.get("count_include_pad", 0) else inside).sum(-1).clamp(1)
    return taps.sum(-1) / divisor


def resize_matrix(a, size, out, scale):
    mode = a["coordinate_transformation_mode"].decode()
    m = torch.zeros(out, size, dtype=torch.float64)
    for i in range(out):
        if mode == "half_pixel":
            at = (i + 0.5) / scale - 0.5
        elif mode == "pytorch_half_pixel":
            at = (i + 0.5) / scale - 0.5 if out > 1 else 0.0
        elif mode == "align_corners":
            at = i * (size - 1) / (out - 1) if out > 1 else 0.0
        else:
            at = i / scale
        if a["mode"] == b"nearest":
            how = a.get("nearest_mode", b"round_prefer_floor")
            pick = {b"floor": math.floor(at), b"ceil": math.ceil(at),
                    b"round_prefer_floor": math.ceil(at - 0.5),
                    b"round_prefer_ceil": math.floor(at + 0.5)}[how]
            m[i, min(max(pick, 0), size - 1)] = 1
        else:
            at = min(max(at, 0.0), size - 1.0)
            low = min(math.floor(at), size - 1)
            m[i, low] += 1 - (at - low)
            m[i, min(low + 1, size - 1)] += at - low
    return m


def resize(a, x, roi=None, scales=None, sizes=None):
    if sizes is None or sizes.numel() == 0:
        sizes = [math.floor(x.shape[i] * float(scales[i]) + 1e-6) for i in range(4)]
    sizes = [int(v) for v in sizes]
    scale = [sizes[i] / x.shape[i] if scales is None or scales.numel() == 0 else float(scales[i])
             for i in range(4)]
    rows = resize_matrix(a, x.shape[2], sizes[2], scale[2]).to(x.dtype)
    columns = resize_matrix(a, x.shape[3], sizes[3], scale[3]).to(x.dtype)
    return rows @ x @ columns.T


def batch_norm(a, x, scale, shift, mean, variance):
    shape = [1, -1] + [1] * (x.dim() - 2)
    return ((x - mean.view(shape)) / torch.sqrt(variance.view(shape) + a.get("epsilon", 1e-5))
            * scale.view(shape) + shift.view(shape))


def batch_norm_batch(a, x, scale, shift, mean, variance):
    keep = [0] + list(range(2, x.dim()))
    m, v, n = x.mean(keep), x.var(keep, unbiased=False), x.numel() // x.shape[1]
    k = a.get("momentum", 0.9)
    with torch.no_grad():
        mean.copy_(mean * k + m * (1 - k))
        variance.copy_(variance * k + v * n / (n - 1) * (1 - k))
    return batch_norm(a, x, scale, shift, m, v)


def table(bn):
    t = onnx_torch.operators(bn)
    t.update(MaxPool=max_pool, AveragePool=average_pool, Resize=resize,
             BatchNormalization=batch_norm if bn == "frozen" else batch_norm_batch)
    return t


def floats(*dims, low=-1.0, high=1.0):
    return RNG.uniform(low, high, dims).astype(np.float32)


def apart(*dims):
    """Values no two of which are close, none close to 0: no kink within a finite difference."""
    n = int(np.prod(dims))
    values = (RNG.permutation(n) - n // 2 + 0.5) / n * 4
    return values.astype(np.float32).reshape(dims)


def ints(*values):
    return np.array(values, np.int64)


def front_nodes(name, values, shape):
    """Nodes that make image n of `name` the n-th of `values`, and the parameter they need."""
    weights = f"front_{name}"
    if len(shape) == 4:
        return [node("ConvTranspose", ["input", weights], [name], kernel_shape=shape[2:])], {
            weights: values}
    flat = {weights: values.reshape(values.shape[0], -1)}
    if len(shape) == 2:
        return [node("Gemm", ["input", weights], [name])], flat
    return [node("Gemm", ["input", weights], ["flat"]),
            node("Reshape", ["flat", "front_shape"], [name])], {
                **flat, "front_shape": ints(0, *shape[1:])}


def case(name, dims, nodes, params, outputs=("y",), batch=1, bn="frozen", front=True, spread=False,
         also=None, opset=13):
    """nodes read "x" [batch, dims[1:]] and what `also` names (name: dims), and give `outputs`.
    Parameters whose name starts with "const" are constants to the engine."""
    params = dict(params)
    if front:
        made = []
        for what, shape in {"x": dims, **(also or {})}.items():
            values = (apart if spread else floats)(batch, *shape[1:])
            if what != "x":
                values += np.float32(2.5)
            more, needs = front_nodes(what, values, shape)
            made += more
            params.update(needs)
        nodes = made + nodes
        data = {"input": np.eye(batch, dtype=np.float32)}
        input_dims = [dims[0], batch]
        if len(dims) == 4:
            data["input"] = data["input"].reshape(batch, batch, 1, 1)
            input_dims += [1, 1]
    else:
        data = {"x": floats(batch, *dims[1:])}
        input_dims = dims
    params = {k: np.asarray(v) for k, v in params.items()}
    values = {k: torch.from_numpy(v.copy()).double().requires_grad_() if v.dtype == np.float32
              else torch.from_numpy(v.copy()) for k, v in params.items()}
    source = {k: torch.from_numpy(v).double() for k, v in data.items()}
    graph = helper.make_graph(
        nodes, "case",
        [helper.make_tensor_value_info(k, TensorProto.FLOAT, input_dims) for k in data],
        [helper.make_tensor_value_info(o, TensorProto.FLOAT, None) for o in outputs],
        [numpy_helper.from_array(v, k) for k, v in params.items()])
    out = onnx_torch.run_graph(graph, source, values, torch.float64, table(bn))
    cotangents = [torch.from_numpy(floats(*o.shape)) for o in out]
    sum((o * c).sum() for o, c in zip(out, cotangents)).backward()
    for info, o in zip(graph.output, out):
        first = o.shape[0] * dims[0] // batch
        info.CopyFrom(helper.make_tensor_value_info(info.name, TensorProto.FLOAT,
                                                    [first] + list(o.shape[1:])))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)],
                              ir_version=7)
    if opset < 18:  # Debian's python3-onnx knows no later ones
        onnx.checker.check_model(model)
    tensors = [(1, k, v) for k, v in data.items()]
    tensors += [(2, n, o.detach().numpy()) for n, o in zip(outputs, out)]
    tensors += [(3, n, c.numpy()) for n, c in zip(outputs, cotangents)]
    tensors += [(4, k, v.grad.numpy()) for k, v in values.items()
                if v.is_floating_point() and v.grad is not None and
                k not in ("mean", "variance") and not k.startswith("const")]
    tensors += [(5, k, values[k].detach().numpy()) for k in ("mean", "variance") if k in values]
    CASES.append((name, batch // dims[0], 2 if bn == "batch" else 1, model.SerializeToString(),
                  tensors))


def node(op, inputs, outputs=("y",), **a):
    return helper.make_node(op, list(inputs), list(outputs), **a)


def windows_cases():
    for name, c, o, g, k, s, d, p, size, bias in [
            ("conv3x3", 3, 5, 1, [3, 3], [1, 1], [1, 1], [1, 1, 1, 1], [7, 9], True),
            ("conv3x3_stride_asymmetric", 5, 17, 1, [3, 3], [2, 2], [1, 1], [0, 1, 1, 0], [9, 8],
             True),
            ("conv1x1", 17, 3, 1, [1, 1], [1, 1], [1, 1], [0, 0, 0, 0], [5, 6], False),
            ("conv1x1_stride", 4, 6, 1, [1, 1], [2, 2], [1, 1], [0, 0, 0, 0], [7, 6], True),
            ("conv_uneven_kernel", 2, 3, 1, [1, 5], [1, 2], [1, 1], [0, 2, 0, 2], [4, 11], True),
            ("conv_groups", 8, 12, 4, [3, 3], [1, 1], [1, 1], [1, 1, 1, 1], [6, 7], True),
            ("conv_groups_1x1", 16, 8, 4, [1, 1], [1, 1], [1, 1], [0, 0, 0, 0], [5, 5], True),
            ("conv_groups_5_to_1", 15, 3, 3, [3, 3], [1, 1], [1, 1], [1, 1, 1, 1], [5, 6], True),
            ("conv_groups_1_to_2", 3, 6, 3, [3, 3], [1, 1], [1, 1], [1, 1, 1, 1], [5, 6], True),
            ("conv_groups_17_to_17", 34, 51, 17, [3, 3], [1, 1], [1, 1], [1, 1, 1, 1], [5, 6], True),
            ("conv_groups_stride", 16, 24, 8, [3, 3], [2, 2], [1, 1], [0, 1, 1, 0], [8, 7], True),
            ("conv_groups_dilated", 20, 10, 10, [3, 2], [1, 1], [3, 2], [3, 1, 2, 1], [7, 9], False),
            ("conv_groups_1x1_small", 32, 8, 8, [1, 1], [1, 1], [1, 1], [0, 0, 0, 0], [4, 7], True),
            ("conv_groups_large", 32, 64, 2, [3, 3], [1, 1], [1, 1], [1, 1, 1, 1], [4, 4], False),
            ("depthwise", 5, 5, 5, [3, 3], [1, 1], [1, 1], [1, 1, 1, 1], [6, 7], True),
            ("depthwise_dilated", 17, 17, 17, [3, 3], [1, 1], [2, 2], [2, 2, 2, 2], [9, 8], False),
            ("depthwise_dilated_stride", 4, 4, 4, [3, 3], [2, 2], [3, 3], [3, 3, 3, 3], [11, 10],
             True),
            ("depthwise_dilated_channels", 32, 32, 32, [3, 3], [1, 1], [4, 4], [4, 4, 4, 4],
             [7, 6], False),
            ("depthwise_5x5", 6, 6, 6, [5, 5], [2, 2], [2, 1], [2, 2, 3, 1], [12, 9], True),
            ("depthwise_one", 1, 1, 1, [3, 3], [1, 1], [1, 1], [1, 1, 1, 1], [5, 5], True),
            ("conv_dilated", 3, 4, 1, [3, 3], [1, 1], [4, 2], [4, 2, 4, 2], [10, 9], True)]:
        weights = {"w": floats(o, c // g, *k)}
        if bias:
            weights["b"] = floats(o)
        n = node("Conv", ["x", "w"] + (["b"] if bias else []), kernel_shape=k, strides=s,
                 dilations=d, pads=p, group=g)
        case(name, [1, c] + size, [n], weights)
    for name, c, o, g, k, s, p, extra in [
            ("conv_transpose", 3, 5, 1, [2, 2], [2, 2], [0, 0, 0, 0], [0, 0]),
            ("conv_transpose_pads", 4, 3, 1, [3, 3], [2, 2], [1, 1, 1, 1], [1, 1]),
            ("conv_transpose_asymmetric", 2, 3, 1, [4, 3], [2, 1], [1, 0, 1, 2], [0, 0]),
            ("conv_transpose_groups", 6, 4, 2, [3, 3], [1, 1], [1, 1, 1, 1], [0, 0])]:
        n = node("ConvTranspose", ["x", "w", "b"], kernel_shape=k, strides=s, pads=p, group=g,
                 output_padding=extra)
        case(name, [1, c, 4, 5], [n], {"w": floats(c, o // g, *k), "b": floats(o)}, batch=2)
    pools = [("", [3, 3], [2, 2], [1, 1, 1, 1], 0, [8, 9]), ("_2x2", [2, 2], [2, 2], [0] * 4, 0,
                                                           [7, 6]),
             ("_ceil", [3, 3], [2, 2], [0] * 4, 1, [6, 7]),
             ("_ceil_pads", [3, 3], [2, 2], [1, 1, 1, 1], 1, [6, 8]),
             ("_asymmetric", [3, 2], [1, 2], [0, 1, 2, 0], 0, [5, 6])]
    for name, k, s, p, ceil, size in pools:
        a = dict(kernel_shape=k, strides=s, pads=p, ceil_mode=ceil)
        case("max_pool" + name, [1, 5] + size, [node("MaxPool", ["x"], **a)], {}, batch=2,
             spread=True)
        for include in (0, 1):
            n = node("AveragePool", ["x"], count_include_pad=include, **a)
            case(f"average_pool{name}_include{include}", [1, 3] + size, [n], {}, batch=2)
    case("global_average_pool", [1, 17, 3, 5], [node("GlobalAveragePool", ["x"])], {}, batch=2)


def resize_cases():
    for mode, coordinates, nearest, size, out in [
            ("linear", "half_pixel", "floor", [4, 5], [8, 10]),
            ("linear", "half_pixel", "floor", [9, 7], [4, 5]),
            ("linear", "align_corners", "floor", [4, 5], [7, 11]),
            ("linear", "align_corners", "floor", [6, 3], [1, 2]),
            ("linear", "pytorch_half_pixel", "floor", [5, 4], [1, 9]),
            ("linear", "asymmetric", "floor", [3, 4], [6, 8]),
            ("nearest", "asymmetric", "floor", [3, 4], [6, 8]),
            ("nearest", "half_pixel", "round_prefer_floor", [4, 5], [7, 3]),
            ("nearest", "half_pixel", "round_prefer_ceil", [4, 6], [6, 3]),
            ("nearest", "asymmetric", "ceil", [4, 4], [7, 6])]:
        n = node("Resize", ["x", "", "", "sizes"], mode=mode, nearest_mode=nearest,
                 coordinate_transformation_mode=coordinates)
        case(f"resize_{mode}_{coordinates}_{nearest}_{size[0]}to{out[0]}", [1, 5] + size, [n],
             {"sizes": ints(1, 5, *out)})
    n = node("Resize", ["x", "", "scales"], mode="linear",
             coordinate_transformation_mode="half_pixel")
    case("resize_scales", [1, 3, 5, 5], [n], {"scales": np.array([1, 1, 1.5, 2.5], np.float32)})


def elementwise_cases():
    image = [1, 5, 4, 3]
    for op, a in [("Relu", {}), ("LeakyRelu", {"alpha": 0.1}), ("LeakyRelu", {"alpha": -0.2}),
                  ("Sigmoid", {})]:
        tag = "_negative" if a.get("alpha", 0) < 0 else ""
        case(op.lower() + tag, image, [node(op, ["x"], **a)], {}, batch=2, spread=True)
        case(op.lower() + tag + "_vector", [1, 19], [node(op, ["x"], **a)], {}, batch=3,
             spread=True)
    case("clip", image, [node("Clip", ["x", "const_lo", "const_hi"])],
         {"const_lo": np.float32(-0.53), "const_hi": np.float32(1.13)}, spread=True)
    for name, slope in [("channel", (5, 1, 1)), ("one", (1,)), ("rank4", (1, 5, 1, 1))]:
        case("prelu_" + name, image, [node("PRelu", ["x", "slope"])],
             {"slope": floats(*slope, low=-0.5, high=0.5)}, batch=2, spread=True)
    case("prelu_vector", [1, 6], [node("PRelu", ["x", "slope"])], {"slope": floats(6)}, batch=2,
         spread=True)
    for op in ("Add", "Sub", "Mul", "Div"):
        case(f"{op.lower()}_same", image, [node(op, ["x", "q"])], {}, batch=2, also={"q": image})
        for name, dims in [("channel", [1, 5, 1, 1]), ("row", [1, 1, 4, 1]), ("one", [1, 1, 1, 1])]:
            case(f"{op.lower()}_{name}", image, [node(op, ["x", "q"])], {}, batch=2,
                 also={"q": dims})
            case(f"{op.lower()}_{name}_reversed", dims, [node(op, ["x", "q"])], {}, batch=2,
                 also={"q": image})
        for name, dims in [("rank1", (3,)), ("scalar", ()), ("rank3", (5, 1, 3))]:
            case(f"{op.lower()}_{name}", image, [node(op, ["x", "const"])],
                 {"const": floats(*dims, low=0.5, high=2.0)}, batch=2)
        case(f"{op.lower()}_vectors", [1, 7], [node(op, ["x", "q"])], {}, batch=3,
             also={"q": [1, 7]})
    for op in ("Add", "Mul"):
        case(f"{op.lower()}_parameter", image, [node(op, ["x", "p"])],
             {"p": floats(1, 5, 1, 1)}, batch=2)
    case("mul_self", image, [node("Mul", ["x", "x"])], {}, batch=2)
    case("squeeze_excite", [1, 6, 4, 5],
         [node("GlobalAveragePool", ["x"], ["m"]),
          node("Conv", ["m", "w"], ["c"], kernel_shape=[1, 1]), node("Sigmoid", ["c"], ["s"]),
          node("Mul", ["x", "s"])], {"w": floats(6, 6, 1, 1)}, batch=2)
    for axis in (1, 2, 3):
        case(f"softmax_axis{axis}", image, [node("Softmax", ["x"], axis=axis)], {}, batch=2)
    case("softmax_vector", [1, 7], [node("Softmax", ["x"], axis=1)], {}, batch=3)


def norm_cases():
    for dims in ([1, 5, 4, 3], [1, 17, 2, 2], [1, 6]):
        c = dims[1]
        values = {"scale": floats(c, low=0.5, high=1.5), "shift": floats(c), "mean": floats(c),
                  "variance": floats(c, low=0.5, high=2.0)}
        n = node("BatchNormalization", ["x", "scale", "shift", "mean", "variance"], epsilon=1e-3,
                 momentum=0.8)
        for bn in ("frozen", "batch"):
            case(f"batch_norm_{bn}_{len(dims)}_{c}", dims, [n], values, batch=3, bn=bn)


def copy_cases():
    image = [1, 6, 4, 5]
    third = {"w": floats(3, 6, 1, 1)}
    branch = node("Conv", ["x", "w"], ["c"], kernel_shape=[1, 1])
    case("concat_channels", image, [branch, node("Concat", ["x", "c", "x"], axis=1)], third,
         batch=2)
    case("concat_rows", image, [node("Concat", ["x", "x"], axis=2)], {}, batch=2)
    case("split", image, [node("Split", ["x", "sizes"], ["a", "y", "b"], axis=1)],
         {"sizes": ints(1, 2, 3)}, outputs=("y", "b"), batch=2)
    case("split_used_twice", image,
         [node("Split", ["x", "sizes"], ["a", "b"], axis=1), node("Mul", ["a", "b"], ["m"]),
          node("Add", ["m", "a"])], {"sizes": ints(3, 3)}, batch=2)
    for name, start, end, axes, steps in [
            ("channels", [1], [4], [1], [1]), ("focus", [1, 0], [4, 5], [2, 3], [2, 2]),
            ("backwards", [5], [0], [1], [-2]), ("all", [0, 1, 2], [6, 3, 5], [1, 2, 3], [1, 1, 1])]:
        case("slice_" + name, image, [node("Slice", ["x", "s", "e", "a", "t"])],
             {"s": ints(*start), "e": ints(*end), "a": ints(*axes), "t": ints(*steps)}, batch=2)
    for name, pads, value in [("zeros", [0, 0, 1, 2, 0, 0, 2, 1], 0.0),
                              ("value", [0, 1, 0, 0, 0, 2, 0, 3], 0.75),
                              ("crop", [0, 0, -1, 1, 0, -2, 0, -1], 0.0)]:
        case("pad_" + name, image, [node("Pad", ["x", "p", "v"])],
             {"p": ints(*pads), "v": np.float32(value)}, batch=2)
    case("transpose_spatial", image, [node("Transpose", ["x"], perm=[0, 1, 3, 2])], {}, batch=2)
    case("transpose_last", image, [node("Transpose", ["x"], perm=[0, 2, 3, 1])], {}, batch=2)
    case("transpose_mixed", image,
         [node("Transpose", ["x"], ["t"], perm=[0, 3, 1, 2]),
          node("Conv", ["t", "w"], kernel_shape=[1, 1])], {"w": floats(2, 5, 1, 1)}, batch=2)
    case("reshape_rows", image, [node("Reshape", ["x", "shape"], ["r"]),
                                 node("Transpose", ["r"], perm=[0, 2, 1])],
         {"shape": ints(0, 6, -1)})
    case("reshape_fixed", image, [node("Reshape", ["x", "shape"], name="reshaper")],
         {"shape": ints(2, 60)})
    case("flatten", image, [node("Flatten", ["x"], ["f"]), node("Gemm", ["f", "w"], transB=1)],
         {"w": floats(3, 120)}, batch=2)
    case("channel_shuffle", image,
         [node("Reshape", ["x", "five"], ["r"]), node("Transpose", ["r"], ["t"],
                                                      perm=[0, 2, 1, 3, 4]),
          node("Reshape", ["t", "four"], ["z"]),
          node("Conv", ["z", "w"], kernel_shape=[3, 3], pads=[1, 1, 1, 1], group=3)],
         {"five": ints(1, 2, 3, 4, 5), "four": ints(1, 6, 4, 5), "w": floats(3, 2, 3, 3)})
    case("channel_shuffle_planar", [1, 27, 6, 5],
         [node("Reshape", ["x", "five"], ["r"]),
          node("Transpose", ["r"], ["t"], perm=[0, 2, 1, 3, 4]), node("Reshape", ["t", "four"],
                                                                      ["z"]),
          node("Conv", ["z", "w", "b"], kernel_shape=[3, 3], pads=[1, 1, 1, 1], group=9)],
         {"five": ints(1, 3, 9, 6, 5), "four": ints(1, 27, 6, 5), "w": floats(9, 3, 3, 3),
          "b": floats(9)})
    case("channel_shuffle_planar_shared", [1, 20, 5, 4],
         [node("Reshape", ["x", "five"], ["r"]),
          node("Transpose", ["r"], ["t"], perm=[0, 2, 1, 3, 4]), node("Reshape", ["t", "four"],
                                                                      ["z"]),
          node("Conv", ["z", "w"], ["c"], kernel_shape=[3, 3], strides=[2, 1], pads=[1, 1, 0, 1],
               group=10), node("Conv", ["x", "v"], ["d"], kernel_shape=[2, 1], strides=[2, 1]),
          node("Add", ["c", "d"])],
         {"five": ints(1, 2, 10, 5, 4), "four": ints(1, 20, 5, 4), "w": floats(30, 2, 3, 3),
          "v": floats(30, 20, 2, 1)})
    case("gather", image, [node("Gather", ["x", "i"], axis=1)], {"i": ints(4, 0, 4, -1)}, batch=2)
    case("gather_scalar", image, [node("Gather", ["x", "i"], axis=2)], {"i": np.int64(2)}, batch=2)


def product_cases():
    case("matmul_2d", [1, 7], [node("MatMul", ["x", "w"])], {"w": floats(7, 3)}, batch=4)
    case("matmul_matrix", [1, 3, 4, 5], [node("MatMul", ["x", "w"])], {"w": floats(5, 6)}, batch=2)
    case("matmul_image", [1, 3, 4, 5],
         [node("Conv", ["x", "k"], ["c"], kernel_shape=[1, 1]), node("MatMul", ["c", "w"], ["m"]),
          node("Transpose", ["m"], ["t"], perm=[0, 1, 3, 2]), node("MatMul", ["t", "v"])],
         {"k": floats(2, 3, 1, 1), "w": floats(5, 7), "v": floats(4, 2)}, batch=2)
    case("matmul_batches", [1, 3, 4, 5],
         [node("Transpose", ["x"], ["t"], perm=[0, 1, 3, 2]), node("MatMul", ["x", "t"])], {},
         batch=2)
    case("matmul_broadcast", [1, 3, 4, 5], [node("MatMul", ["x", "w"])], {"w": floats(3, 5, 2)},
         batch=2)
    for ta, tb in ((0, 0), (0, 1)):
        for name, c in (("vector", (3,)), ("row", (1, 3)), ("scalar", (1,))):
            n = node("Gemm", ["x", "w", "c"], transA=ta, transB=tb, alpha=0.5, beta=2.0)
            case(f"gemm_{tb}_{name}", [1, 7], [n],
                 {"w": floats(*((3, 7) if tb else (7, 3))), "c": floats(*c)}, batch=4)
    for tb in (0, 1):
        case(f"gemm_transposed_{tb}", [1, 4, 7, 1],
             [node("Reshape", ["x", "shape"], ["m"]),
              node("Gemm", ["m", "w"], transA=1, transB=tb)],
             {"shape": ints(4, 7), "w": floats(*((3, 4) if tb else (4, 3)))})


def graph_cases():
    case("shared_weights", [1, 4, 5, 5],
         [node("Conv", ["x", "w"], ["a"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
          node("Sigmoid", ["a"], ["b"]),
          node("Conv", ["b", "w"], kernel_shape=[3, 3], pads=[1, 1, 1, 1])],
         {"w": floats(4, 4, 3, 3)}, batch=2)
    case("residual", [1, 4, 5, 5],
         [node("Conv", ["x", "w"], ["a"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
          node("Relu", ["a"], ["b"]), node("Add", ["b", "x"], ["c"]), node("Relu", ["c"], ["d"]),
          node("Add", ["d", "x"], ["e"]), node("Mul", ["e", "d"])], {"w": floats(4, 4, 3, 3)},
         batch=2)
    case("two_outputs", [1, 4, 5, 5],
         [node("Conv", ["x", "w"], ["y"], kernel_shape=[1, 1]), node("Sigmoid", ["y"], ["z"])],
         {"w": floats(4, 4, 1, 1)}, outputs=("y", "z"), batch=2)
    case("frozen_front", [1, 3, 6, 6],
         [node("MaxPool", ["x"], ["m"], kernel_shape=[2, 2], strides=[2, 2]),
          node("Conv", ["m", "w"], kernel_shape=[1, 1])], {"w": floats(2, 3, 1, 1)}, front=False,
         batch=2)


def function_cases():
    image = [1, 5, 4, 3]
    for op, a, opset in [("HardSigmoid", {"alpha": 0.5, "beta": 0.4}, 13), ("HardSwish", {}, 14),
                         ("Tanh", {}, 13), ("Elu", {"alpha": 0.7}, 13), ("Softplus", {}, 13),
                         ("Erf", {}, 13), ("Gelu", {}, 20), ("Exp", {}, 13), ("Abs", {}, 13),
                         ("Neg", {}, 13)]:
        n = [node(op, ["x"], **a)]
        case(op.lower(), image, n, {}, batch=2, spread=True, opset=opset)
        case(op.lower() + "_vector", [1, 19], n, {}, batch=3, spread=True, opset=opset)
    case("elu_negative", image, [node("Elu", ["x"], alpha=-0.7)], {}, batch=2, spread=True)
    case("sqrt", image, [node("Exp", ["x"], ["e"]), node("Sqrt", ["e"])], {}, batch=2)
    case("hard_sigmoid_shared", image,
         [node("HardSigmoid", ["x"], ["s"], alpha=1 / 6, beta=0.5), node("Mul", ["x", "s"])], {},
         batch=2, spread=True)
    for exponent in (0.5, 1.0, 1.7, 2.0, 3.0, -1.0):
        case(f"pow_{exponent}", image,
             [node("Exp", ["x"], ["e"]), node("Pow", ["e", "const"])],
             {"const": np.float32(exponent)}, batch=2)
    case("pow_integer", image, [node("Pow", ["x", "const"])], {"const": np.int64(3)}, batch=2)


def reduce_cases():
    image = [1, 6, 4, 5]
    for op in ("ReduceMean", "ReduceSum"):
        for tag, axes, keep in [("space", [2, 3], 1), ("space_dropped", [2, 3], 0),
                                ("row", [-1], 1), ("channel", [1], 1), ("channel_row", [1, 3], 0),
                                ("image", [1, 2, 3], 1)]:
            more = {"axes": axes} if op == "ReduceMean" else {}
            n = node(op, ["x"] + ([] if more else ["axes"]), ["r"], keepdims=keep, **more)
            case(f"{op.lower()}_{tag}", image, [n, node("Mul", ["r", "r"])],
                 {} if more else {"axes": ints(*axes)}, batch=2)
    case("reducemean_input", image,
         [node("ReduceMean", ["x", "axes"], ["r"]), node("Sub", ["x", "r"])], {"axes": ints(2)},
         batch=2, opset=18)
    case("reducemean_all", image, [node("ReduceMean", ["x"])], {})
    case("reducemean_after_conv", image,
         [node("Conv", ["x", "w"], ["c"], kernel_shape=[1, 1]),
          node("ReduceMean", ["c"], ["r"], axes=[1]), node("Mul", ["c", "r"])],
         {"w": floats(7, 6, 1, 1)}, batch=2)


def block_cases():
    for op, mode in [("DepthToSpace", "DCR"), ("DepthToSpace", "CRD"), ("SpaceToDepth", "")]:
        more = {"mode": mode} if mode else {}
        case(f"{op.lower()}{mode.lower()}", [1, 8, 4, 6],
             [node(op, ["x"], ["b"], blocksize=2, **more), node("Conv", ["b", "w"],
                                                                kernel_shape=[1, 1])],
             {"w": floats(3, 32 if op == "SpaceToDepth" else 2, 1, 1)}, batch=2)
    for pick in (0, 1):
        case(f"shuffle_part_{pick}", [1, 6, 4, 5],
             [node("Reshape", ["x", "three"], ["r"]),
              node("Transpose", ["r"], ["t"], perm=[1, 0, 2]),
              node("Reshape", ["t", "five"], ["z"]), node("Gather", ["z", "i"], axis=0)],
             {"three": ints(-1, 2, 20), "five": ints(2, -1, 3, 4, 5), "i": np.int64(pick)},
             batch=2)


def text(name):
    return struct.pack("<H", len(name)) + name.encode()


def main():
    for make in (windows_cases, resize_cases, elementwise_cases, norm_cases, copy_cases,
                 product_cases, graph_cases, function_cases, reduce_cases, block_cases):
        make()
    out = [b"NNCASES1", struct.pack("<I", len(CASES))]
    for name, batch, bn, model, tensors in CASES:
        out += [text(name), struct.pack("<IBI", batch, bn, len(model)), model,
                struct.pack("<H", len(tensors))]
        for kind, tensor, values in tensors:
            values = np.ascontiguousarray(values, np.float32)
            out += [struct.pack("<B", kind), text(tensor), struct.pack("<I", values.size),
                    values.tobytes()]
    data = b"".join(out)
    with open(sys.argv[1], "wb") as f:
        f.write(data)
    print(f"{len(CASES)} cases, {len(data)} bytes")


if __name__ == "__main__":
    main()
