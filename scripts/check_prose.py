#!/usr/bin/env python3
"""Counts words of stiff prose per 1,000 words, and measures the shape of the code; fails above a limit.

Prose is Markdown (not the results), comments, error messages, help texts, and the strings of the trainer with at least
four words. Code in backticks and fences is left out. The limit of 2 leaves some room: the comments of well-known Rust
crates reach 1 to 1.5 by this table. Figures about code leave out tests, except widths and lengths of files.
"""

import argparse
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from code_shape import Figure, function_figures, habit_figures, size_figures
from rust_source import Source, files_below, is_ruler, item_end, workspace_crates

ROOT = Path(__file__).resolve().parent.parent
PAGES = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")
SHOWN = 20
MIN_WORDS = 4

# Things that cannot speak: "the checkpoint tells".
THING = (
    r"(?:backend|bucket|checkpoint|clock|column|comment|config|configuration|description|digest|document|envelope|error"
    r"|field|file|folder|header|hint|keeper|key|label|ledger|lineage|list|listing|log|manifest|message|metric|model"
    r"|name|node|number|object|page|payload|run|schema|server|store|system|table|test|value|verdict|weight)s?"
)
# The object of a comparison: "held to the limit".
OBJECT = r"(?:it|its|them|their|this|that|these|those|the|an?|one|another|each|every\w*|all|what\w*|account|bars?)"
# The start of a sentence that is not a question.
START = r"(?-i:(?:^|(?<=[.:;!?]\s))[-*|\d.\s]*"
# Pattern of stiff prose -> advice. A space in a pattern matches any white space.
TELLS = {
    # Pronouns where an actor has a name.
    r"\bwhoever\b": "name the actor: peer, validator, reader, you",
    r"\bwhomever\b|\bwhom\b": "name the actor, or use `who` or `that`",
    r"\bwhose\b": "use `with`, `of` or a second sentence",
    r"\bnobody\b|\bno one\b": "no peer, no validator",
    r"\b(?:some|any|every)body(?:'s)?\b": "name the actor: a peer, any reader, every peer",
    r"\bwhatever\b|\bwherever\b": "any, everything, all",
    r"\b(?:a|all|any|that|those|these|one|ones|everyone|someone|only) who\b": "use a noun: an unregistered peer",
    r"\bperson at the keyboard\b|\b(?:he|him|his)\b": "user; it, the peer",
    # Relative clauses as subjects.
    START + r"What\b(?! if\b))": "start with the noun; `Returns ...`",
    START + r"(?:Who|Whose|Whom|Which)\b)": "start with the noun: The peers that ...",
    START + r"Whether\b)": "Returns true if ...; True if ...",
    r"\bwhat (?:is|was|were|are|comes?|came|counts?|follows?|arrive[sd]|goes|fails?|lies|stays?)\b": "use a noun",
    r"\b(?:all|everything|nothing|something) that\b": "use a noun",
    # Verbs.
    rf"\b(?:held|holds?|holding) (?:[\w'·-]+ ){{0,4}}?to {OBJECT}\b": "check against, compare with, limit to",
    r"\bgo(?:es|ing)? on\b|\bwent on\b": "continue",
    r"\b(?:has|have|had) to answer\b": "is responsible for; report it",
    r"\b(?:thrown|throws?|throwing) away\b": "discard",
    r"\bbrought to light\b|\bcomes? to light\b": "detect, find",
    r"\b(?:becomes?|became|comes?|came|makes) of (?:a|an|it|that|the|them|this|those)\b": "results from, happens to",
    r"\b(?:came|comes?) to know\b": "learn, find",
    r"\b(?:is|are|was|were|be|been|being) told\b": "receives, is given, knows",
    r"\btold apart\b|\btells? \w+ apart\b": "distinguish",
    r"\btells? of\b|\btold of\b": "report, describe",
    rf"\b(?:{THING}|it|that|which|this) (?:tells?|asks?|says?|speaks?|wants?|knows?)\b": "a thing holds or states",
    r"\b(?:lives?|living) (?:in|on|under|from|until|for|below|beside|at)\b": "is in, is stored in",
    r"\b(?:an?|earlier|last|next|one|this|another) li(?:fe|ves)\b": "before or after a restart",
    r"\bstands? (?:for|in for)\b": "represents, replaces",
    r"\bgone\b": "missing, removed",
    r"\b(?:is|are|was|were) (?:not |already |still )?there\b(?! (?:an?|any|are|is|no)\b)": "exists, is missing",
    r"(?<!\bthere\s)\b(?:is|are|was|were) no (?!longer\b|more\b|less\b|later\b)\w+": "negate the verb: is not a ...",
    r"\bout of reach\b|\bout of sight\b|\bno way to\b": "cannot be reached, cannot open",
    r"\bbr(?:ings?|ought) (?:[\w'-]+ ){0,4}?along\b": "supply, carry",
    r"\bfound out\b": "detected",
    # Adverbs and connectives.
    r"\bbesides?\b": "next to, in addition to",
    r"\banew\b|\bonce more\b": "again",
    r"\bso that\b": "so; to",
    r"\bof (?:its|their|his|our) own\b": "a separate ..., its",
    r"\bby (?:itself|themselves|hand of)\b": "automatically, alone",
    r"\bas far as\b|\bas often as\b|\bas little as\b": "if; can be repeated; and not",
    r"\bone (?:behind|after|beside) the other\b": "in order, one at a time",
    r"\b(?:nothing|nobody|anything|everything|all|none) else\b": "only; everything other than",
    r"\bnothing (?:but|if|once|unless)\b|[;,] nothing\b": "returns `None` if; only",
    r"[;,] else\b|\bor else\b": "otherwise, or",
    r"\bwithout it[.;:,)]|\bwithout (?:it|them)$": "[default: ...]; if not given",
    r"\bin the name of\b": "for, as",
    r"\bat hand\b|\bby now\b|\bfor ever\b": "available; then; forever",
    r"\bnot yet known\b|\bto be had\b|\bcan be had\b": "unknown; available",
    r"\b(?:the|that|this) very\b": "the same, exactly this",
    r"\bif need be\b|\bin place of\b|, too(?=[.,;:)]|$)": "if necessary; instead of; also",
    # Terms that the glossary replaces.
    r"\bnewcomers?\b|\bstrangers?\b": "joining peer, unknown peer",
    r"\bfarewells?\b|\bhellos?\b": "leave notice, join request",
    r"\b(?:cheats?|liars?)\b": "attack, dishonest peer",
    r"\b(?:seats?|seated)\b": "slot, active",
    r"\b(?:the|a|its|of|called) rolls?\b|\brolls\b": "commitment list",
    r"\bawaited\b": "expected",
    r"\b(?:examiners?|examinations?)\b": "evaluator, evaluation",
    r"\bcommon runs?\b": "distributed run",
    r"\bresidences?\b": "delta location, weight source",
}
PATTERNS = [(re.compile(pattern.replace(" ", r"\s+"), re.IGNORECASE), instead) for pattern, instead in TELLS.items()]


