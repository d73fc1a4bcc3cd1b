#!/usr/bin/python3
"""Medians, ratios and targets of what bench/engine.sh measured.

    bench/engine_table.py OUT     reads OUT/runs.jsonl; writes OUT/engine.json and OUT/engine.md

A time is the median over the rounds of each round's median; memory is the largest of all rounds.
"""
import collections
import json
import pathlib
import statistics
import sys

# At least so many times faster than PyTorch's best.
TRAIN = {("tiny", "f32"): 1.7, ("seg", "f32"): 3.2, ("resnet18", "f32"): 1.75,
         ("tiny", "bf16"): 1.5, ("segr", "bf16"): 4.2, ("resnet18", "bf16"): 1.25}
TRAIN_MEMORY = 0.50  # at most, of PyTorch's peak
INFER = {"f32": 0.95, "bf16": 0.55}  # at most, of ONNX Runtime's float32 time
INFER_MEMORY = 0.40
FROZEN = 0.45  # at most, of the full step
DELTA = 1.0  # at most, of a frame


def read(out):
    """{(case, network, threads): one number for each key}, {the same: why not}"""
    lists, refused = collections.defaultdict(lambda: collections.defaultdict(list)), {}
    for line in (out / "runs.jsonl").read_text().splitlines():
        r = json.loads(line)
        key = (r["case"], r["network"], r["threads"])
        if "unsupported" in r["run"]:
            refused[key] = r["run"]["unsupported"]
            continue
        for k, v in r["run"].items():
            if isinstance(v, (int, float)):
                lists[key][k].append(v)
    whole = {}
    for key, columns in lists.items():
        whole[key] = {k: max(v) if k.endswith("_mib") or k.endswith("s_best") else
                      min(v) if k == "best_ms" else statistics.median(v)
                      for k, v in columns.items()}
        whole[key]["rounds_ms"] = columns.get("ms", [])
    return whole, refused


def verdict(ratio, target, at_least):
    if target is None:
        return ""
    good = ratio >= target if at_least else ratio <= target
    return f"{'yes' if good else '**no**'} ({'>=' if at_least else '<='} {target:g})"


def number(v, digits=2):
    return "-" if v is None else f"{v:.{digits}f}"


