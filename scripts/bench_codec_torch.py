#!/usr/bin/env python3
"""The PyTorch side of `just bench-codec`: compresses and averages pseudo-gradients with one thread.

The steps are those of the profile `reference`, with codes of fixed width: chunks of 64 x 64, top-k, 12-bit positions,
2-bit codes of four bins around the mean, and error feedback; then for 20 peers unpacking, clipping to the median norm,
and the mean over senders. Operations run over whole tensors. The last line on stdout is a report in JSON.
"""

import argparse
import json
import time

import torch
from safetensors.torch import load_file

K = 64
DECAY = 0.95
SIDE = 64
BINS, RANGE = 4, 6.0


def largest_divisor(number):
    return next(side for side in range(SIDE, 0, -1) if number % side == 0)


class Chunks:
    """Splits a tensor into chunks, and joins them again."""

    def __init__(self, shape):
        self.shape = shape
        self.sides = [largest_divisor(length) for length in shape]
        length = torch.Size(self.sides).numel()
        self.kept = max(2, min(K, length)) // 2 * 2

    def cut(self, tensor):
        if len(self.shape) == 1:
            return tensor.reshape(-1, self.sides[0])
        (m, n), (h, w) = self.shape, self.sides
        return tensor.view(m // h, h, n // w, w).permute(0, 2, 1, 3).reshape(-1, h * w)

    def join(self, chunks):
        if len(self.shape) == 1:
            return chunks.reshape(self.shape)
        (m, n), (h, w) = self.shape, self.sides
        return chunks.view(m // h, n // w, h, w).permute(0, 2, 1, 3).reshape(m, n)


def pack_positions(positions):
    """Two positions of 12 bits in three bytes."""
    first, second = positions.reshape(-1, 2).to(torch.int32).unbind(1)
    together = first | second << 12
    return torch.stack([together & 255, together >> 8 & 255, together >> 16], dim=1).to(torch.uint8)


def unpack_positions(packed, kept):
    low, middle, high = packed.to(torch.int64).unbind(1)
    together = low | middle << 8 | high << 16
    return torch.stack([together & 4095, together >> 12], dim=1).view(-1, kept)


def pack_codes(codes):
    """Four codes in a byte."""
    codes = torch.nn.functional.pad(codes.flatten(), (0, -codes.numel() % 4)).view(-1, 4)
    return codes[:, 0] | codes[:, 1] << 2 | codes[:, 2] << 4 | codes[:, 3] << 6


def unpack_codes(packed, count):
    shifts = torch.tensor([0, 2, 4, 6], dtype=torch.uint8)
    return (packed[:, None] >> shifts & 3).flatten()[:count]


def quantise(values):
    mean = values.mean()
    centred = values - mean
    scale = RANGE * centred.norm() / (max(values.numel() - 1, 1)) ** 0.5 / BINS
    if not torch.isfinite(scale) or scale == 0:
        scale = torch.ones(())
    codes = (centred / scale + BINS / 2).round_().clamp_(0, BINS - 1).to(torch.int64)
    sums = torch.zeros(BINS).scatter_add_(0, codes.flatten(), centred.flatten())
    counts = torch.bincount(codes.flatten(), minlength=BINS).clamp_(min=1)
    return codes, sums / counts + mean


def compress(chunks, error, gradient):
    """The message for one tensor. Updates the error feedback, which is kept in chunks, in place."""
    error.mul_(DECAY).add_(chunks.cut(gradient))
    positions = error.abs().topk(chunks.kept, dim=1, sorted=False).indices
    codes, levels = quantise(error.gather(1, positions))
    error.scatter_add_(1, positions, -levels[codes])
    return pack_positions(positions), pack_codes(codes.to(torch.uint8)), levels


def average(chunks, peers):
    """The mean step of one tensor over the messages of all peers."""
    positions, values = [], []
    for packed, codes, levels in peers:
        places = unpack_positions(packed, chunks.kept)
        positions.append(places)
        values.append(levels[unpack_codes(codes, places.numel()).to(torch.int64)].view_as(places))
    norms = torch.stack([value.norm() for value in values])
    clips = (norms.median() / (norms + 1e-8)).clamp_(max=1.0)
    values = [value * clip for value, clip in zip(values, clips)]
    positions, values = torch.cat(positions, dim=1), torch.cat(values, dim=1)
    length = torch.Size(chunks.sides).numel()
    means = torch.zeros(len(positions), length)
    return chunks.join(means.scatter_reduce_(1, positions, values, "mean", include_self=False))


def read_rounds(path):
    """The tensors of each round by name."""
    rounds = {}
    for key, tensor in sorted(load_file(path).items()):
        number, name = key.split("/", 1)
        rounds.setdefault(number, {})[name] = tensor
    return list(rounds.values())


def compress_all(rounds, chunks):
    errors = {name: torch.zeros_like(chunks[name].cut(tensor)) for name, tensor in rounds[0].items()}
    sent, seconds = [], []
    for tensors in rounds:
        start = time.perf_counter()
        sent.append({name: compress(chunks[name], errors[name], tensor) for name, tensor in tensors.items()})
        seconds.append(time.perf_counter() - start)
    return sent, seconds


def average_all(peers, chunks, repeats):
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        for name in chunks:
            average(chunks[name], [peer[name] for peer in peers])
        seconds.append(time.perf_counter() - start)
    return seconds


def num_bytes(sent):
    return sum(tensor.numel() * tensor.element_size() for parts in sent.values() for tensor in parts)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", help="safetensors of pseudo-gradients, keys roundNNN/NAME")
    parser.add_argument("--peers", type=int, default=20)
    parser.add_argument("--passes", type=int, default=3, help="number of passes over all rounds")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rounds = read_rounds(options.file)
    chunks = {name: Chunks(tensor.shape) for name, tensor in rounds[0].items()}
    megabytes = 4e-6 * sum(tensor.numel() for tensor in rounds[0].values())
    compression, aggregation = [], []
    with torch.inference_mode():
        for _ in range(options.passes):
            sent, seconds = compress_all(rounds, chunks)
            compression += seconds
            peers = [sent[-1 - peer % len(sent)] for peer in range(options.peers)]
            aggregation += average_all(peers, chunks, repeats=5)
    report = {
        "torch": torch.__version__,
        "megabytes": megabytes,
        # The fastest round is the one with the least interference by other processes.
        "compress_mb_per_second": megabytes / min(compression),
        "aggregate_mb_per_second": megabytes / min(aggregation),
        "compression": 1e6 * megabytes / num_bytes(sent[-1]),
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