@dataclass(frozen=True)
class Text:
    """A paragraph, comment or string: where it starts, its words as written, and the same with code blanked."""

    group: str
    path: Path
    line: int
    raw: str
    prose: str
    is_heading: bool = False


@dataclass(frozen=True)
class Hit:
    """A word of the table in a text."""

    text: Text
    line: int
    word: str
    part: str
    instead: str

    def __str__(self) -> str:
        return f"{self.text.path}:{self.line}: {self.word}: {self.part} (say: {self.instead})"


def hits_in(text: Text) -> Iterator[Hit]:
    """Yields every word of the table in a text. Of two that overlap, only the earlier in the table counts."""
    taken: set[int] = set()
    for pattern, instead in PATTERNS:
        opens = pattern.pattern.startswith(START)
        spares_questions = opens or pattern.pattern.startswith(r"\bwhat")
        for match in pattern.finditer(text.prose):
            place = set(range(*match.span()))
            if place & taken or (opens and text.is_heading):
                continue
            if spares_questions and is_question(text.prose, match.start()):
                continue
            taken |= place
            start, end = match.start() + len(match[0]) - len(match[0].lstrip()), match.end()
            part = " ".join(text.raw[max(0, start - 40) : end + 40].split())
            line = text.line + text.prose.count("\n", 0, start)
            word = " ".join(text.raw[start:end].split())
            yield Hit(text, line, word, part, instead)


