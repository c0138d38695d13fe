"""Helpers of the benchmark scripts: run programs, and describe the machine and the commit of a measurement."""

import datetime
import os
import platform
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def run(command, **options):
    """Runs a command and returns its output if `stdout` captures it; ends the script if the command fails."""
    done = subprocess.run(list(map(str, command)), cwd=ROOT, text=True, **options)
    if done.returncode != 0:
        sys.exit(f"error: `{shlex.join(map(str, command))}` failed with exit code {done.returncode}")
    return done.stdout


def demo_data(covey):
    """The folder of the demo's token shards; created by the first call."""
    folder = ROOT / "target/bench-data"
    if not (folder / "data/manifest.json").exists():
        run([covey, "demo", "--alone", "--steps", "1", "--output", folder])
    return folder / "data"


def processor():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def commit():
    """The hash of HEAD, marked if the working tree has local changes; `check_results.py` rejects such results."""
    git = ["git", "-C", str(ROOT)]
    head = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    if head.returncode != 0:
        return "unknown"
    # Several results are measured before they are committed; they do not affect the measurement.
    status = [*git, "status", "--porcelain", "--", ".", ":!docs/results"]
    changed = subprocess.run(status, capture_output=True, text=True).stdout.strip()
    return head.stdout.strip() + (" with local changes" if changed else "")


def today():
    return datetime.datetime.now(datetime.timezone.utc).date().isoformat()


def footer(command, note=""):
    """The last lines of a result: command, CPU, commit and date."""
    cores = f"{os.cpu_count()} cores" + (f", {note}" if note else "")
    return f"""- Command: `{command}`
- CPU: {processor()}, {cores}
- Commit: {commit()}
- Date: {today()}"""


if __name__ == "__main__":
    print("\n" + footer(*sys.argv[1:]))
