#!/usr/bin/env python3
"""Makes tests/data/onnx: small ONNX files, one a topic, and expected.txt with what an independent
runtime (ONNX Runtime, through tools/ort_run.mjs; see there for ORT_DIR) says of them.

    ORT_DIR=~/ort python3 tools/make_model_cases.py tests/data/onnx

Lines of expected.txt:  shape FILE TENSOR d,d,d     dims of an output
                        value FILE TENSOR v,v,v     values of a constant that reading has to fold
Needs python3-onnx and numpy; development only.
"""
import json
import os
import subprocess
import sys
import tempfile

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

HERE = os.path.dirname(os.path.abspath(__file__))
rng = np.random.default_rng(1)


class Case:
    """One file: inputs, nodes whose outputs are all checked, folded constants to check."""

    def __init__(self, name, opset, **inputs):
        self.name, self.opset, self.inputs = name, opset, inputs
        self.nodes, self.inits, self.outputs, self.folded = [], [], [], []

    def init(self, name, value):
        self.inits.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def weight(self, name, *dims):
        return self.init(name, rng.standard_normal(dims).astype(np.float32))

    def ints(self, name, *values):
        return self.init(name, np.array(values, np.int64))

    def node(self, op, inputs, output, check=True, **attributes):
        outputs = output if isinstance(output, list) else [output]
        self.nodes.append(helper.make_node(op, inputs, outputs, name=f"n_{outputs[0]}",
                                           **attributes))
        if check:
            self.outputs += outputs
        return outputs[0]

    def fold(self, op, inputs, output, **attributes):
        """A node of constants; its value is checked through a product with the input "one"."""
        self.node(op, inputs, output, check=False, **attributes)
        self.folded.append(output)
        return output

    def model(self, outputs):
        values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, d)
                  for n, d in self.inputs.items()]
        outs = [onnx.ValueInfoProto(name=o) for o in outputs]
        graph = helper.make_graph(self.nodes, self.name, values, outs, self.inits)
        return helper.make_model(graph, ir_version=7, producer_name="cases",
                                 opset_imports=[helper.make_opsetid("", self.opset)])


def run_ort(model):
    with tempfile.TemporaryDirectory() as d:
        path = os.path.join(d, "m.onnx")
        onnx.save(model, path)
        lines = subprocess.run(["node", os.path.join(HERE, "ort_run.mjs"), path, d], check=True,
                               capture_output=True, text=True).stdout.splitlines()
        rows = [json.loads(line) for line in lines]
        return {r["name"]: (r["dims"], np.fromfile(r["file"], "<f4"))
                for r in rows if r["kind"] == "output"}


