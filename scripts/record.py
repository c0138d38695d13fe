#!/usr/bin/env python3
"""Runs a check and writes its output with command, CPU and commit to a page of docs/results.

Usage: record.py PAGE TITLE RECIPE COMMAND...
"""

import subprocess
import sys

from measuring import ROOT, footer


def main():
    if len(sys.argv) < 5:
        sys.exit(__doc__)
    page, title, recipe, *command = sys.argv[1:]
    done = subprocess.run(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    sys.stdout.write(done.stdout)
    if done.returncode != 0:
        sys.exit(f"error: the check failed with exit code {done.returncode}; {page} was not written")
    # Progress lines are overwritten after a carriage return; keep the last state of each.
    lines = [line.rsplit("\r", 1)[-1].rstrip() for line in done.stdout.splitlines()]
    output = "\n".join(lines).replace(str(ROOT), ".").strip()
    text = f"# {title}\n\n```\n{output}\n```\n\n{footer(recipe)}\n"
    (ROOT / "docs/results" / page).write_text(text)


if __name__ == "__main__":
    main()
