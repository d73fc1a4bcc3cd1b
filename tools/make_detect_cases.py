#!/usr/bin/env python3
"""Writes tests/task/detect_cases.h: what detectors' outputs decode to, and average precisions.

Written from the papers and the authors' code (YOLOX, FastestDet; PASCAL VOC 2010 for the all-point
average precision) with lists of doubles and nothing of src/: an independent reference. Inputs are
drawn by a generator that the test repeats.

usage: tools/make_detect_cases.py > tests/task/detect_cases.h
"""
import math


class Draws:
    def __init__(self, seed):
        self.state = seed

    def __call__(self, low, high):
        self.state = (self.state * 1664525 + 1013904223) & 0xFFFFFFFF
        return low + (high - low) * (self.state >> 8) / 16777216.0


def sigmoid(v):
    return 1 / (1 + math.exp(-v))


def iou(a, b):
    w = min(a[2], b[2]) - max(a[0], b[0])
    h = min(a[3], b[3]) - max(a[1], b[1])
    common = max(w, 0) * max(h, 0)
    area = lambda r: (r[2] - r[0]) * (r[3] - r[1])
    return common / (area(a) + area(b) - common)


def suppress(found, limit):
    """Per class, as the authors' postprocessing: best first, what overlaps a kept one goes."""
    kept = []
    for k in sorted({f[1] for f in found}):
        rest = sorted((f for f in found if f[1] == k), key=lambda f: -f[0])
        while rest:
            kept.append(rest[0])
            rest = [f for f in rest[1:] if iou(f[2], rest[0][2]) <= limit]
    return sorted(kept, key=lambda f: -f[0])


def clip(box):
    return [min(max(v, 0.0), 1.0) for v in box]


def yolox(draw, size, channels, classes):
    found = []
    for stride in (8, 16, 32):
        for y in range(size // stride):
            for x in range(size // stride):
                box = [draw(-1, 2), draw(-1, 2), draw(-0.5, 1.5), draw(-0.5, 1.5)]
                there = draw(0, 1) ** 3
                of = [draw(0, 1) for _ in range(classes)]
                best = max(range(len(channels)), key=lambda k: of[channels[k]])
                cx, cy = (x + box[0]) * stride / size, (y + box[1]) * stride / size
                w, h = math.exp(box[2]) * stride / size, math.exp(box[3]) * stride / size
                found.append((there * of[channels[best]], best,
                              [cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2]))
    return found


def fastestdet(draw, width, height, classes):
    found = []
    for y in range(height):
        for x in range(width):
            there = draw(0, 1)
            box = [draw(-2, 2) for _ in range(4)]
            of = [math.exp(draw(-2, 2)) for _ in range(classes)]
            of = [v / sum(of) for v in of]
            best = max(range(classes), key=lambda k: of[k])
            cx, cy = (x + math.tanh(box[0])) / width, (y + math.tanh(box[1])) / height
            w, h = sigmoid(box[2]), sigmoid(box[3])
            found.append((there ** 0.6 * of[best] ** 0.4, best,
                          [cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2]))
    return found


def grid(draw, width, height, classes):
    found = []
    for y in range(height):
        for x in range(width):
            box = [draw(-1, 2), draw(-1, 2), draw(-1, 1), draw(-1, 1)]
            there = sigmoid(draw(-4, 3))
            of = [sigmoid(draw(-3, 3)) for _ in range(classes)]
            best = max(range(classes), key=lambda k: of[k])
            cx, cy = (x + box[0]) / width, (y + box[1]) / height
            w, h = math.exp(box[2]) / width, math.exp(box[3]) / height
            found.append((there * of[best], best, [cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2]))
    return found


def print_found(name, found):
    print(f"static const struct expected {name}[] = {{")
    for score, k, box in found:
        c = clip(box)
        if c[0] < c[2] and c[1] < c[3]:
            print("    {%d, %.6ff, {%.6ff, %.6ff, %.6ff, %.6ff}}," % (k, score, *c))
    print("};\n")


def average_precision(truth, answers):
    """All points: the area under the precision made monotonous, by recall."""
    hits, taken = [], {p: [False] * len(t) for p, t in enumerate(truth)}
    for score, picture, box in sorted(answers, key=lambda a: -a[0]):
        best, at = 0.5, None
        for i, t in enumerate(truth[picture]):
            if not taken[picture][i] and iou(box, t) >= best:
                best, at = iou(box, t), i
        if at is not None:
            taken[picture][at] = True
        hits.append(at is not None)
    total = sum(len(t) for t in truth)
    right, points = 0, []
    for n, hit in enumerate(hits, 1):
        right += hit
        points.append((right / total, right / n))
    area, last = 0.0, 0.0
    for i, (recall, _) in enumerate(points):
        area += (recall - last) * max(p for _, p in points[i:])
        last = recall
    return area


def random_box(draw):
    x, y, w, h = draw(0, 0.7), draw(0, 0.7), draw(0.05, 0.3), draw(0.05, 0.3)
    return [round(v * 65535) / 65535 for v in (x, y, x + w, y + h)]


def precision_case(seed):
    """Answers are the truth, shaken, and some that are nothing."""
    draw = Draws(seed)
    truth = [[random_box(draw) for _ in range(1 + int(draw(0, 4)))] for _ in range(12)]
    answers = []
    for picture, boxes in enumerate(truth):
        for b in boxes:
            shift = draw(-0.08, 0.08)
            found = draw(0, 1)
            score = round(draw(0.2, 1) * 255) / 255
            if found < 0.8:
                moved = clip([b[0] + shift, b[1], b[2] + shift, b[3]])
                answers.append((score, picture, moved))
        false = random_box(draw)
        answers.append((round(draw(0.1, 0.8) * 255) / 255, picture, false))
    return truth, answers


def main():
    print("/* Made by tools/make_detect_cases.py: do not edit. */")
    print("struct expected {\n    int class_id;\n    float score;\n    float box[4];\n};\n")
    found = [f for f in yolox(Draws(7), 64, [2, 0], 4) if f[0] >= 0.2]
    print_found("yolox_expected", suppress(found, 0.45))
    found = [f for f in fastestdet(Draws(8), 6, 5, 3) if f[0] >= 0.3]
    print_found("fastestdet_expected", suppress(found, 0.45))
    found = [f for f in grid(Draws(9), 10, 6, 3) if f[0] >= 0.2]
    print_found("grid_expected", suppress(found, 0.3))
    for i, seed in enumerate((11, 12, 13)):
        print(f"#define PRECISION_{i} {average_precision(*precision_case(seed)):.9f}")


main()