def conv():
    c = Case("conv", 11, x=[1, 4, 11, 13])
    w = c.weight("w", 6, 4, 3, 3)
    b = c.weight("b", 6)
    c.node("Conv", ["x", w, b], "plain", kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    c.node("Conv", ["x", w], "no_attributes")
    c.node("Conv", ["x", w], "stride", strides=[2, 3], pads=[1, 1, 1, 1])
    c.node("Conv", ["x", w], "dilated", dilations=[2, 3], pads=[2, 3, 2, 3])
    c.node("Conv", ["x", w], "asymmetric", pads=[0, 1, 2, 3], strides=[2, 2])
    c.node("Conv", ["x", w], "same_upper", auto_pad="SAME_UPPER", strides=[2, 2])
    c.node("Conv", ["x", w], "same_lower", auto_pad="SAME_LOWER", strides=[2, 2])
    c.node("Conv", ["x", w], "valid", auto_pad="VALID", strides=[2, 2])
    c.node("Conv", ["x", c.weight("wg", 6, 2, 3, 3)], "grouped", group=2)
    c.node("Conv", ["x", c.weight("wd", 8, 1, 5, 3), c.weight("bd", 8)], "depthwise", group=4)
    return c


def conv_transpose():
    c = Case("conv_transpose", 11, x=[1, 4, 7, 9])
    w = c.weight("w", 4, 5, 3, 3)
    c.node("ConvTranspose", ["x", c.weight("w2", 4, 3, 2, 2)], "double", strides=[2, 2])
    c.node("ConvTranspose", ["x", w, c.weight("b", 5)], "out_pad", strides=[2, 2],
           pads=[1, 1, 1, 1], output_padding=[1, 1])
    c.node("ConvTranspose", ["x", w], "grouped", group=2, pads=[0, 1, 2, 0])
    c.node("ConvTranspose", ["x", w], "dilated", dilations=[2, 1])
    c.node("ConvTranspose", ["x", w], "same_upper", auto_pad="SAME_UPPER", strides=[2, 2])
    c.node("ConvTranspose", ["x", w], "shape", output_shape=[14, 18], strides=[2, 2])
    return c


def pool():
    c = Case("pool", 11, x=[1, 2, 11, 14])
    k = {"kernel_shape": [3, 3]}
    c.node("MaxPool", ["x"], "max", strides=[2, 2], pads=[1, 1, 1, 1], **k)
    c.node("MaxPool", ["x"], "max_ceil", strides=[2, 2], ceil_mode=1, **k)
    c.node("MaxPool", ["x"], "max_dilated", dilations=[2, 2], **k)
    c.node("MaxPool", ["x"], "max_asymmetric", pads=[0, 1, 2, 1], strides=[3, 2], **k)
    c.node("MaxPool", ["x"], "same_lower", auto_pad="SAME_LOWER", strides=[2, 2], **k)
    c.node("MaxPool", ["x"], "same_upper", auto_pad="SAME_UPPER", strides=[2, 2], **k)
    c.node("AveragePool", ["x"], "average", strides=[2, 2], pads=[1, 1, 1, 1], **k)
    c.node("AveragePool", ["x"], "average_counts", count_include_pad=1, pads=[1, 1, 1, 1], **k)
    c.node("AveragePool", ["x"], "average_ceil", strides=[2, 2], ceil_mode=1, **k)
    c.node("MaxPool", ["x"], "max_ceil_pad", kernel_shape=[2, 2], strides=[3, 3],
           pads=[1, 1, 1, 1], ceil_mode=1)
    c.node("GlobalAveragePool", ["x"], "global")
    return c


def math():
    c = Case("math", 13, x=[1, 4, 5, 6], v=[1, 7])
    stats = [c.weight("scale", 4), c.weight("shift", 4), c.weight("mean", 4),
             c.init("variance", np.array([1, 2, 3, 4], np.float32))]
    c.node("BatchNormalization", ["x"] + stats, "norm", epsilon=1e-3, momentum=0.8)
    c.node("Relu", ["x"], "relu")
    c.node("LeakyRelu", ["x"], "leaky", alpha=0.2)
    c.node("PRelu", ["x", c.weight("slope", 4, 1, 1)], "prelu")
    c.node("PRelu", ["x", c.weight("slope1", 1)], "prelu_one")
    low, high = c.init("low", np.float32(-0.5)), c.init("high", np.float32(0.25))
    c.node("Clip", ["x", low, high], "clip")
    c.node("Clip", ["x", "", high], "clip_high")
    c.node("Sigmoid", ["x"], "sigmoid")
    c.node("Softmax", ["x"], "softmax_channel", axis=1)
    c.node("Softmax", ["x"], "softmax_last")
    c.node("Add", ["x", c.weight("bias", 4, 1, 1)], "add_channel")
    c.node("Mul", [c.weight("gain", 1, 4, 1, 1), "x"], "mul_channel")
    c.node("Sub", ["x", c.weight("offset", 1, 4, 1, 1)], "sub_channel")
    c.node("Div", ["x", c.init("two", np.float32(2))], "div_scalar")
    c.node("Add", ["x", c.weight("grid", 5, 6)], "add_grid")
    c.node("Mul", ["x", "sigmoid"], "swish")
    c.node("MatMul", ["x", c.weight("right", 6, 3)], "matmul_right")
    c.node("MatMul", [c.weight("left", 2, 5), "x"], "matmul_left")
    c.node("Gemm", ["v", c.weight("wt", 3, 7), c.weight("wb", 3)], "gemm", transB=1)
    c.node("Gemm", ["v", c.weight("wn", 7, 2)], "gemm_plain", alpha=0.5)
    return c


def move():
    c = Case("move", 13, x=[1, 6, 5, 8])
    big, least = np.iinfo(np.int64).max, np.iinfo(np.int64).min
    c.node("Split", ["x", c.ints("s123", 1, 2, 3)], ["part1", "part2", "part3"], axis=1)
    c.node("Split", ["x"], ["half1", "half2"], axis=3)
    c.node("Concat", ["part3", "x", "part1"], "joined", axis=-3)
    c.node("Slice", ["x", c.ints("i1", 1), c.ints("big", big), c.ints("i2", 2), c.ints("st2", 2)],
           "odd_rows")
    c.node("Slice", ["x", c.ints("b2", 2, -3), c.ints("e2", 5, -1), c.ints("a2", 1, 3)], "crop")
    c.node("Slice", ["x", c.ints("m1", -1), c.ints("least", least), c.ints("a3", 3),
                     c.ints("sm1", -1)], "flipped")
    c.node("Slice", ["x", c.ints("m2", -2), c.ints("e0", 0), "a3", c.ints("sm3", -3)], "back")
    c.node("Slice", ["x", c.ints("z4", 0, 0, 0, 0), c.ints("e4", 1, 99, 4, 8)], "no_axes")
    c.node("Pad", ["x", c.ints("p8", 0, 0, 1, 2, 0, 0, 3, 0)], "padded")
    c.node("Pad", ["x", c.ints("pn", 0, 0, -1, 2, 0, 0, 1, -3), c.init("pv", np.float32(1.5))],
           "padded_crop", mode="constant")
    c.node("Reshape", ["x", c.ints("r1", 0, -1)], "rows")
    c.node("Reshape", ["x", c.ints("r2", 1, 2, 3, 5, 8)], "grouped")
    c.node("Transpose", ["grouped"], "swapped", perm=[0, 2, 1, 3, 4])
    c.node("Reshape", ["swapped", c.ints("r3", 1, -1, 5, 8)], "shuffled")
    c.node("Transpose", ["x"], "reversed")
    c.node("Flatten", ["x"], "flat1")
    c.node("Flatten", ["x"], "flat_m1", axis=-1)
    c.node("Flatten", ["x"], "flat0", axis=0)
    c.node("Unsqueeze", ["x", c.ints("u", 1, -1)], "unsqueezed")
    c.node("Squeeze", ["unsqueezed", "u"], "squeezed")
    c.node("Gather", ["x", c.init("g0", np.int64(-2))], "channel", axis=1)
    c.node("Gather", ["x", c.init("g2", np.array([[0, 7], [3, -1]], np.int64))], "columns", axis=3)
    c.node("Identity", ["x"], "same")
    return c


def old():
    c = Case("old", 9, x=[1, 4, 6, 6])
    c.node("Slice", ["x"], "crop", axes=[2, 3], starts=[1, -3], ends=[5, 100])
    c.node("Pad", ["x"], "padded", pads=[0, 0, 1, 1, 0, 0, 2, 0], value=0.5)
    c.node("Clip", ["x"], "relu6", min=0.0, max=6.0)
    c.node("Clip", ["x"], "clip_default")
    c.node("Split", ["x"], ["part1", "part2"], axis=1, split=[1, 3])
    c.node("Unsqueeze", ["x"], "unsqueezed", axes=[0, 5])
    c.node("Squeeze", ["unsqueezed"], "squeezed", axes=[0, 5])
    c.node("Softmax", ["x"], "softmax_flat")
    c.node("Softmax", ["x"], "softmax_flat2", axis=2)
    c.node("Softmax", ["x"], "softmax_last", axis=3)
    c.node("Dropout", ["softmax_last"], "dropped", ratio=0.3)
    c.node("Upsample", ["x", c.init("s4", np.array([1, 1, 2, 3], np.float32))], "bigger")
    c.node("Upsample", ["x", "s4"], "bigger_linear", mode="linear")
    return c


def resize10():
    c = Case("resize10", 10, x=[1, 2, 6, 9])
    scales = np.array([[1, 1, 2, 2], [1, 1, 0.5, 0.3], [1, 1, 1, 2.7]], np.float32)
    for i, s in enumerate(scales):
        c.init(f"s{i}", s)
        c.node("Resize", ["x", f"s{i}"], f"nearest{i}", mode="nearest")
        c.node("Resize", ["x", f"s{i}"], f"linear{i}", mode="linear")
    return c


def resize(opset):
    c = Case(f"resize{opset}", opset, x=[1, 2, 6, 9])
    c.init("roi", np.zeros(0, np.float32))
    c.init("none", np.zeros(0, np.float32))
    c.init("scales", np.array([1, 1, 1.7, 0.6], np.float32))
    c.ints("sizes", 1, 2, 13, 4)
    roi = "roi" if opset < 13 else ""
    none = "none" if opset < 13 else ""
    for mode in ["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"]:
        for kind in ["linear", "nearest"]:
            a = {"coordinate_transformation_mode": mode, "mode": kind}
            c.node("Resize", ["x", roi, "scales"], f"{mode}_{kind}_scales", **a)
            c.node("Resize", ["x", roi, none, "sizes"], f"{mode}_{kind}_sizes", **a)
    for nearest in ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]:
        c.node("Resize", ["x", roi, "scales"], nearest, mode="nearest", nearest_mode=nearest)
    return c


