#!/usr/bin/env python3
"""The PyTorch side of `just bench-train`: trains the benchmark model on the CPU and prints one JSON line.

Model, batch and optimizer are those of `covey bench train`: a Llama-style decoder with untied head, AdamW and gradient
clipping, all in fp32. PyTorch uses its fastest paths: fused attention, fused RMSNorm, fused AdamW.
"""

import argparse
import json
import os
import resource
import statistics
import time

VOCABULARY, WIDTH, LAYERS, HEADS, KV_HEADS, FEED_FORWARD = 4096, 256, 8, 8, 4, 704
SEQUENCE, BATCH = 256, 8
HEAD_WIDTH = WIDTH // HEADS
ROPE_THETA, EPSILON, INIT_STD, LEARNING_RATE = 500_000.0, 1e-5, 0.02, 1e-3


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=20, help="timed steps")
    parser.add_argument("--warmup", type=int, default=3, help="steps before the timed ones")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


ARGUMENTS = arguments()
# OpenMP reads its thread count once, when torch is imported.
os.environ["OMP_NUM_THREADS"] = str(ARGUMENTS.threads)

import torch  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402


def linear(inputs, outputs):
    layer = nn.Linear(inputs, outputs, bias=False)
    nn.init.normal_(layer.weight, std=INIT_STD)
    return layer


class Rope(nn.Module):
    """Rotary positions in the half-split order of the Hub's Llama."""

    def __init__(self):
        super().__init__()
        frequencies = ROPE_THETA ** -(torch.arange(0, HEAD_WIDTH, 2, dtype=torch.float64) / HEAD_WIDTH)
        angles = torch.outer(torch.arange(SEQUENCE, dtype=torch.float64), frequencies).repeat(1, 2)
        self.register_buffer("cos", angles.cos().float())
        self.register_buffer("sin", angles.sin().float())

    def forward(self, heads):
        low, high = heads.chunk(2, dim=-1)
        return heads * self.cos + torch.cat((-high, low), dim=-1) * self.sin


class Block(nn.Module):
    def __init__(self, rope):
        super().__init__()
        self.rope = rope
        self.attention_norm = nn.RMSNorm(WIDTH, eps=EPSILON)
        self.query = linear(WIDTH, HEADS * HEAD_WIDTH)
        self.key = linear(WIDTH, KV_HEADS * HEAD_WIDTH)
        self.value = linear(WIDTH, KV_HEADS * HEAD_WIDTH)
        self.output = linear(HEADS * HEAD_WIDTH, WIDTH)
        self.mlp_norm = nn.RMSNorm(WIDTH, eps=EPSILON)
        self.gate = linear(WIDTH, FEED_FORWARD)
        self.up = linear(WIDTH, FEED_FORWARD)
        self.down = linear(FEED_FORWARD, WIDTH)

    def heads(self, projection, hidden, count):
        return projection(hidden).view(BATCH, SEQUENCE, count, HEAD_WIDTH).transpose(1, 2)

    def attend(self, hidden):
        query = self.rope(self.heads(self.query, hidden, HEADS))
        # On the CPU, repeated key and value heads are as fast as `enable_gqa=True` (measured).
        key = self.rope(self.heads(self.key, hidden, KV_HEADS)).repeat_interleave(HEADS // KV_HEADS, dim=1)
        value = self.heads(self.value, hidden, KV_HEADS).repeat_interleave(HEADS // KV_HEADS, dim=1)
        mixed = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        return self.output(mixed.transpose(1, 2).reshape(BATCH, SEQUENCE, WIDTH))

    def forward(self, hidden):
        hidden = hidden + self.attend(self.attention_norm(hidden))
        normed = self.mlp_norm(hidden)
        return hidden + self.down(functional.silu(self.gate(normed)) * self.up(normed))


class Decoder(nn.Module):
    def __init__(self):
        super().__init__()
        rope = Rope()
        self.embedding = nn.Embedding(VOCABULARY, WIDTH)
        nn.init.normal_(self.embedding.weight, std=INIT_STD)
        self.blocks = nn.ModuleList(Block(rope) for _ in range(LAYERS))
        self.norm = nn.RMSNorm(WIDTH, eps=EPSILON)
        self.head = linear(WIDTH, VOCABULARY)

    def loss(self, tokens):
        hidden = self.embedding(tokens[:, :-1])
        for block in self.blocks:
            hidden = block(hidden)
        logits = self.head(self.norm(hidden))
        return functional.cross_entropy(logits.view(-1, VOCABULARY), tokens[:, 1:].reshape(-1))


def train_step(model, optimizer, tokens):
    """Runs one training step; returns the loss and the time in milliseconds."""
    start = time.perf_counter()
    loss = model.loss(tokens)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return loss.item(), (time.perf_counter() - start) * 1000


def main():
    torch.set_num_threads(ARGUMENTS.threads)
    torch.manual_seed(ARGUMENTS.seed)
    model = Decoder()
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=LEARNING_RATE, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1, fused=True
    )
    # One fixed batch: the model memorizes it, so a falling loss shows that training works.
    tokens = torch.randint(0, VOCABULARY, (BATCH, SEQUENCE + 1))
    steps = [train_step(model, optimizer, tokens) for _ in range(ARGUMENTS.warmup + ARGUMENTS.steps)]
    times = [milliseconds for _, milliseconds in steps[ARGUMENTS.warmup :]]
    report = {
        "tokens_per_second": BATCH * SEQUENCE * 1000 / statistics.median(times),
        "steps_ms": [round(milliseconds, 3) for milliseconds in times],
        # Linux reports the resident memory in KiB.
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "torch": torch.__version__,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "loss_first": steps[0][0],
        "loss_last": steps[-1][0],
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
