"""Reads Rust sources for the checks in this folder: comments, strings, test code, `use` trees and functions.

This is a scanner, not a parser. It expects code that `cargo fmt` has formatted.
"""

import bisect
import functools
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

TOKEN = re.compile(
    r"""
      (?P<doc>//!|///(?!/))[^\n]*
    | (?P<note>//)[^\n]*
    | (?P<block>/\*).*?\*/
    | (?P<raw>(?<!\w)[bc]?r(?P<hashes>\#*)").*?"(?P=hashes)
    | (?P<string>")(?:\\.|[^"\\])*"
    | (?P<char>')(?:\\(?:u\{[^}]*\}|x..|.)|[^'\\\n])'
    """,
    re.VERBOSE | re.DOTALL,
)
TEST_ATTRIBUTE = re.compile(r"#!?\[cfg\((?:test|all\(test\b[^\]]*)\)\]")
FUNCTION = re.compile(r"\bfn\s+(\w+)")
USE = re.compile(r"(?:(?P<visibility>\bpub(?:\([^)]*\))?)\s+)?\buse\s+(?P<tree>[^;]+);")
INLINE_MODULE = re.compile(r"\bmod\s+(\w+)\s*\{")
SKIPPED_FOLDERS = {"target", "node_modules"}


@dataclass(frozen=True)
class Span:
    """A comment or a string: its first offset in the file and its text."""

    kind: str
    start: int
    text: str


@dataclass(frozen=True)
class Import:
    """One path of a `use` tree, or one path written out in code.

    `inside` are the names of the inline modules around it, `visibility` is `pub`, `pub(crate)` and the like, or empty.
    """

    path: tuple[str, ...]
    name: str
    offset: int
    inside: tuple[str, ...] = ()
    visibility: str = ""
    is_use: bool = False


@dataclass(frozen=True)
class Function:
    """A function with a body. `lines` counts from the line of `fn` to the line of the closing brace."""

    name: str
    line: int
    lines: int


class Source:
    """A Rust file. All texts have the length of the file, so an offset means the same place in each of them."""

    def __init__(self, path: Path):
        self.path = path
        self.text = path.read_text(encoding="utf-8")
        self.spans = list(spans(self.text))
        #: The file without comments and contents of strings.
        self.code = blanked(self.text, [(span.start, span.start + len(span.text)) for span in self.spans])
        #: Ranges of offsets of items that are compiled for tests only.
        self.test_ranges = list(test_items(self.code))
        #: `code` without these items.
        self.live = blanked(self.code, self.test_ranges)
        self._line_starts = [0] + [match.end() for match in re.finditer("\n", self.text)]

    def line(self, offset: int) -> int:
        """The number of the line that holds an offset, counted from 1."""
        return bisect.bisect_right(self._line_starts, offset)

    def is_test(self, offset: int) -> bool:
        """True inside an item that is compiled for tests only."""
        return any(start <= offset < end for start, end in self.test_ranges)

    @functools.cached_property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    @functools.cached_property
    def num_live_lines(self) -> int:
        """Lines of the file outside of test code."""
        return len(self.lines) - sum(self.code.count("\n", start, end) + 1 for start, end in self.test_ranges)

    @functools.cached_property
    def functions(self) -> list[Function]:
        """All functions with a body outside of test code."""
        found = []
        for match in FUNCTION.finditer(self.live):
            end = item_end(self.live, match.start())
            if self.live[end - 1] == "}":
                first = self.line(match.start())
                found.append(Function(match[1], first, self.line(end - 1) - first + 1))
        return found

    @functools.cached_property
    def imports(self) -> list[Import]:
        """What the file imports outside of test code, and paths from `crate` or `super` written out in its code."""
        found = []
        uses = list(USE.finditer(self.live))
        for use in uses:
            for path, name, offset in use_leaves(use["tree"], use.start("tree")):
                found.append(Import(path, name, offset, self._inside(offset), use["visibility"] or "", True))
        without_uses = blanked(self.live, [use.span() for use in uses])
        for match in re.finditer(r"\b(?:crate|super)(?:::\w+)+", without_uses):
            path = tuple(match[0].split("::"))
            found.append(Import(path, path[-1], match.start(), self._inside(match.start())))
        return found

    def _inside(self, offset: int) -> tuple[str, ...]:
        """The names of the inline modules around an offset."""
        return tuple(name for name, start, end in self._inline_modules if start < offset < end)

    @functools.cached_property
    def _inline_modules(self) -> list[tuple[str, int, int]]:
        matches = INLINE_MODULE.finditer(self.live)
        return [(match[1], match.start(), item_end(self.live, match.start())) for match in matches]


