"""The modules and rooms of a crate, the imports between them, and the circles among these imports."""

import functools
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from rust_source import Source, files_below

FLOOR_ROW = re.compile(r"^//!\s*\|\s*(\d+)\s*\|(.*)\|\s*$")

# The first import found of each arrow between two rooms or files: arrow -> (path, line).
Arrows = dict[tuple[str, str], tuple[Path, int]]


@dataclass
class Floors:
    """The table of rooms in a crate's `lib.rs`."""

    floor_of: dict[str, int] = field(default_factory=dict)
    line_of: dict[str, int] = field(default_factory=dict)
    pure: set[str] = field(default_factory=set)


class Crate:
    """The sources of one crate and the imports between its modules."""

    def __init__(self, root: Path, name: str):
        self.root, self.name, self.src = root, name, root / name / "src"
        self.sources = {path.relative_to(self.src): Source(path) for path in files_below(self.src, "*.rs")}
        self._drop_test_files()
        self.file_of = {module(path): path for path in self.sources if path.name != "main.rs" or len(path.parts) > 1}
        self.names_in: dict[tuple[str, ...], dict[str, tuple[str, ...]]] = defaultdict(dict)
        for path, source in self.sources.items():
            for imported in source.imports:
                if imported.is_use and not imported.inside:
                    self.names_in[module(path)][imported.name] = imported.path

    def _drop_test_files(self) -> None:
        """Leaves out the files of modules that are declared under `#[cfg(test)]`."""
        dropped = set()
        for path, source in self.sources.items():
            for start, end in source.test_ranges:
                declared = re.search(r"\bmod\s+(\w+)\s*;$", source.code[start:end].strip())
                if declared:
                    dropped.add(Path(*module(path), declared[1]))
        for path in list(self.sources):
            if dropped & {path.with_suffix(""), *path.parents}:
                del self.sources[path]

    def shown(self, path: Path) -> Path:
        """The path of a source in findings."""
        return Path(self.name, "src", path)

    @functools.cached_property
    def rooms(self) -> list[str]:
        return sorted({room(path) for path in self.sources} - {"lib", "main"})

    @functools.cached_property
    def folders(self) -> list[Path]:
        """The folders that are modules, relative to `src`."""
        return sorted(path.parent for path in self.sources if path.name == "mod.rs")

    def room_imports(self) -> Iterator[tuple[str, str, Path, int]]:
        """Yields each import from one room of another: importing room, imported room, path, line."""
        for path, line, target in self._file_imports(exports_count=True):
            one, other = room(path), room(target)
            if one != other and not {one, other} & {"lib", "main"}:
                yield one, other, self.shown(path), line

    @functools.cached_property
    def room_arrows(self) -> Arrows:
        """Imports between rooms. lib.rs and main.rs are not rooms."""
        arrows: Arrows = {}
        for one, other, path, line in self.room_imports():
            arrows.setdefault((one, other), (path, line))
        return arrows

    @functools.cached_property
    def file_arrows(self) -> Arrows:
        """Imports between the files of a room, without the exports of each mod.rs."""
        arrows: Arrows = {}
        for path, line, target in self._file_imports(exports_count=False):
            if path != target and room(path) == room(target):
                arrows.setdefault((str(path), str(target)), (self.shown(path), line))
        return arrows

    def _file_imports(self, exports_count: bool) -> Iterator[tuple[Path, int, Path]]:
        for path, source in self.sources.items():
            for imported in source.imports:
                if imported.visibility and path.name == "mod.rs" and not exports_count:
                    continue
                target = self.resolve((*module(path), *imported.inside), imported.path)
                if target is not None and target in self.file_of:
                    yield path, source.line(imported.offset), self.file_of[target]

    def resolve(self, here: tuple[str, ...], path: tuple[str, ...], depth: int = 0) -> tuple[str, ...] | None:
        """The module that defines `path`, as seen from module `here`; `None` for another crate."""
        if path[0] == "crate":
            here, path = (), path[1:]
        elif path[0] in ("self", "super"):
            while path and path[0] in ("self", "super"):
                here, path = here[: len(here) - (path[0] == "super")], path[1:]
        elif (*here, path[0]) not in self.file_of and path[0] not in self.names_in[here]:
            return None
        while path:
            exported = self.names_in[here].get(path[0])
            if (*here, path[0]) in self.file_of:
                here, path = (*here, path[0]), path[1:]
            elif exported and exported != path and depth < 8:
                return self.resolve(here, exported + path[1:], depth + 1)
            else:
                break
        return here

    @functools.cached_property
    def floors(self) -> Floors:
        floors = Floors()
        library = self.sources.get(Path("lib.rs"))
        for number, line in enumerate(library.lines if library else [], 1):
            row = FLOOR_ROW.match(line)
            if row:
                cells = [cell.strip() for cell in row[2].split("|")]
                for name in re.findall(r"`(\w+)`", cells[0]):
                    floors.floor_of[name], floors.line_of[name] = int(row[1]), number
                    floors.pure |= {name} if "pure" in cells[2:] else set()
        return floors


def module(path: Path) -> tuple[str, ...]:
    """The path of the module in a file, relative to the crate's root."""
    parts = path.with_suffix("").parts
    return parts[:-1] if parts[-1] in ("mod", "lib", "main") else parts


def room(path: Path) -> str:
    """The room of a file. A loose file counts as a room, together with the folder of the same name."""
    return path.parts[0].removesuffix(".rs")


def circles(arrows: Arrows) -> list[list[str]]:
    """The groups of nodes that reach each other, each sorted (strongly connected components of more than one)."""
    reach = {node: reachable(node, arrows) for node in {node for arrow in arrows for node in arrow}}
    in_circles = [node for node in reach if node in reach[node]]
    groups = {tuple(sorted(other for other in reach[node] if node in reach[other])) for node in in_circles}
    return [list(group) for group in sorted(groups)]


def successors(arrows: Arrows) -> dict[str, list[str]]:
    """The sorted targets of the arrows of each node."""
    after = defaultdict(list)
    for one, other in sorted(arrows):
        after[one].append(other)
    return after


def reachable(start: str, arrows: Arrows) -> set[str]:
    """All nodes that can be reached from `start`."""
    after, found, open_nodes = successors(arrows), set(), [start]
    while open_nodes:
        fresh = set(after[open_nodes.pop()]) - found
        found |= fresh
        open_nodes += fresh
    return found


def shortest_circle(group: list[str], arrows: Arrows) -> list[tuple[str, str]]:
    """The arrows of a shortest circle within a group."""
    after, best = successors({arrow: at for arrow, at in arrows.items() if set(arrow) <= set(group)}), None
    for start in group:
        ways = [[start]]
        while ways and not (best and len(ways[0]) >= len(best)):
            way = ways.pop(0)
            if start in after[way[-1]]:
                best = [*way, start]
                break
            ways += [[*way, node] for node in after[way[-1]] if node not in way]
    return list(zip(best, best[1:]))


def longest_chain(arrows: Arrows) -> int:
    """The number of floors: the longest chain of arrows, where each circle counts as one node."""
    group_of = {node: group[0] for group in circles(arrows) for node in group}
    after = defaultdict(set)
    for one, other in arrows:
        if group_of.get(one, one) != group_of.get(other, other):
            after[group_of.get(one, one)].add(group_of.get(other, other))

    @functools.cache
    def height(node: str) -> int:
        return 1 + max(map(height, after.get(node, ())), default=0)

    return max(map(height, list(after)), default=1)
