#!/usr/bin/python3
"""One training step of an ONNX network in PyTorch at its best, as a line of JSON.

    bench/engine_torch.py FILE.onnx [--batch N] [--threads N] [--precision f32|bf16]
        [--layout nchw|channels_last] [--malloc default|tuned] [--seconds X]
    bench/engine_torch.py --self-check

The graph becomes PyTorch calls with what torchvision's own networks do and more: weights in the
chosen layout, ReLU, ReLU6 and residual sums in place wherever no gradient needs the old value,
batch-norm with running statistics, gradients set to None between steps, and the quicker of Adam's
two forms (a loop over tensors, foreach). bf16 is autocast. `--malloc tuned` starts the script again
with glibc told to keep its memory (no page faults in each step). --self-check compares with
torchvision's ResNet-18, alternately.

Needs python3-torch and python3-onnx, --self-check also python3-torchvision.
"""
import argparse
import collections
import json
import os
import sys
import tempfile
import time
import warnings

TUNABLES = "glibc.malloc.mmap_threshold=4294967296:glibc.malloc.trim_threshold=4294967296"
WARM_UP = 2
LEAST_STEPS = 3


def restart_with_malloc(mode):
    """glibc reads its tunables when a process starts."""
    if mode == "tuned" and os.environ.get("GLIBC_TUNABLES") != TUNABLES:
        os.environ["GLIBC_TUNABLES"] = TUNABLES
        os.execv(sys.executable, [sys.executable, *sys.argv])


