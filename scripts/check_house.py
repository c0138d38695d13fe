#!/usr/bin/env python3
"""Checks the layout and the names of the workspace; prints one finding a line and exits with 1 if there are any.

A room is a folder in the root of a crate's `src`. Each `src/lib.rs` lists its rooms from the bottom up, in a table of
its doc: `//! | 1 | [`digest`], [`round`] | text |`. The word `pure` in a further column marks rooms without async code.

Rules:
  loose   a file in the root of `src` that is not lib.rs, main.rs or error.rs
  size    a folder with more than 12 entries, mod.rs not counted
  circle  rooms that import each other in a circle
  upward  an import of a room from the same or a higher floor, or a room that the table lacks or lists in vain
  async   async code outside of tests in a room that is marked `pure`
  twice   a type name with two definitions in the workspace
  word    a file, folder or type name with a word that the glossary replaces
  glob    items exported from a crate's root, and every `pub use ...::*`
  map     a folder with a mod.rs that docs/architecture.md does not list, or lists twice, or a listed folder without one
  path    a path of the workspace in backticks in a Markdown page that does not exist

The list in docs/architecture.md consists of the table rows whose first cell is a folder: | `comms/src/run/` | text |.
Pages may shorten `comms/src/run` to `comms/run`. Pages in docs/results are measurements of the past and are not checked.
"""

import argparse
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rust_crate import Crate, circles, longest_chain, room, shortest_circle
from rust_source import Source, files_below, workspace_crates

ROOT = Path(__file__).resolve().parent.parent
MAX_ENTRIES = 12
ROOT_FILES = {"lib.rs", "main.rs", "error.rs"}
SECTIONS = ("src", "tests", "benches", "examples")
TWICE_IS_FINE = {"Err", "Item", "Output", "Error", "Config", "Result", "Target"}

# Word in a name -> what to say instead. The plural of each word counts as well.
WORDS = {
    "accounts": "round metrics", "ahead": "overlap", "bookmark": "resume point", "cast": "fixtures",
    "charter": "genesis config", "cheat": "attack", "council": "validator set", "cuts": "balance",
    "depot": "object files", "desk": "test harness", "diary": "recorder", "disguise": "attack options",
    "doubt": "unproven weight", "draws": "counter rng", "examination": "evaluation", "examiner": "evaluator",
    "farewell": "leave notice", "follower": "light client", "foundation": "created run", "founder": "creator",
    "founding": "create", "grain": "alignment", "grounds": "manifest basis", "hello": "join request",
    "home": "sharded weights, actor or location", "inclusion": "delta ref", "journey": "test harness",
    "keeper": "ledger backend", "keeping": "ledger", "laps": "round timings", "lessons": "fixtures",
    "liar": "dishonest peer", "material": "datasets or fixtures", "mayor": "test harness", "member": "peer client",
    "neighbourhood": "address policy", "newcomer": "joining peer", "passes": "forward backward",
    "patience": "missed rounds or idle timeout", "precedent": "previous outcome", "proceedings": "round objects",
    "purse": "byte budget", "questions": "probe batches", "remedy": "fit, required change",
    "residence": "delta location, peer buckets or weight source", "roll": "commitment list", "seat": "slot",
    "seated": "active", "shelf": "checkpoint store", "standing": "peer record or sync", "stint": "inner phase",
    "stranger": "unknown peer", "survey": "device list", "takeover": "proposer timeout",
    "terms": "run spec", "trial": "loss probe", "village": "test harness",
}
# Words that are fine within a name, but not as the whole name of a type.
WHOLE_NAMES = {"Line": "rate limiter or link"}

MAP = Path("docs/architecture.md")
MAP_ROW = re.compile(r"^\|\s*`([\w/]+)/`\s*\|")
CODE_SPAN = re.compile(r"`([^`\s]+)`")

VISIBILITY = r"(?:pub(?:\([^)]*\))? )?"
# `type` counts at the first column only: further in, it is an associated type.
TYPE = re.compile(rf"^(?:\s*{VISIBILITY}(?:unsafe )?(?:struct|enum|trait|union)|{VISIBILITY}type) (\w+)", re.MULTILINE)
# Rooms with results that all machines must share to the bit, and the functions that differ between systems.
SHARED_ARITHMETIC = {"comms": ("gauntlet/", "agreement/"), "optim": ("sparseloco/", "codec/")}
SYSTEM_MATH = re.compile(r"\.(powi|powf|exp|exp2|exp_m1|ln|ln_1p|log|log2|log10|sin|cos|tan|tanh|cbrt|hypot)\(")
ASYNC = re.compile(r"\basync\s+(?:fn|move)\b|\basync\s*\{|\.await\b")


