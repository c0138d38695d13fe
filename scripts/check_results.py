#!/usr/bin/env python3
"""Checks that each result in docs/results can be traced: prints one finding a line and exits with 1 if there are any.

A result is a Markdown file other than README.md. It must hold

  - a line with `Commit` and the hash of a commit of this repository, and nowhere the words "local changes"
  - a line with `CPU:` and the model of the processor
  - a line with `Command` and the command in backticks, or with its code block on the lines below.

Each file of the folder must be mentioned in docs/results/README.md.
"""

import argparse
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RESULTS = Path("docs/results")
HASH = re.compile(r"\b[0-9a-f]{7,40}\b")
CPU = re.compile(r"\bCPU\b[^\w\n]*:[^\w\n]*\w")
COMMAND = re.compile(r"\bcommands?\b.*`[^`]+`|\bcommands?\b[^\n]*:\s*\n+```", re.IGNORECASE)


def commit_exists(root: Path, name: str) -> bool:
    """True if the repository at `root` has a commit of this name."""
    command = ["git", "-C", str(root), "cat-file", "-e", f"{name}^{{commit}}"]
    return subprocess.run(command, capture_output=True).returncode == 0


def check_commits(root: Path, page: Path, lines: list[str]) -> Iterator[str]:
    """Yields findings about the commits that a result names."""
    commit_lines = [(number, line) for number, line in enumerate(lines, 1) if "commit" in line.lower()]
    named = [(number, name) for number, line in commit_lines for name in HASH.findall(line)]
    known = {name for _, name in named if commit_exists(root, name)}
    for number, name in named:
        # A number without letters may be a figure rather than a hash.
        if name not in known and not name.isdigit():
            yield f"{page}:{number}: commit: no commit {name} in this repository"
    if not known and all(name.isdigit() for _, name in named):
        yield f"{page}:1: commit: no line names the commit that was measured"


def check_page(root: Path, page: Path) -> Iterator[str]:
    """Yields findings about one result."""
    text = (root / page).read_text(encoding="utf-8")
    lines = text.splitlines()
    yield from check_commits(root, page, lines)
    for number, line in enumerate(lines, 1):
        if "local changes" in line.lower():
            yield f"{page}:{number}: changes: measured with local changes; commit them and measure again"
    if not CPU.search(text):
        yield f"{page}:1: cpu: no line `CPU: MODEL`"
    if not COMMAND.search(text):
        yield f"{page}:1: command: no line `Command:` with the command in backticks"


def check_index(root: Path, files: list[Path]) -> Iterator[str]:
    """Yields a finding for each file that the index of the folder does not mention."""
    index = RESULTS / "README.md"
    if not (root / index).exists():
        yield f"{index}:1: index: the file is missing"
        return
    text = (root / index).read_text(encoding="utf-8")
    for file in files:
        name = str(file.relative_to(RESULTS))
        if file != index and not re.search(rf"(?<![\w/.-]){re.escape(name)}(?![\w/-])", text):
            yield f"{file}:1: index: not mentioned in {index}"


def main() -> int:
    parser = argparse.ArgumentParser(description="Check that each result in docs/results can be traced.")
    parser.add_argument("root", nargs="?", type=Path, default=ROOT, help="root of the repository")
    root = parser.parse_args().root.resolve()
    files = sorted(path.relative_to(root) for path in (root / RESULTS).rglob("*") if path.is_file())
    findings = list(check_index(root, files))
    for page in files:
        if page.suffix == ".md" and page.name != "README.md":
            findings += check_page(root, page)
    for finding in findings:
        print(finding)
    print(f"{len(findings)} findings", file=sys.stderr)
    return bool(findings)


if __name__ == "__main__":
    sys.exit(main())