def fold():
    """What torch's exporter leaves of shape arithmetic, and each operator of it once."""
    c = Case("fold", 13, x=[1, 6, 5, 8])
    i0, i2 = c.init("i0", np.int64(0)), c.init("i2", np.int64(2))
    zero = c.ints("zero", 0)
    c.fold("Shape", ["x"], "shape")
    c.fold("Gather", ["shape", i0], "n")
    c.fold("Gather", ["shape", i2], "h")
    c.fold("Unsqueeze", ["n", zero], "n1")
    c.fold("Unsqueeze", ["h", zero], "h1")
    c.fold("Concat", ["n1", c.ints("minus", -1), "h1"], "target", axis=0)
    c.node("Reshape", ["x", "target"], "reshaped")
    c.fold("Cast", ["h"], "h_float", to=1)
    c.fold("Mul", ["h_float", c.init("f", np.float32(1.5))], "h_scaled")
    c.fold("Floor", ["h_scaled"], "h_floor")
    c.fold("Cast", ["h_floor"], "h_int", to=7)
    c.fold("Ceil", ["h_scaled"], "h_ceil")
    c.fold("Slice", ["shape", zero, c.ints("two", 2), zero], "head")
    c.fold("Concat", ["head", c.ints("hw", 7, 12)], "sizes", axis=0)
    c.node("Resize", ["x", "", "", "sizes"], "resized", mode="nearest")
    c.fold("ConstantOfShape", ["two"], "sevens",
           value=numpy_helper.from_array(np.array([7], np.int64)))
    c.fold("Range", [i0, c.init("i7", np.int64(7)), i2], "evens")
    c.fold("Range", [c.init("i9", np.int64(9)), i0, c.init("im4", np.int64(-4))], "down")
    c.fold("Unsqueeze", ["evens", zero], "evens_row")
    c.fold("Expand", ["evens_row", c.ints("e34", 3, 4)], "grid")
    c.fold("Transpose", ["grid"], "grid_t", perm=[1, 0])
    c.fold("Add", ["grid_t", c.ints("row3", 10, 20, 30)], "sum")
    c.fold("Sub", ["sum", i2], "difference")
    c.fold("Div", ["difference", c.ints("three", 3)], "quotient")
    c.fold("Mod", ["difference", "three"], "remainder")
    c.fold("Equal", ["remainder", i0], "divides")
    c.fold("Where", ["divides", "quotient", "difference"], "chosen")
    c.fold("Min", ["difference", "three"], "least")
    c.fold("Max", ["difference", c.ints("fifteen", 15)], "most")
    c.fold("ReduceProd", ["shape"], "count", keepdims=0)
    c.fold("Neg", ["shape"], "negative")
    c.fold("Sqrt", ["h_scaled"], "root")
    c.fold("Greater", ["difference", "fifteen"], "greater")
    c.fold("Less", ["difference", "fifteen"], "less")
    c.fold("Not", ["less"], "not_less")
    c.fold("Slice", ["grid", c.ints("m1", -1, -1), c.ints("far", -100, -100),
                     c.ints("axes01", 0, 1), c.ints("back", -1, -2)], "grid_back")
    c.fold("Reshape", ["grid", c.ints("r26", 2, -1)], "grid26")
    c.fold("Squeeze", ["evens_row", zero], "evens_again")
    c.fold("Constant", [], "listed", value_ints=[4, 5, 6])
    c.node("Split", ["grid26", c.ints("s15", 1, 5)], ["split1", "split5"], check=False, axis=1)
    c.folded += ["split1", "split5"]
    return c