@dataclass(frozen=True, order=True)
class Finding:
    """One broken rule at one place."""

    path: Path
    line: int
    rule: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.rule}: {self.message}"


def check_loose(crate: Crate) -> Iterator[Finding]:
    for path in sorted(crate.src.iterdir()):
        if path.is_file() and path.name not in ROOT_FILES:
            yield Finding(crate.shown(Path(path.name)), 1, "loose", "move this file into a folder")


def check_size(crate: Crate) -> Iterator[Finding]:
    for section in SECTIONS:
        base = crate.root / crate.name / section
        for folder in sorted([base, *(path for path in base.rglob("*") if path.is_dir())] if base.is_dir() else []):
            count = sum(path.name != "mod.rs" and not path.name.startswith(".") for path in folder.iterdir())
            if count > MAX_ENTRIES:
                yield Finding(folder.relative_to(crate.root), 1, "size", f"{count} entries, limit is {MAX_ENTRIES}")


def check_circle(crate: Crate) -> Iterator[Finding]:
    for group in circles(crate.room_arrows):
        steps = [(arrow, crate.room_arrows[arrow]) for arrow in shortest_circle(group, crate.room_arrows)]
        arrows = ", ".join(f"{one} -> {other} ({path}:{line})" for (one, other), (path, line) in steps)
        message = f"circle of {len(group)} rooms ({' '.join(group)}); shortest: {arrows}"
        yield Finding(*steps[0][1], "circle", message)


def check_upward(crate: Crate) -> Iterator[Finding]:
    floors = crate.floors
    table = crate.shown(Path("lib.rs"))
    if not floors.floor_of and crate.rooms:
        yield Finding(table, 1, "upward", "the doc has no table of floors")
        return
    for name in sorted(set(crate.rooms) - set(floors.floor_of) - {"error"}):
        yield Finding(table, 1, "upward", f"room `{name}` is not in the table of floors")
    for name in sorted(set(floors.floor_of) - set(crate.rooms)):
        yield Finding(table, floors.line_of[name], "upward", f"the table lists `{name}`, but there is no such room")
    floor_of = {"error": 0, **floors.floor_of}
    for one, other, path, line in crate.room_imports():
        if one in floor_of and other in floor_of and floor_of[one] <= floor_of[other]:
            message = f"`{one}` (floor {floor_of[one]}) imports `{other}` (floor {floor_of[other]})"
            yield Finding(path, line, "upward", message)


def check_async(crate: Crate) -> Iterator[Finding]:
    for path, source in crate.sources.items():
        for match in ASYNC.finditer(source.live) if room(path) in crate.floors.pure else ():
            message = f"`{match[0]}` in room `{room(path)}`, which is marked pure"
            yield Finding(crate.shown(path), source.line(match.start()), "async", message)


def check_arithmetic(crate: Crate) -> Iterator[Finding]:
    rooms = SHARED_ARITHMETIC.get(crate.name, ())
    for path, source in crate.sources.items():
        for match in SYSTEM_MATH.finditer(source.live) if str(path).startswith(rooms) else ():
            message = f"`{match[1]}` of the system rounds differently from machine to machine; use `x * x` or `libm`"
            yield Finding(crate.shown(path), source.line(match.start()), "arithmetic", message)


def check_glob(crate: Crate) -> Iterator[Finding]:
    for path, source in crate.sources.items():
        for imported in source.imports:
            name, line = "::".join(imported.path), source.line(imported.offset)
            if imported.visibility and imported.name == "*":
                yield Finding(crate.shown(path), line, "glob", f"`pub use {name}`: list the names instead")
            elif imported.visibility == "pub" and path == Path("lib.rs"):
                yield Finding(crate.shown(path), line, "glob", f"`{name}` is exported from the crate's root")


def check_twice(crates: list[Crate]) -> Iterator[Finding]:
    places: dict[str, list[tuple[Path, int]]] = defaultdict(list)
    for crate in crates:
        for path, source in crate.sources.items():
            # Two definitions in one file are alternatives of `#[cfg]`.
            for name, line in dict(reversed(list(type_names(source, source.live)))).items():
                places[name].append((crate.shown(path), line))
    for name, found in sorted(places.items()):
        if len(found) > 1 and name not in TWICE_IS_FINE:
            others = ", ".join(f"{path}:{line}" for path, line in found[1:])
            yield Finding(*found[0], "twice", f"type `{name}` is also defined at {others}")


