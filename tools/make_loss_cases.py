#!/usr/bin/env python3
"""Prints tests/nn/loss_cases.h: losses, gradients and optimiser steps as torch computes them.

A development-time tool (needs torch); its output is committed:
  tools/make_loss_cases.py > tests/nn/loss_cases.h && clang-format -i tests/nn/loss_cases.h
"""
import torch
import torch.nn.functional as F

N, C, H, W = 2, 4, 2, 3
torch.manual_seed(7)
torch.set_default_dtype(torch.float64)


def values(kind, name, tensor):
    items = ", ".join(f"{v:.9g}" if kind != "uint8_t" else str(int(v)) for v in tensor.flatten().tolist())
    print(f"static const {kind} {name}[{tensor.numel()}] = {{{items}}};")


def rounded(t):
    """The nearest float32, so that C and torch start from the same numbers."""
    return t.float().double()


logits = rounded(torch.randn(N, C, H, W) * 2)
labels = torch.randint(0, C, (N, H, W))
labels[0, 0, 1] = 255
labels[1, 1, 2] = 255


def hard(name, chosen, weight=None, smoothing=0.0):
    z = logits.clone().requires_grad_()
    position = torch.full((256,), -100)
    position[chosen] = torch.arange(len(chosen))
    w = None if weight is None else torch.tensor(weight)[chosen]
    loss = F.cross_entropy(z[:, chosen], position[labels], weight=w, label_smoothing=smoothing)
    loss.backward()
    print(f"static const double {name}_loss = {loss.item():.12g};")
    values("float", f"{name}_grad", z.grad)


def soft(name, temperature):
    z = logits.clone().requires_grad_()
    q = probs.double().permute(0, 3, 1, 2)
    q = F.interpolate(q, (H, W), mode="nearest")
    total = q.sum(1, keepdim=True)
    keep = (total > 0).double()
    q = q / total.clamp(min=1)
    loss = -(q * F.log_softmax(z / temperature, 1)).sum() / keep.sum()
    loss.backward()
    print(f"static const double {name}_loss = {loss.item():.12g};")
    values("float", f"{name}_grad", z.grad * temperature)


print("/* Made by tools/make_loss_cases.py with torch %s: do not edit. */" % torch.__version__.split("+")[0])
print("#ifndef ATTUNE_TESTS_NN_LOSS_CASES_H\n#define ATTUNE_TESTS_NN_LOSS_CASES_H\n\n#include <stdint.h>\n")
print(f"enum {{ CASE_N = {N}, CASE_C = {C}, CASE_H = {H}, CASE_W = {W} }};\n")
values("float", "case_logits", logits)
values("uint8_t", "case_labels", labels)
hard("plain", [0, 1, 2, 3])
hard("restricted", [0, 2, 3])
hard("weighted", [0, 1, 2, 3], weight=[0.5, 2.0, 1.0, 0.25])
hard("smoothed", [1, 2, 3], smoothing=0.125)

probs = torch.randint(0, 256, (N, 1, W, C))
probs[1, 0, 1] = 0
values("uint8_t", "case_probs", probs)
soft("soft", 1.0)
soft("warm", 3.0)


def steps(name, make):
    p = torch.nn.Parameter(start.clone())
    o = make([p])
    trace = []
    for g in grads:
        p.grad = g.clone()
        o.step()
        trace.append(p.detach().clone())
    values("float", name, torch.stack(trace))


start = rounded(torch.randn(6))
grads = rounded(torch.randn(10, 6) * torch.tensor([1, 1e-3, 10, 1e-7, 0.1, 1]))
grads[:, 5] = 0
print("\nenum { STEP_COUNT = 10, STEP_PARAMS = 6 };")
values("float", "step_start", start)
values("float", "step_grads", grads)
steps("sgd_trace", lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, weight_decay=0.01))
steps("adam_trace", lambda p: torch.optim.Adam(p, lr=0.01))
steps("adamw_trace", lambda p: torch.optim.AdamW(p, lr=0.01, betas=(0.8, 0.9), eps=1e-3, weight_decay=0.1))
print("\n#endif")
