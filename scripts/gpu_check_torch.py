#!/usr/bin/env python3
"""The PyTorch side of `scripts/gpu_check.py`: trains the shape of a preset on one GPU.

Eager mode in its common form: fp32 weights under bf16 autocast, so matrix products run in bf16 and the optimizer updates
fp32 weights; scaled_dot_product_attention (flash attention if the GPU supports it); norms, rotation and loss in fp32;
fused AdamW; clipping to norm 1. Without torch.compile and activation checkpointing. Prints one line of JSON.
"""

import argparse
import json
import time

import torch
from torch import nn
from torch.nn import functional

# Hidden width, layers, heads and feed-forward width of Covey's presets; vocabulary and constants are the same for all.
PRESETS = {"150m": (1024, 12, 16, 2688), "500m": (1536, 12, 12, 5440), "1b": (2048, 16, 8, 8192)}
VOCABULARY, EPSILON, THETA, INIT_STD = 32_000, 1e-5, 10_000.0, 0.02


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", choices=PRESETS, default="150m")
    parser.add_argument("--sequences", type=int, default=8, help="sequences per step, in one batch")
    parser.add_argument("--length", type=int, default=2048, help="tokens per sequence")
    parser.add_argument("--steps", type=int, default=10, help="timed steps")
    parser.add_argument("--warmup", type=int, default=5, help="steps before the timed ones")
    parser.add_argument("--device", default="cuda")
    return parser.parse_args()


def linear(inputs, outputs):
    layer = nn.Linear(inputs, outputs, bias=False)
    nn.init.normal_(layer.weight, std=INIT_STD)
    return layer


def rotation(length, width):
    frequencies = THETA ** -(torch.arange(0, width, 2, dtype=torch.float64) / width)
    angles = torch.outer(torch.arange(length, dtype=torch.float64), frequencies).repeat(1, 2)
    return angles.cos().float(), angles.sin().float()


def rotate(heads, cos, sin):
    low, high = heads.chunk(2, dim=-1)
    return heads * cos + torch.cat((-high, low), dim=-1) * sin


class Block(nn.Module):
    def __init__(self, width, heads, feed_forward):
        super().__init__()
        self.heads = heads
        self.attention_norm, self.mlp_norm = nn.RMSNorm(width, eps=EPSILON), nn.RMSNorm(width, eps=EPSILON)
        self.query, self.key, self.value, self.output = (linear(width, width) for _ in range(4))
        self.gate, self.up = linear(width, feed_forward), linear(width, feed_forward)
        self.down = linear(feed_forward, width)

    def attend(self, hidden, cos, sin):
        split = lambda rows: rows.unflatten(-1, (self.heads, -1)).transpose(1, 2)
        value = split(self.value(hidden))
        query, key = (rotate(split(part(hidden)), cos, sin).to(value.dtype) for part in (self.query, self.key))
        mixed = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        return self.output(mixed.transpose(1, 2).flatten(-2))

    def forward(self, hidden, cos, sin):
        hidden = hidden + self.attend(self.attention_norm(hidden), cos, sin)
        normed = self.mlp_norm(hidden)
        return hidden + self.down(functional.silu(self.gate(normed)) * self.up(normed))


class Decoder(nn.Module):
    def __init__(self, preset, length):
        super().__init__()
        width, layers, heads, feed_forward = PRESETS[preset]
        self.embedding = nn.Embedding(VOCABULARY, width)
        nn.init.normal_(self.embedding.weight, std=INIT_STD)
        self.blocks = nn.ModuleList(Block(width, heads, feed_forward) for _ in range(layers))
        self.norm, self.head = nn.RMSNorm(width, eps=EPSILON), linear(width, VOCABULARY)
        cos, sin = rotation(length, width // heads)
        self.register_buffer("cos", cos)
        self.register_buffer("sin", sin)

    def loss(self, tokens):
        hidden = self.embedding(tokens[:, :-1])
        for block in self.blocks:
            hidden = block(hidden, self.cos, self.sin)
        logits = self.head(self.norm(hidden))
        return functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())


def train_step(model, optimizer, tokens):
    """Runs one training step. Reading the loss waits for the device."""
    with torch.autocast(tokens.device.type, dtype=torch.bfloat16):
        loss = model.loss(tokens)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return loss.item()


def main():
    options = arguments()
    torch.manual_seed(0)
    device = torch.device(options.device)
    model = Decoder(options.preset, options.length).to(device)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=4e-4, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1, fused=device.type == "cuda"
    )
    tokens = torch.randint(0, VOCABULARY, (options.sequences, options.length + 1), device=device)
    losses = [train_step(model, optimizer, tokens) for _ in range(options.warmup)]
    start = time.perf_counter()
    losses += [train_step(model, optimizer, tokens) for _ in range(options.steps)]
    seconds = time.perf_counter() - start
    report = {
        "tokens_per_second": options.sequences * options.length * options.steps / seconds,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "loss_first": losses[0],
        "loss_last": losses[-1],
        "torch": torch.__version__,
    }
    if device.type == "cuda":
        report |= {"peak_bytes": torch.cuda.max_memory_allocated(), "gpu": torch.cuda.get_device_name(device)}
    print(json.dumps(report))


if __name__ == "__main__":
    main()