def spans(text: str) -> Iterator[Span]:
    """Yields the comments, strings and characters of a file in order."""
    for match in TOKEN.finditer(text):
        kind = next(kind for kind in ("doc", "note", "block", "raw", "string", "char") if match[kind])
        yield Span("string" if kind == "raw" else kind, match.start(), match[0])


def is_ruler(span: Span) -> bool:
    """True for a comment that only draws a line between sections."""
    return bool(re.match(r"//+\s*[-=─*#]{3,}", span.text))


def blanked(text: str, ranges: list[tuple[int, int]]) -> str:
    """The text with spaces in these ranges; line feeds stay."""
    pieces, done = [], 0
    for start, end in ranges:
        pieces += [text[done:start], re.sub(r"[^\n]", " ", text[start:end])]
        done = end
    return "".join(pieces) + text[done:]


def item_end(code: str, start: int) -> int:
    """The offset after the item that begins at `start`: after its closing brace or its semicolon."""
    depth = 0
    for match in re.compile(r"[(\[{}\])]|;").finditer(code, start):
        mark = match[0]
        depth += (mark in "([{") - (mark in ")]}")
        if depth < 0:
            return match.start()
        if depth == 0 and mark == "}":
            semicolon = re.compile(r"\s*;").match(code, match.end())
            return semicolon.end() if semicolon else match.end()
        if depth == 0 and mark == ";":
            return match.end()
    return len(code)


def test_items(code: str) -> Iterator[tuple[int, int]]:
    """Yields the ranges of items under `#[cfg(test)]`."""
    done = 0
    for match in TEST_ATTRIBUTE.finditer(code):
        if match.start() < done:
            continue
        if match[0].startswith("#!"):
            yield 0, len(code)
            return
        item = re.compile(r"\s*(?:#\[[^\]]*\]\s*)*").match(code, match.end())
        done = item_end(code, item.end())
        yield match.start(), done


def use_leaves(tree: str, offset: int, prefix: str = "") -> Iterator[tuple[tuple[str, ...], str, int]]:
    """Yields each path of a `use` tree with the name that it brings into scope and its offset."""
    head, brace, rest = tree.partition("{")
    if not brace:
        lead = len(tree) - len(tree.lstrip())
        path, _, alias = re.sub(r"\s+", " ", prefix + tree.strip()).partition(" as ")
        parts = tuple(part.strip() for part in path.split("::"))
        if parts[-1] == "self" and len(parts) > 1:
            parts = parts[:-1]
        if parts[-1]:
            yield parts, alias or parts[-1], offset + lead
        return
    body, start = rest.rpartition("}")[0], offset + len(head) + 1
    for piece, place in split_at_commas(body):
        yield from use_leaves(piece, start + place, prefix + head.strip())


def split_at_commas(text: str) -> Iterator[tuple[str, int]]:
    """Yields the pieces between commas outside of braces, with their places in the text."""
    depth = first = 0
    for place, letter in enumerate(text + ","):
        depth += (letter == "{") - (letter == "}")
        if letter == "," and depth == 0:
            yield text[first:place], first
            first = place + 1


def workspace_crates(root: Path) -> list[str]:
    """The folders of the workspace's members, as `Cargo.toml` lists them."""
    manifest = tomllib.loads((root / "Cargo.toml").read_text(encoding="utf-8"))
    return sorted(manifest["workspace"]["members"])


def files_below(folder: Path, pattern: str) -> list[Path]:
    """The files below a folder in a fixed order, without build outputs and hidden folders."""
    found = []
    for path in folder.rglob(pattern):
        steps = path.relative_to(folder).parts
        if path.is_file() and not any(step in SKIPPED_FOLDERS or step.startswith(".") for step in steps):
            found.append(path)
    return sorted(found)
