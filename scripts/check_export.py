#!/usr/bin/env python3
"""Checks that Hugging Face `transformers` loads an exported folder and computes the same results as Covey.

Loads the folder offline with AutoModelForCausalLM and AutoTokenizer. Compares the logits of the prompt and of random
tokens, and the greedy continuation of the prompt with that of `covey generate`. Exits with code 1 and a message at the
first difference.
"""

import argparse
import json
import os
import random
import subprocess
import sys
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["CUDA_VISIBLE_DEVICES"] = ""

import torch  # noqa: E402
import transformers  # noqa: E402
from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="exported folder")
    parser.add_argument("--covey", type=Path, default=ROOT / "target/release/covey", help="the program")
    parser.add_argument("--prompt", default="The people of the United States")
    parser.add_argument("--max-tokens", type=int, default=32, help="length of the greedy text")
    parser.add_argument("--tolerance", type=float, default=1e-4, help="largest difference of a logit")
    return parser.parse_args()


def covey(options, *command):
    """Runs the program and returns its output."""
    done = subprocess.run([options.covey, *command], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"error: `covey {command[0]}` failed with exit code {done.returncode}:\n{done.stderr}")
    return done.stdout


def check_logits(options, model, name, tokens):
    """Prints the largest difference of the logits; exits if it exceeds the tolerance."""
    text = covey(options, "bench", "logits", options.folder, "--tokens", ",".join(map(str, tokens)))
    got = torch.tensor(json.loads(text)["logits"])
    with torch.no_grad():
        expected = model(torch.tensor([tokens])).logits[0]
    if got.shape != expected.shape:
        sys.exit(f"error: logits of {name} are {list(got.shape)}, transformers has {list(expected.shape)}")
    difference = (got - expected).abs().max().item()
    print(f"logits, {name} ({len(tokens)} tokens): largest difference {difference:.2e}")
    # Not `>`: a difference of NaN must fail.
    if not difference <= options.tolerance:
        sys.exit(f"error: logits of {name} differ by {difference:.2e}; the tolerance is {options.tolerance:.0e}")


def check_text(options, model, tokenizer):
    """Compares the greedy continuations; exits if they differ."""
    prompt = tokenizer(options.prompt, return_tensors="pt")
    with torch.no_grad():
        output = model.generate(**prompt, do_sample=False, max_new_tokens=options.max_tokens)[0]
    start = prompt["input_ids"].shape[1]
    continuation = tokenizer.decode(output[start:], skip_special_tokens=True, clean_up_tokenization_spaces=False)
    limit = str(options.max_tokens)
    text = covey(options, "generate", options.folder, "--greedy", "--prompt", options.prompt, "--max-tokens", limit)
    got = text.removesuffix("\n").removeprefix(options.prompt)
    if got != continuation.removesuffix("\n"):
        sys.exit(f"error: greedy text differs\n  transformers: {continuation!r}\n  covey:        {got!r}")
    print(f"greedy text: {len(output) - start} tokens are the same: {continuation!r}")


def main():
    options = arguments()
    if not options.folder.is_dir():
        sys.exit(f"error: `{options.folder}` is not a folder; create it with `covey export`")
    model = AutoModelForCausalLM.from_pretrained(options.folder, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(options.folder)
    count = sum(parameter.numel() for parameter in model.parameters())
    print(f"transformers {transformers.__version__} loaded {type(model).__name__} with {count:,} parameters")

    vocabulary = model.config.vocab_size
    arbitrary = random.Random(0).choices(range(vocabulary), k=64)
    check_logits(options, model, "prompt", tokenizer(options.prompt)["input_ids"])
    check_logits(options, model, "random tokens", arbitrary)
    check_text(options, model, tokenizer)
    print("the export is equivalent")


if __name__ == "__main__":
    main()
