"""Measures the shape of Rust code: widths, lengths, closures, comments that give reasons, examples and log calls."""

import re
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rust_source import Source, is_ruler

LET_CLOSURE = re.compile(r"\blet\s+(?:mut\s+)?\w+(?:\s*:[^=;]+)?\s*=\s*(?:async\s+)?(?:move\s+)?\|")
BOOL_MATCH = re.compile(r"\bmatch\b[^{};]*\{\s*(?:true|false)\s*(?:=>|if\b)")
LOG_CALL = re.compile(
    r"\b(?:trace|debug|info|warn|error|event|(?:(?:trace|debug|info|warn|error)_)?span)!\s*[({]"
    r"|#\[(?:tracing::)?instrument\b"
)
MAX_WIDTH, MAX_FILE, MAX_FUNCTION, MAX_MEDIAN, MAX_P90 = 100, 400, 60, 7, 20
MIN_REASONS, MAX_LET_CLOSURES, MAX_BOOL_MATCHES = 2.0, 1.5, 0.8

Sources = dict[Path, Source]


@dataclass(frozen=True)
class Figure:
    """A measured property of the code, its limit, and the places that break it."""

    name: str
    value: float
    limit: str
    is_broken: bool
    places: list[str]


def places_of(sources: Sources, pattern: re.Pattern[str], rule: str) -> list[str]:
    """The places outside of tests where a pattern matches."""
    matches = ((path, source, match) for path, source in sources.items() for match in pattern.finditer(source.live))
    return [f"{path}:{source.line(match.start())}: {rule}" for path, source, match in matches]


def size_figures(sources: Sources) -> Iterator[Figure]:
    """Yields figures about all files, tests included."""
    wide = [
        f"{path}:{number}: width: {len(line)} columns"
        for path, source in sources.items()
        for number, line in enumerate(source.lines, 1)
        if len(line) > MAX_WIDTH
    ]
    yield Figure(f"lines over {MAX_WIDTH} columns", len(wide), "0", bool(wide), wide)
    lengths = {path: len(source.lines) for path, source in sources.items()}
    long = [f"{path}:{MAX_FILE + 1}: file: {length} lines" for path, length in lengths.items() if length > MAX_FILE]
    yield Figure(f"files over {MAX_FILE} lines", len(long), "0", bool(long), long)


def function_figures(sources: Sources) -> Iterator[Figure]:
    """Yields figures about the functions in src."""
    functions = [(path, function) for path, source in sources.items() for function in source.functions]
    functions.sort(key=lambda pair: -pair[1].lines)
    places = [f"{path}:{item.line}: function: `{item.name}`, lines: {item.lines}" for path, item in functions]
    lengths = sorted(item.lines for _, item in functions) or [0]
    median, p90 = statistics.median(lengths), lengths[int(0.9 * len(lengths))]
    num_long = sum(length > MAX_FUNCTION for length in lengths)
    yield Figure("functions in src", len(functions), "", False, [])
    yield Figure("lines of a function, median", median, f"<= {MAX_MEDIAN}", median > MAX_MEDIAN, places)
    yield Figure("lines of a function, 90th percentile", p90, f"<= {MAX_P90}", p90 > MAX_P90, places)
    yield Figure(f"functions over {MAX_FUNCTION} lines", num_long, "0", num_long > 0, places[:num_long])


def habit_figures(sources: Sources) -> Iterator[Figure]:
    """Yields figures about habits in src."""
    total = num_lines(sources)
    reasons = {path: num_reasons(source) for path, source in sources.items()}
    share = 100 * sum(reasons.values()) / total
    bare = sorted((-sources[path].num_live_lines, path) for path, count in reasons.items() if count == 0)
    places = [f"{path}:1: reasons: no reason comment in {-lines} lines" for lines, path in bare]
    yield Figure("reason comments, percent of lines", share, f">= {MIN_REASONS}", share < MIN_REASONS, places)
    closures = places_of(sources, LET_CLOSURE, "closure: bound by `let`; inline it or name a function")
    yield rate_figure("closures bound by let", closures, total, MAX_LET_CLOSURES)
    matches = places_of(sources, BOOL_MATCH, "match: on a bool; use `if` and `else`")
    yield rate_figure("matches on a bool", matches, total, MAX_BOOL_MATCHES)
    examples = [f"{path}:1" for path, source in sources.items() for _ in range(num_examples(source))]
    yield rate_figure("doc examples", examples, total)
    logging = {path: source for path, source in sources.items() if path.parts[0] in ("comms", "trainer")}
    yield rate_figure("log calls in comms, trainer", places_of(logging, LOG_CALL, "log"), num_lines(logging))


def rate_figure(name: str, places: list[str], total: int, most: float | None = None) -> Figure:
    """A figure per 1,000 of `total` lines, with a limit if `most` is given."""
    rate = 1000 * len(places) / total
    is_broken = most is not None and rate > most
    return Figure(f"{name}, per 1,000 lines", rate, "" if most is None else f"<= {most}", is_broken, places)


def num_lines(sources: Sources) -> int:
    """The number of lines outside of tests, at least 1."""
    return max(1, sum(source.num_live_lines for source in sources.values()))


def num_reasons(source: Source) -> int:
    """The number of lines with a `//` comment outside of tests."""
    return sum(span.kind == "note" and not is_ruler(span) and not source.is_test(span.start) for span in source.spans)


def num_examples(source: Source) -> int:
    """The number of fenced Rust blocks in docs."""
    docs = [span.text[3:].strip() for span in source.spans if span.kind == "doc"]
    opening = [line for line in docs if line.startswith("```")][::2]
    tags = r"```(?:rust|no_run|should_panic|compile_fail|edition\d+|,)*"
    return sum(bool(re.fullmatch(tags, line)) for line in opening)