class Net:
    """An ONNX graph as a list of calls on a list of values."""

    def __init__(self, torch, path):
        import onnx
        from onnx import helper, numpy_helper

        self.torch, self.calls, self.params, self.places = torch, [], [], {}
        model = onnx.load(path)
        graph = model.graph
        self.weights = {i.name: torch.from_numpy(numpy_helper.to_array(i).copy())
                        for i in graph.initializer}
        inputs = [i for i in graph.input if i.name not in self.weights]
        self.input_dims = [d.dim_value for d in inputs[0].type.tensor_type.shape.dim][1:]
        self.output_dims = [d.dim_value for d in graph.output[0].type.tensor_type.shape.dim][1:]
        self.uses = collections.Counter(i for n in graph.node for i in n.input)
        self.uses.update(o.name for o in graph.output)
        self.last_use = {i: k for k, n in enumerate(graph.node) for i in n.input}
        self.maker = {o: n.op_type for n in graph.node for o in n.output}
        self.place(inputs[0].name)
        for k, n in enumerate(graph.node):
            a = {x.name: helper.get_attribute_value(x) for x in n.attribute}
            self.add(k, n, a)
        self.output = self.places[graph.output[0].name]

    def place(self, name):
        return self.places.setdefault(name, len(self.places))

    def param(self, name):
        w = self.weights[name]
        if not isinstance(w, self.torch.nn.Parameter):
            w = self.weights[name] = self.torch.nn.Parameter(w)
            self.params.append(w)
        return w

    def free_to_overwrite(self, name):
        """Nobody else reads it, and its maker's gradient does not need it."""
        return self.uses[name] == 1 and self.maker.get(name) in ("BatchNormalization", "Conv", "Add")

    def add(self, k, n, a):
        make = getattr(self, "make_" + n.op_type, None)
        if make is None:
            sys.exit(f"engine_torch: operator {n.op_type} is not one of the reference networks'")
        source = [i for i in n.input if i and i not in self.weights]
        call = make(n, a)
        reads = [self.places[i] for i in source]
        if n.op_type == "Add" and call is self.add_to_second:
            reads.reverse()
        done = [self.places[i] for i in set(source) if self.last_use[i] == k]
        self.calls.append((call, reads, self.place(n.output[0]), done))

    def make_Conv(self, n, a):
        f, w = self.torch.nn.functional.conv2d, self.param(n.input[1])
        b = self.param(n.input[2]) if len(n.input) > 2 else None
        pads = a.get("pads", [0, 0, 0, 0])
        assert pads[:2] == pads[2:], "padding that is not symmetric"
        stride, dilation = a.get("strides", [1, 1]), a.get("dilations", [1, 1])
        return lambda x: f(x, w, b, stride, pads[:2], dilation, a.get("group", 1))

    def make_BatchNormalization(self, n, a):
        f = self.torch.nn.functional.batch_norm
        scale, shift = self.param(n.input[1]), self.param(n.input[2])
        mean, variance = self.weights[n.input[3]], self.weights[n.input[4]]
        momentum, epsilon = 1 - a.get("momentum", 0.9), a.get("epsilon", 1e-5)
        return lambda x: f(x, mean, variance, scale, shift, True, momentum, epsilon)

    def make_Relu(self, n, a):
        return self.torch.relu_ if self.free_to_overwrite(n.input[0]) else self.torch.relu

    def make_Clip(self, n, a):
        low, high = float(self.weights[n.input[1]]), float(self.weights[n.input[2]])
        f, over = self.torch.nn.functional.hardtanh, self.free_to_overwrite(n.input[0])
        return lambda x: f(x, low, high, over)

    def make_Add(self, n, a):
        if self.free_to_overwrite(n.input[0]):
            return self.add_to_first
        return self.add_to_second if self.free_to_overwrite(n.input[1]) else self.torch.add

    @staticmethod
    def add_to_first(x, y):
        return x.add_(y)

    @staticmethod
    def add_to_second(y, x):  # called with its operands exchanged
        return y.add_(x)

    def make_Mul(self, n, a):
        return self.torch.mul

    def make_Sigmoid(self, n, a):
        return self.torch.sigmoid

    def make_MaxPool(self, n, a):
        f, pads = self.torch.nn.functional.max_pool2d, a.get("pads", [0, 0, 0, 0])
        return lambda x: f(x, a["kernel_shape"], a["strides"], pads[:2])

    def make_GlobalAveragePool(self, n, a):
        f = self.torch.nn.functional.adaptive_avg_pool2d
        return lambda x: f(x, 1)

    def make_Reshape(self, n, a):
        return lambda x: x.flatten(1)

    make_Flatten = make_Reshape

    def make_Gemm(self, n, a):
        assert a.get("transB", 0), "a linear layer keeps its weight as [features, inputs]"
        f, w, b = self.torch.nn.functional.linear, self.param(n.input[1]), self.param(n.input[2])
        return lambda x: f(x, w, b)

    def make_Resize(self, n, a):
        f, scale = self.torch.nn.functional.interpolate, self.weights[n.input[2]].tolist()[2:]
        return lambda x: f(x, [int(d * s) for d, s in zip(x.shape[2:], scale)], mode="bilinear",
                           align_corners=False)

    def make_Identity(self, n, a):
        return lambda x: x

    def use_layout(self, channels_last):
        form = self.torch.channels_last if channels_last else self.torch.contiguous_format
        for p in self.params:
            if p.dim() == 4:
                p.data = p.data.contiguous(memory_format=form)

    def __call__(self, x):
        values = [None] * len(self.places)
        values[0] = x
        for call, reads, to, done in self.calls:
            y = call(*[values[i] for i in reads])
            for i in done:
                values[i] = None
            values[to] = y
        return values[self.output]


def rss_mib():
    with open("/proc/self/status", encoding="ascii") as f:
        fields = dict(line.split(":", 1) for line in f)
    return [int(fields[k].split()[0]) / 1024 for k in ("VmRSS", "VmHWM")]


class Trainer:
    def __init__(self, torch, net, args, params):
        generator = torch.Generator().manual_seed(7)
        dims, out = args.dims, args.out
        self.torch, self.net, self.bf16 = torch, net, args.precision == "bf16"
        self.x = torch.randn([args.batch, *dims], generator=generator)
        if args.layout == "channels_last":
            self.x = self.x.contiguous(memory_format=torch.channels_last)
        self.y = torch.randint(0, min(out[0], 255), [args.batch, *out[1:]], generator=generator)
        self.params, self.loss = params, None
        self.adam = torch.optim.Adam(params, 1e-3, foreach=False)

    def forward_backward(self):
        self.adam.zero_grad(set_to_none=True)
        with self.torch.autocast("cpu", dtype=self.torch.bfloat16, enabled=self.bf16):
            out = self.net(self.x)
        self.loss = self.torch.nn.functional.cross_entropy(out.float(), self.y)
        self.loss.backward()

    def step(self):
        self.forward_backward()
        self.adam.step()

    def choose_adam(self):
        """The quicker form; both have made their state before the clock runs."""
        self.forward_backward()
        best = {}
        for _ in range(3):
            for foreach in (False, True):
                self.adam.param_groups[0]["foreach"] = foreach
                start = time.perf_counter()
                self.adam.step()
                spent = time.perf_counter() - start
                best[foreach] = min(spent, best.get(foreach, 1e9))
        self.adam.param_groups[0]["foreach"] = best[True] < best[False]
        return "foreach" if best[True] < best[False] else "loop"