def typed():
    """Initialisers of every element type that is read, and of both storages."""
    c = Case("typed", 13, x=[1, 2, 3, 4])
    values = np.array([[0.5, -2, 3, 65504], [1, 6e-8, -0.0, 1e-3]])
    for kind in [np.float16, np.float64, np.float32]:
        name = np.dtype(kind).name
        c.init(name, values.astype(kind))
        c.fold("Cast", [name], f"{name}_f", to=1)
    for kind in [np.int32, np.uint8, np.int8, np.bool_]:
        name = np.dtype(kind).name
        c.init(name, np.array([1, 0, 100, 2]).astype(kind))
        c.fold("Cast", [name], f"{name}_i", to=7)
    typed_fields = [("tf", TensorProto.FLOAT, [1.5, -2.5]), ("td", TensorProto.DOUBLE, [0.1, 7]),
                    ("th", TensorProto.FLOAT16, [0.5, -8]), ("ti", TensorProto.INT32, [-3, 70000]),
                    ("tl", TensorProto.INT64, [-3, 1 << 40]), ("tb", TensorProto.BOOL, [1, 0])]
    for name, kind, v in typed_fields:
        if kind == TensorProto.FLOAT16:
            v = np.array(v, np.float16).view(np.uint16).tolist()
            t = TensorProto(name=name, data_type=kind, dims=[2])
            t.int32_data.extend(v)
        else:
            t = helper.make_tensor(name, kind, [2], v)
        c.inits.append(t)
        c.fold("Cast", [name], f"{name}_out", to=1)
    return c