def type_names(source: Source, code: str) -> Iterator[tuple[str, int]]:
    """Yields the name and the line of each type that `code`, a view of the source, defines."""
    for match in TYPE.finditer(code):
        yield match[1], source.line(match.start(1))


def check_words(root: Path, folders: list[Path]) -> Iterator[Finding]:
    reported = set()
    for folder in folders:
        for path in files_below(folder, "*"):
            shown = path.relative_to(root)
            for step in [shown, *shown.parents]:
                if len(step.parts) > len(folder.relative_to(root).parts) and step not in reported:
                    reported.add(step)
                    yield from (Finding(step, 1, "word", text) for text in replacements(step.name.partition(".")[0]))
            source = Source(path) if path.suffix == ".rs" else None
            for name, line in type_names(source, source.code) if source else ():
                yield from (Finding(shown, line, "word", text) for text in replacements(name))


def replacements(name: str) -> Iterator[str]:
    """Yields advice for each word of a name that the glossary replaces."""
    if name in WHOLE_NAMES:
        yield f"`{name}`: say {WHOLE_NAMES[name]}"
    for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name):
        instead = WORDS.get(word.lower()) or WORDS.get(word.lower().removesuffix("s"))
        if instead:
            yield f"`{name}`: say {instead} instead of {word.lower()}"


def check_map(root: Path, crates: list[Crate]) -> Iterator[Finding]:
    folders = {crate.shown(folder) for crate in crates for folder in crate.folders}
    listed: dict[Path, int] = {}
    for line, text in enumerate((root / MAP).read_text(encoding="utf-8").splitlines(), 1):
        row = MAP_ROW.match(text)
        if not row:
            continue
        folder = Path(row[1])
        if folder in listed:
            yield Finding(MAP, line, "map", f"`{folder}/` is already listed in line {listed[folder]}")
        elif folder not in folders:
            yield Finding(MAP, line, "map", f"`{folder}/` is listed, but there is no such folder with a mod.rs")
        listed.setdefault(folder, line)
    for folder in sorted(folders - set(listed)):
        yield Finding(folder, 1, "map", f"add this folder to {MAP}")


def check_paths(root: Path, crates: list[Crate]) -> Iterator[Finding]:
    tops = {crate.name for crate in crates} | {"docs", "scripts", "fuzz", ".ci", ".github"}
    for page in sorted([*root.glob("*.md"), *files_below(root / "docs", "*.md")]):
        shown = page.relative_to(root)
        if "results" in shown.parts:
            continue
        for line, text in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
            for span in CODE_SPAN.findall(text):
                top, _, rest = span.partition("/")
                places = [root / span, root / top / "src" / rest]
                if top in tops and rest and not any(place.exists() for place in places):
                    yield Finding(shown, line, "path", f"`{span}` does not exist")


def report(crate: Crate) -> str:
    """A line of figures about one crate."""
    folders = sum(path.is_dir() for path in crate.src.rglob("*"))
    between, inside = len(circles(crate.room_arrows)), len(circles(crate.file_arrows))
    loose = len(list(check_loose(crate)))
    return (
        f"{crate.name:10} folders {folders:3}  files {len(crate.sources):4}  loose files {loose:3}"
        f"  rooms {len(crate.rooms):3}  floors {longest_chain(crate.room_arrows):3}"
        f"  circles between rooms {between}, inside rooms {inside}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description="Check the layout and the names of the workspace.")
    parser.add_argument("root", nargs="?", type=Path, default=ROOT, help="root of the workspace")
    parser.add_argument("--report", action="store_true", help="also print figures about each crate")
    options = parser.parse_args()
    root = options.root.resolve()
    crates = [Crate(root, name) for name in workspace_crates(root)]
    rules = (check_loose, check_size, check_circle, check_upward, check_async, check_arithmetic, check_glob)
    findings = [finding for crate in crates for rule in rules for finding in rule(crate)]
    findings += [*check_twice(crates), *check_map(root, crates), *check_paths(root, crates)]
    folders = [root / crate.name / section for crate in crates for section in SECTIONS] + [root / "fuzz"]
    findings += check_words(root, [folder for folder in folders if folder.is_dir()])
    findings = sorted(set(findings))
    for finding in findings:
        print(finding)
    for crate in crates if options.report else ():
        print(report(crate))
    print(f"{len(findings)} findings", file=sys.stderr)
    return bool(findings)


if __name__ == "__main__":
    sys.exit(main())
