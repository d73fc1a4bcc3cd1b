#!/usr/bin/python3
"""Export torchvision's networks as ONNX files for tools/check_coverage.sh (development only).

    tools/export_torchvision.py OUT [NAME...]

Weights are random under a fixed seed; the statistics of batch-norm come from a few random batches,
so that activations have the sizes of a trained network's. Images are small, so that checks are
quick. Each network is written in four forms:

    NAME.folded.onnx           batch-norm folded by the exporter, batch of one, operator set 11
    NAME.folded-dynamic.onnx   the same with a dynamic batch, operator set 13
    NAME.kept.onnx             batch-norm as nodes, batch of one, operator set 13
    NAME.kept-dynamic.onnx     the same with a dynamic batch, operator set 12

The kept forms are exported without constant folding: they also hold the exporter's shape
arithmetic.
"""
import argparse
import pathlib
import warnings

import torch
import torchvision
from torch.onnx import TrainingMode

# name: (maker, image size). Segmentation without the auxiliary head, which is for training it from
# scratch only.
NETWORKS = {
    "resnet18": (torchvision.models.resnet18, 64),
    "resnet50": (torchvision.models.resnet50, 64),
    "mobilenet_v2": (torchvision.models.mobilenet_v2, 96),
    "mobilenet_v3_small": (torchvision.models.mobilenet_v3_small, 96),
    "mobilenet_v3_large": (torchvision.models.mobilenet_v3_large, 96),
    "shufflenet_v2_x1_0": (torchvision.models.shufflenet_v2_x1_0, 96),
    "efficientnet_b0": (torchvision.models.efficientnet_b0, 96),
    "deeplabv3_mobilenet_v3_large": (torchvision.models.segmentation.deeplabv3_mobilenet_v3_large,
                                     128),
    "lraspp_mobilenet_v3_large": (torchvision.models.segmentation.lraspp_mobilenet_v3_large, 128),
    "fcn_resnet50": (torchvision.models.segmentation.fcn_resnet50, 64),
}
FORMS = {
    "folded": (False, False, 11),
    "folded-dynamic": (False, True, 13),
    "kept": (True, False, 13),
    "kept-dynamic": (True, True, 12),
}
CLASSES = 21
STATISTICS_BATCHES = 4


class Output(torch.nn.Module):
    """Segmentation networks give a dictionary; this gives its map of classes."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, x):
        y = self.network(x)
        return y["out"] if isinstance(y, dict) else y


def make(name):
    maker, size = NETWORKS[name]
    torch.manual_seed(1)
    options = {"weights": None, "num_classes": CLASSES}
    if maker.__module__.startswith("torchvision.models.segmentation"):
        options["weights_backbone"] = None
    network = Output(maker(**options))
    norms = [m for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    momentum = [m.momentum for m in norms]
    for m in network.modules():
        if isinstance(m, (torch.nn.Conv2d, torch.nn.Linear)) and m.bias is not None:
            torch.nn.init.normal_(m.bias, std=0.1)  # the exporter merges equal tensors, as zeros
    for m in norms:
        torch.nn.init.uniform_(m.weight, 0.5, 1.5)
        torch.nn.init.normal_(m.bias, std=0.1)
        m.momentum = None  # the average over all batches
    with torch.no_grad():
        network.train()
        for _ in range(STATISTICS_BATCHES):
            network(torch.randn(8, 3, size, size))
    for m, value in zip(norms, momentum):
        m.momentum = value
    return network.eval(), torch.randn(1, 3, size, size)


def export(network, image, path, kept, dynamic, opset):
    torch.onnx.export(network, image, str(path), opset_version=opset, input_names=["image"],
                      output_names=["output"], do_constant_folding=not kept,
                      training=TrainingMode.PRESERVE if kept else TrainingMode.EVAL,
                      dynamic_axes={"image": {0: "batch"}, "output": {0: "batch"}} if dynamic
                      else None)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("names", nargs="*", default=list(NETWORKS), metavar="NAME",
                        help=", ".join(NETWORKS))
    args = parser.parse_args()
    unknown = set(args.names) - set(NETWORKS)
    if unknown:
        parser.error(f"no network {', '.join(sorted(unknown))}; there are {', '.join(NETWORKS)}")
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    args.out.mkdir(parents=True, exist_ok=True)
    for name in args.names:
        network, image = make(name)
        for form, options in FORMS.items():
            path = args.out / f"{name}.{form}.onnx"
            export(network, image, path, *options)
            print(f"{path}: {path.stat().st_size / 1e6:.1f} MB", flush=True)


if __name__ == "__main__":
    main()
