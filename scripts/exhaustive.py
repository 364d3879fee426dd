#!/usr/bin/env python3
"""Public types that a later version cannot extend, and that do not say why.

Every public enum and every public struct with a public named field is `#[non_exhaustive]`, or has a
comment `// Exhaustive: why` between its docs and its name. What the macros `state_words!` and
`counters!` declare is `#[non_exhaustive]` by them. Tests, and crates that are not published, are
left out. Prints one line for each that is neither.
"""

import pathlib
import re
import sys

from cycles import block_end

ROOT = pathlib.Path(__file__).resolve().parent.parent
TYPE = re.compile(r"^[ ]*pub (enum|struct) (\w+)[^;{]*(?=\{)", re.MULTILINE)
MACRO = re.compile(r"\b(?:state_words|counters)! ?\{")
FIELD = re.compile(r"^\s*pub \w+:", re.MULTILINE)
OPEN = re.compile(r"^\s*(#\[non_exhaustive\]|// Exhaustive: \S.*)$", re.MULTILINE)


def closed(text):
    """Line and name of each public type that is neither."""
    by_macro = [(m.start(), block_end(text, m.start())) for m in MACRO.finditer(text)]
    for match in TYPE.finditer(text):
        if any(start < match.start() < end for start, end in by_macro):
            continue
        body = text[match.end() : block_end(text, match.end())]
        if match[1] == "struct" and not FIELD.search(body):
            continue
        # From the end of the item before, which a blank line follows, or what it is nested in.
        above = re.split(r"\n\s*\n|[{};]\n", text[: match.start()])[-1]
        if not OPEN.search(above):
            yield text.count("\n", 0, match.start()) + 1, match[2]


SELF_TEST = {
    "pub enum A { B }": ["A"],
    "#[non_exhaustive]\npub enum A { B }": [],
    "// Exhaustive: two are all.\npub enum A { B }": [],
    "pub struct A<S = (), F: Fn() -> u32>\nwhere\n    S: Clone,\n{\n    pub s: S,\n}": ["A"],
    "pub struct A {\n    s: u32,\n}": [],
    "pub struct A(u32);\n\npub fn f() {\n    pub x: u32,\n}": [],
}


def self_test():
    for text, expected in SELF_TEST.items():
        assert [name for _, name in closed(text)] == expected, text
    print(f"exhaustive: {len(SELF_TEST)} texts ok")


def main():
    for manifest in sorted(ROOT.glob("crates/*/Cargo.toml")):
        if "publish = false" in manifest.read_text():
            continue
        src = manifest.parent / "src"
        for path in sorted(src.rglob("*.rs")):
            if "tests" not in path.relative_to(src).with_suffix("").parts:
                for line, name in closed(path.read_text()):
                    print(f"{path.relative_to(ROOT)}:{line}: {name}")


self_test() if sys.argv[1:] == ["--self-test"] else main()