def function():
    c = Case("function", 14, x=[1, 4, 5, 6])
    for op in ["Abs", "Elu", "Erf", "Exp", "HardSigmoid", "HardSwish", "Neg", "Sigmoid", "Softplus",
               "Tanh"]:
        c.node(op, ["x"], op.lower())
    c.node("HardSigmoid", ["x"], "hard_sigmoid6", alpha=1 / 6, beta=0.5)
    c.node("Elu", ["x"], "elu_half", alpha=0.5)
    c.node("Sqrt", ["exp"], "sqrt")
    for name, e in [("half", np.float32(0.5)), ("one", np.float32(1)), ("square", np.float32(2)),
                    ("cube", np.int64(3)), ("root3", np.float32(1 / 3))]:
        c.node("Pow", ["exp", c.init(f"e_{name}", e)], f"pow_{name}")
    c.node("ReduceMean", ["x"], "mean_space", axes=[2, 3])
    c.node("ReduceMean", ["x"], "mean_space_dropped", axes=[-2, -1], keepdims=0)
    c.node("ReduceMean", ["x"], "mean_channel", axes=[1])
    c.node("ReduceMean", ["x"], "mean_all", keepdims=0)
    c.node("ReduceSum", ["x", c.ints("rows", 2)], "sum_rows")
    c.node("ReduceSum", ["x", c.ints("ends", 1, 3)], "sum_ends_dropped", keepdims=0)
    c.node("ReduceSum", ["x"], "sum_nothing", noop_with_empty_axes=1)
    c.node("DepthToSpace", ["x"], "to_space", blocksize=2)
    c.node("DepthToSpace", ["x"], "to_space_crd", blocksize=2, mode="CRD")
    c.node("SpaceToDepth", ["to_space"], "to_depth", blocksize=2)
    c.node("Dropout", ["x", c.init("ratio", np.float32(0.5))], "dropped")
    numbers = c.init("numbers", np.array([0.25, 2, 3.5], np.float32))
    for op in ["Abs", "Neg", "Sqrt"]:
        c.fold(op, [numbers], f"{op.lower()}_folded")
    c.fold("Pow", [numbers, "e_square"], "pow_folded")
    return c