def is_question(prose: str, start: int) -> bool:
    """True if the sentence around `start` ends with a question mark."""
    end = re.compile(r"[.!?](?:\s|$)").search(prose, start)
    return bool(end) and prose[end.start()] == "?"


def num_words(text: Text) -> int:
    """The number of words outside of code."""
    return len(re.findall(r"[A-Za-z][A-Za-z'-]*", text.prose))


def without_code(text: str) -> str:
    """The text with dots instead of code spans, link targets, placeholders, escapes and HTML; its length stays."""
    code = r"`+[^`]*`+|\]\([^)]*\)|<[^<>\s][^<>\n]*>|\{[^{}]*\}|\\(?!\n).|\\(?=\n)|https?://\S+"
    return re.sub(code, lambda match: re.sub(r"\S", "\N{MIDDLE DOT}", match[0]), text)


def paragraphs(group: str, path: Path, lines: list[tuple[int, str]]) -> Iterator[Text]:
    """Cuts numbered lines, which follow each other, into paragraphs, list items, table rows and headings."""
    piece: list[tuple[int, str]] = []
    fenced = commented = False
    for number, line in [*lines, (0, "")]:
        line, fence = line.strip(), line.lstrip().startswith("```")
        commented |= line.startswith("<!--")
        skipped = fence or fenced or commented
        fenced ^= fence
        commented &= "-->" not in line
        starts_piece = re.match(r"[-*|] ?|#+ |\d+\. |\[[^]]+\]: ", line)
        if piece and (skipped or not line or starts_piece or re.match("#+ ", piece[0][1])):
            raw = "\n".join(text for _, text in piece)
            yield Text(group, path, piece[0][0], raw, without_code(raw), bool(re.match("#+ ", raw)))
            piece = []
        if line and not skipped:
            piece.append((number, line))


def page_texts(root: Path) -> Iterator[Text]:
    """Yields the texts of Markdown pages, results apart."""
    pages = [root / name for name in PAGES if (root / name).exists()]
    pages += [page for page in files_below(root / "docs", "*.md") if "results" not in page.relative_to(root).parts]
    for page in pages:
        lines = list(enumerate(page.read_text(encoding="utf-8").splitlines(), 1))
        yield from paragraphs("docs", page.relative_to(root), lines)


def comment_texts(group: str, path: Path, source: Source) -> Iterator[Text]:
    """Yields the texts of comments; adjacent lines of one kind are one comment."""
    block: list[tuple[int, str]] = []
    last = ""
    for span in source.spans:
        if span.kind in ("doc", "note") and not is_ruler(span):
            number, mark = source.line(span.start), re.match(r"//[/!]?", span.text)[0]
            if block and (number != block[-1][0] + 1 or mark != last):
                yield from paragraphs(group, path, block)
                block = []
            block.append((number, span.text[len(mark) :]))
            last = mark
    yield from paragraphs(group, path, block)


