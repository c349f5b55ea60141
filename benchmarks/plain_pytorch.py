"""The peer: the same U-Net and the same step as plain PyTorch would have them.

    python benchmarks/plain_pytorch.py --filters 16 --precision bfloat16 --steps 10 [--predict]

It prints the seconds of each step as a JSON list. It needs PyTorch alone, so that it can be run by
another Python than the project's: `benchmarks/training.py --pytorch PYTHON` does, and
`benchmarks/inference.py`, which lets it predict. Channels lie last in memory. In training bfloat16
comes from autocast, as PyTorch's own guides recommend. A network that predicts has its
normalisation joined with the convolutions, and all of its weights in bfloat16, which is quicker.
"""

import argparse
import json
import time
from contextlib import nullcontext

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval


class ConvBlock(nn.Sequential):
    """Two convolutions, each with normalisation and ReLU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        layers = []
        for channels in (inputs, outputs):
            layers += [
                nn.Conv2d(channels, outputs, 3, padding=1),
                nn.BatchNorm2d(outputs),
                nn.ReLU(inplace=True),
            ]
        super().__init__(*layers)


class UNet(nn.Module):
    """The network of `unetflow.unet.build_unet` with one channel in and one out."""

    def __init__(self, filters: int, depth: int = 4) -> None:
        super().__init__()
        widths = [filters * 2**level for level in range(depth + 1)]
        self.down = nn.ModuleList(map(ConvBlock, [1, *widths[:-2]], widths[:-1]))
        self.bottleneck = ConvBlock(widths[-2], widths[-1])
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(2 * width, width, 2, stride=2) for width in widths[:-1]
        )
        self.merge = nn.ModuleList(ConvBlock(2 * width, width) for width in widths[:-1])
        self.head = nn.Conv2d(filters, 1, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits."""
        skips = []
        for block in self.down:
            skips.append(block(x))
            x = functional.max_pool2d(skips[-1], 2)
        x = self.bottleneck(x)
        for up, merge, skip in reversed(list(zip(self.up, self.merge, skips, strict=True))):
            x = merge(torch.cat([up(x), skip], 1))
        return self.head(x)


def loss_of(logits: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Return cross-entropy and Dice of each image, and the mean of both."""
    chance = torch.sigmoid(logits)
    overlap, size = ((part).sum((1, 2, 3)) for part in (chance * truth, chance + truth))
    dice = 1 - (2 * overlap + 1) / (size + 1)
    return functional.binary_cross_entropy_with_logits(logits, truth) + dice.mean()


def make_ready(unet: UNet) -> UNet:
    """Return the network as one would deploy it: normalisation is part of the convolutions."""
    unet.eval()
    for block in unet.modules():
        if isinstance(block, ConvBlock):
            for number in (0, 3):
                block[number] = fuse_conv_bn_eval(block[number], block[number + 1])
                block[number + 1] = nn.Identity()
    return unet


def predict(options: argparse.Namespace, unet: UNet, images: torch.Tensor) -> list[float]:
    """Time predictions."""
    dtype = getattr(torch, options.precision)
    unet, seconds = make_ready(unet).to(dtype), []
    with torch.inference_mode():
        for _ in range(options.steps + 2):
            started = time.perf_counter()
            torch.sigmoid(unet(images.to(dtype)).float()).cpu()  # waits for a GPU
            seconds.append(time.perf_counter() - started)
    return seconds[2:]


def main() -> None:
    """Time the steps."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--filters", type=int, default=16)
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--edge", type=int, default=256)
    parser.add_argument("--predict", action="store_true")
    options = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(0)
    unet = UNet(options.filters).to(device, memory_format=torch.channels_last)
    images = torch.rand(options.batch, 1, options.edge, options.edge, device=device)
    images = images.contiguous(memory_format=torch.channels_last)
    if options.predict:
        print(json.dumps(predict(options, unet, images)))
        return
    optimiser = torch.optim.Adam(unet.parameters(), 1e-3)
    truth = (images > 0.8).float()
    seconds = []
    for _ in range(options.steps + 2):
        started = time.perf_counter()
        in_bfloat16 = torch.autocast(device, torch.bfloat16)
        with in_bfloat16 if options.precision == "bfloat16" else nullcontext():
            logits = unet(images)
        loss = loss_of(logits.float(), truth)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        loss.item()  # waits for a GPU
        seconds.append(time.perf_counter() - started)
    print(json.dumps(seconds[2:]))


if __name__ == "__main__":
    main()