def median(values):
    s = sorted(values)
    return (s[len(s) // 2] + s[(len(s) - 1) // 2]) / 2


def time_steps(trainer, seconds, clock=time.perf_counter):
    for _ in range(WARM_UP):
        trainer.step()
    times, end = [], time.perf_counter() + seconds
    while len(times) < LEAST_STEPS or time.perf_counter() < end:
        start = clock()
        trainer.step()
        times.append((clock() - start) * 1e3)
    return times


def measure(torch, args):
    net = Net(torch, args.model)
    net.use_layout(args.layout == "channels_last")
    args.dims, args.out = net.input_dims, net.output_dims
    trainer = Trainer(torch, net, args, net.params)
    adam = trainer.choose_adam()
    times = time_steps(trainer, args.seconds)
    if not torch.isfinite(trainer.loss):
        sys.exit("engine_torch: the loss is not finite")
    rss, peak = rss_mib()
    print(json.dumps({
        "engine": "torch", "version": torch.__version__, "mode": "train", "batch": args.batch,
        "threads": args.threads, "precision": args.precision, "layout": args.layout,
        "malloc": args.malloc, "adam": adam, "ms": median(times), "best_ms": min(times),
        "runs": len(times), "parameters": sum(p.numel() for p in net.params), "rss_mib": rss,
        "peak_rss_mib": peak}))


def self_check(torch, args):
    """Our calls against torchvision's modules on the same network, alternately; processor time, as
    nothing else has to be quiet for this."""
    import torchvision

    warnings.simplefilter("ignore")  # the exporter's, about counters of batches
    args.dims, args.out, args.batch = [3, 224, 224], [1000], args.batch or 8
    theirs = torchvision.models.resnet18(weights=None).train()
    with tempfile.NamedTemporaryFile(suffix=".onnx") as f:
        torch.onnx.export(theirs, torch.zeros(1, 3, 224, 224), f.name, opset_version=13,
                          training=torch.onnx.TrainingMode.TRAINING, do_constant_folding=False)
        ours = Net(torch, f.name)
    ours.use_layout(args.layout == "channels_last")
    if args.layout == "channels_last":
        theirs = theirs.to(memory_format=torch.channels_last)
    trainers = {"ours": Trainer(torch, ours, args, ours.params),
                "torchvision": Trainer(torch, theirs, args, list(theirs.parameters()))}
    times = {k: [] for k in trainers}
    for _ in range(6):
        for k, t in trainers.items():
            times[k] += time_steps(t, args.seconds, time.process_time)
    print(json.dumps({k: {"median_cpu_ms": median(v), "best_cpu_ms": min(v)}
                      for k, v in times.items()}))


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?")
    parser.add_argument("--batch", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--precision", choices=["f32", "bf16"], default="f32")
    parser.add_argument("--layout", choices=["nchw", "channels_last"], default="channels_last")
    parser.add_argument("--malloc", choices=["default", "tuned"], default="default")
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--self-check", action="store_true")
    args = parser.parse_args()
    if not args.model and not args.self_check:
        parser.error("an ONNX file is needed")
    restart_with_malloc(args.malloc)
    import torch

    torch.set_num_threads(args.threads)
    if args.self_check:
        self_check(torch, args)
        return
    args.batch = args.batch or 1
    try:
        measure(torch, args)
    except (RuntimeError, NotImplementedError) as e:
        if "not implemented" not in str(e):
            raise
        print(json.dumps({"unsupported": f"PyTorch: {e}"}))
        sys.exit(1)


if __name__ == "__main__":
    main()
