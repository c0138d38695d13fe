"""What the benchmark scripts have in common: running programs, and saying what was measured where."""

import datetime
import platform
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def run(command, **options):
    """What a command printed, if it was asked for with `stdout`; ends the script if the command fails."""
    done = subprocess.run(list(map(str, command)), cwd=ROOT, text=True, **options)
    if done.returncode != 0:
        sys.exit(f"error: `{shlex.join(map(str, command))}` ended with code {done.returncode}")
    return done.stdout


def demo_data(covey):
    """The demo's text, tokenised; made once."""
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


def commit(*paths):
    """The commit that was measured, and whether these files (all without any) differed from it."""
    git = ["git", "-C", str(ROOT)]
    head = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    if head.returncode != 0:
        return "unknown"
    status = [*git, "status", "--porcelain", *(["--", *paths] if paths else [])]
    changed = subprocess.run(status, capture_output=True, text=True).stdout.strip()
    return head.stdout.strip() + (" with local changes" if changed else "")


def today():
    return datetime.datetime.now(datetime.timezone.utc).date().isoformat()