class Table:
    def __init__(self, whole, refused):
        self.whole, self.refused, self.lines, self.ratios = whole, refused, [], []
        self.threads = sorted({k[2] for k in whole})
        self.networks = [n for n in ("tiny", "seg", "segr", "resnet18")
                         if any(k[1] == n for k in whole)]

    def get(self, case, network, threads):
        return self.whole.get((case, network, threads))

    def row(self, *cells):
        self.lines.append("| " + " | ".join(str(c) for c in cells) + " |")

    def heading(self, title, *cells):
        self.lines += ["", f"### {title}", ""]
        self.row(*cells)
        self.row(*["---"] * len(cells))

    def keep(self, what, network, threads, precision, ratio, target, at_least):
        good = None if target is None else ratio >= target if at_least else ratio <= target
        self.ratios.append({"what": what, "network": network, "threads": threads,
                            "precision": precision, "ratio": ratio, "target": target,
                            "reached": good})

    def peak_fraction(self, run, threads, precision):
        peak = self.get("attune peak", "machine", threads)
        best = peak and peak[f"{precision}_gflops_best"]
        return run["gflop"] / run["ms"] * 1e3 / best if best else None

    def best_torch(self, network, threads, precision, malloc):
        found = [(v["ms"], k[0].split()[3], v) for k, v in self.whole.items()
                 if k[0].startswith(f"torch train {precision} ") and k[0].endswith(malloc) and
                 k[1:] == (network, threads)]
        return min(found, key=lambda f: f[0])[1:] if found else (None, None)

    def peaks(self):
        self.heading("This machine at its best", "threads", "f32 GFLOP/s", "bf16 GFLOP/s",
                     "copy GB/s", "read GB/s")
        for t in self.threads:
            p = self.get("attune peak", "machine", t)
            if p:
                self.row(t, *[number(p[k + "_best"], 0) for k in
                              ("f32_gflops", "bf16_gflops", "copy_gbps", "read_gbps")])

    def training_row(self, network, threads, precision):
        ours = self.get(f"attune train {precision}", network, threads)
        layout, torch = self.best_torch(network, threads, precision, "default")
        _, tuned = self.best_torch(network, threads, precision, "tuned")
        if not ours and not torch:
            return
        cells = [network, precision, threads, number(ours and ours["ms"], 1)]
        cells.append(f"{torch['ms']:.1f} ({layout})" if torch else "-")
        if not ours or not torch:
            self.row(*cells, "-", "-", "-", number(ours and ours["peak_rss_mib"], 0), "-", "-")
            return
        speed, memory = torch["ms"] / ours["ms"], ours["peak_rss_mib"] / torch["peak_rss_mib"]
        target = TRAIN.get((network, precision))
        over_tuned = tuned["ms"] / ours["ms"] if tuned else None
        fraction = self.peak_fraction(ours, threads, precision)
        self.row(*cells, f"{speed:.2f}x", verdict(speed, target, True),
                 f"{number(over_tuned)}x", f"{number(fraction and 100 * fraction, 0)} %",
                 f"{ours['peak_rss_mib']:.0f} / {torch['peak_rss_mib']:.0f}",
                 verdict(memory, TRAIN_MEMORY, False))
        self.keep("train", network, threads, precision, speed, target, True)
        self.keep("train against tuned malloc", network, threads, precision, over_tuned, None, True)
        self.keep("train memory", network, threads, precision, memory, TRAIN_MEMORY, False)

    def training(self):
        self.heading("Training step, ms", "network", "type", "threads", "attune", "PyTorch's best",
                     "faster", "target", "malloc tuned", "of peak", "peak MiB", "target")
        for precision in ("f32", "bf16"):
            for n in self.networks:
                for t in self.threads:
                    self.training_row(n, t, precision)

    def inference(self):
        self.heading("Inference, batch 1, ms", "network", "type", "threads", "attune",
                     "ONNX Runtime f32", "of its time", "target", "of peak", "resident MiB", "target",
                     "peak MiB")
        for precision in ("f32", "bf16"):
            for n in self.networks:
                for t in self.threads:
                    self.inference_row(n, t, precision)

    def inference_row(self, network, threads, precision):
        ours = self.get(f"attune infer {precision}", network, threads)
        theirs = self.get("onnxruntime infer f32", network, threads)
        if not ours:
            return
        fraction = self.peak_fraction(ours, threads, precision)
        of_peak = f"{number(fraction and 100 * fraction, 0)} %"
        if not theirs:
            self.row(network, precision, threads, number(ours["ms"]), "-", "-", "-", of_peak,
                     number(ours["rss_mib"], 0), "-", number(ours["peak_rss_mib"], 0))
            return
        ratio, memory = (ours[k] / theirs[k] for k in ("ms", "rss_mib"))
        self.row(network, precision, threads, number(ours["ms"]), number(theirs["ms"]),
                 number(ratio), verdict(ratio, INFER[precision], False), of_peak,
                 f"{ours['rss_mib']:.0f} / {theirs['rss_mib']:.0f}",
                 verdict(memory, INFER_MEMORY, False),
                 f"{ours['peak_rss_mib']:.0f} / {theirs['peak_rss_mib']:.0f}")
        self.keep("infer", network, threads, precision, ratio, INFER[precision], False)
        self.keep("infer memory", network, threads, precision, memory, INFER_MEMORY, False)

    def rest(self):
        self.heading("Frozen backbone, and an update of a live session", "what", "network", "type",
                     "threads", "ms", "against, ms", "ratio", "target", "beside it")
        for (case, n, t), run in sorted(self.whole.items(), key=lambda kv: kv[0]):
            _, kind, *precision = case.split()
            if kind == "frozen":
                full = self.get(f"attune train {precision[0]}", n, t)
                self.rest_row("frozen", n, t, precision[0], run["ms"], full and full["ms"], FROZEN)
            elif kind == "delta":
                self.rest_row("delta", n, t, precision[0], run["apply_ms"], run["frame_ms"], DELTA,
                              f"decoded in {number(run['decode_ms'], 1)} ms in the background")

    def rest_row(self, what, network, threads, precision, ms, against, target, note=""):
        if not against:
            return
        ratio = ms / against
        self.row(what, network, precision, threads, number(ms), number(against), number(ratio),
                 verdict(ratio, target, False), note)
        self.keep(what, network, threads, precision, ratio, target, False)

    def missing(self):
        if self.refused:
            self.lines += ["", "### Not measured", ""]
        for (case, n, t), why in sorted(self.refused.items()):
            self.lines.append(f"- {case}, {n}, {t} threads: {why}")

    def text(self):
        for part in (self.peaks, self.training, self.inference, self.rest, self.missing):
            part()
        return "\n".join(self.lines).strip() + "\n"


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    out = pathlib.Path(sys.argv[1])
    whole, refused = read(out)
    table = Table(whole, refused)
    text = table.text()
    (out / "engine.md").write_text(text)
    medians = [{"case": c, "network": n, "threads": t, **v} for (c, n, t), v in whole.items()]
    unsupported = [{"case": c, "network": n, "threads": t, "why": w}
                   for (c, n, t), w in refused.items()]
    (out / "engine.json").write_text(json.dumps(
        {"medians": medians, "ratios": table.ratios, "unsupported": unsupported}, indent=1) + "\n")
    print(text, end="")


if __name__ == "__main__":
    main()