def reduce18():
    """What opsets 18 and 20 brought: axes as an input, Gelu. The channel shuffle of FastestDet."""
    c = Case("reduce18", 20, x=[1, 6, 4, 5])
    c.node("ReduceMean", ["x", c.ints("space", 2, 3)], "mean_space")
    c.node("ReduceMean", ["x", c.ints("channel", 1)], "mean_channel", keepdims=0)
    c.node("Gelu", ["x"], "gelu")
    c.node("Reshape", ["x", c.ints("three", 3, 2, 20)], "threes", check=False)
    c.node("Transpose", ["threes"], "turned", check=False, perm=[1, 0, 2])
    c.node("Reshape", ["turned", c.ints("five", 2, -1, 3, 4, 5)], "parts", check=False)
    c.node("Gather", ["parts", c.init("i0", np.int64(0))], "even", axis=0)
    c.node("Gather", ["parts", c.init("i1", np.int64(1))], "odd", axis=0)
    return c


def write(case, folder, lines):
    path = os.path.join(folder, f"{case.name}.onnx")
    real = Case(case.name, case.opset, **case.inputs)
    real.nodes, real.inits = list(case.nodes), list(case.inits)
    outputs = list(case.outputs)
    # Folded constants stay visible in the file through a node that uses each of them.
    for name in case.folded:
        real.nodes.append(helper.make_node("Cast", [name], [f"{name}/f"], to=1))
        real.nodes.append(helper.make_node("Mul", [f"{name}/f", "one"], [f"{name}/seen"]))
        outputs.append(f"{name}/seen")
    if case.folded:
        real.inputs = dict(case.inputs, one=[1])
    onnx.save(real.model(outputs), path)
    shapes = run_ort(real.model(outputs))
    for name in outputs:
        lines.append(f"shape {case.name} {name} {','.join(map(str, shapes[name][0])) or '-'}")
    if case.folded:
        values = run_ort(case.model(case.folded))
        for name in case.folded:
            v = ",".join(repr(float(x)) for x in values[name][1])
            lines.append(f"value {case.name} {name}/f {v}")


def main():
    folder, lines = sys.argv[1], []
    os.makedirs(folder, exist_ok=True)
    cases = [conv(), conv_transpose(), pool(), math(), move(), old(), resize10(), resize(11),
             resize(13), fold(), typed(), function(), reduce18()]
    for case in cases:
        write(case, folder, lines)
    with open(os.path.join(folder, "expected.txt"), "w") as f:
        f.write("\n".join(lines) + "\n")


main()