def string_texts(path: Path, source: Source, takes_all: bool) -> Iterator[Text]:
    """Yields the messages of errors, the strings of hints and, with `takes_all`, every string of enough words."""
    hints = [match.start() for match in re.finditer(r"\bfn hint\b", source.live)]
    hint_ranges = [(start, item_end(source.live, start)) for start in hints]
    for span in source.spans:
        if span.kind != "string" or source.is_test(span.start):
            continue
        raw = re.sub(r'^[bcr#]*"|"#*$', " ", span.text)
        text = Text("help and errors", path, source.line(span.start), raw, without_code(raw))
        is_error = re.search(r"#\[error\(\s*$", source.code[max(0, span.start - 80) : span.start])
        is_hint = any(start < span.start < end for start, end in hint_ranges)
        if is_error or ((is_hint or takes_all) and num_words(text) >= MIN_WORDS):
            yield text


def source_texts(crate: str, path: Path, source: Source) -> Iterator[Text]:
    """Yields the prose of a Rust file. Docs in a file that uses clap are help texts."""
    is_help = re.search(r"\bclap::", source.code)
    yield from comment_texts("help and errors" if is_help else f"comments in {crate}", path, source)
    if "src" in path.parts:
        yield from string_texts(path, source, takes_all=crate == "trainer")


def show(places: list[str], shows_all: bool) -> None:
    """Prints findings, only the first ones unless all are wanted."""
    shown = places if shows_all else places[:SHOWN]
    print("".join(f"{place}\n" for place in shown), end="")
    if len(shown) < len(places):
        print(f"... and {len(places) - len(shown)} more of these; --list prints all")


def check_words(texts: list[Text], limit: float, shows_all: bool) -> int:
    """Prints the table of groups and the words of those above the limit; returns how many are above."""
    words, hits = Counter(), defaultdict(list)
    for text in texts:
        words[text.group] += num_words(text)
        hits[text.group] += hits_in(text)
    rates = {group: 1000 * len(hits[group]) / max(1, count) for group, count in words.items()}
    for group, rate in rates.items():
        if shows_all or rate > limit:
            show([str(hit) for hit in hits[group]], shows_all)
    print(f"\n{'group':38} {'words':>8} {'hits':>6} {'per 1,000':>10}  limit")
    for group, rate in rates.items():
        print(f"{group:38} {words[group]:8} {len(hits[group]):6} {rate:10.2f}  <= {limit}{over(rate > limit)}")
    return sum(rate > limit for rate in rates.values())


def check_shape(figures: list[Figure], shows_all: bool) -> int:
    """Prints the figures and the places that break their limits; returns how many limits are broken."""
    print(f"\n{'code':48} {'value':>8}  limit")
    for figure in figures:
        print(f"{figure.name:48} {figure.value:8.4g}  {figure.limit}{over(figure.is_broken)}")
    for figure in figures:
        show(figure.places if figure.is_broken else [], shows_all)
    return sum(figure.is_broken for figure in figures)


def over(is_broken: bool) -> str:
    return "  BROKEN" if is_broken else ""


def main() -> int:
    parser = argparse.ArgumentParser(description="Check the prose and the shape of the code.")
    parser.add_argument("root", nargs="?", type=Path, default=ROOT, help="root of the workspace")
    parser.add_argument("--list", action="store_true", help="print every place")
    parser.add_argument("--limit", type=float, default=2.0, help="most words of the table per 1,000 [default: 2.0]")
    options = parser.parse_args()
    root = options.root.resolve()
    crates = [*workspace_crates(root), "fuzz"]
    paths = [path.relative_to(root) for crate in crates for path in files_below(root / crate, "*.rs")]
    sources = {path: Source(root / path) for path in paths}
    texts = list(page_texts(root))
    for path, source in sources.items():
        texts += source_texts(path.parts[0], path, source)
    in_src = {path: source for path, source in sources.items() if path.parts[1] == "src"}
    figures = [*size_figures(sources), *function_figures(in_src), *habit_figures(in_src)]
    broken = check_words(texts, options.limit, options.list) + check_shape(figures, options.list)
    print(f"{broken} limits broken", file=sys.stderr)
    return bool(broken)


if __name__ == "__main__":
    sys.exit(main())
