#!/usr/bin/env python3
"""Sizes of the product code, and what must stay small.

    scripts/size.py            the table, per crate and in all
    scripts/size.py --check    fails where a limit is exceeded

Counted are the lines of code in `crates/*/src` that are neither blank nor comment nor test:
`#[cfg(test)]` items and files or folders named `tests` are left out, and so are unpublished
crates. Also checked: the median file is no longer than 130 lines of code, and, in unpublished crates
as well, no function is longer than 80 lines and no two files of a crate import each other, directly
or around a cycle (`scripts/cycles.py` says what counts as an import).
"""

import pathlib
import re
import statistics
import sys

from cycles import block_end, cycles, module_of

ROOT = pathlib.Path(__file__).resolve().parent.parent
MAX_FUNCTION = 80
MAX_MEDIAN = 130


def strip(text):
    """The text without comments and with literals emptied, line by line."""
    out, i, n = [], 0, len(text)
    while i < n:
        if text.startswith("//", i):
            i = text.find("\n", i) if "\n" in text[i:] else n
        elif text.startswith("/*", i):
            end = text.find("*/", i + 2)
            end = n if end < 0 else end + 2
            out.append("\n" * text.count("\n", i, end))
            i = end
        elif match := re.compile(r'b?r(#*)"').match(text, i):
            close = '"' + match[1]
            end = text.find(close, match.end())
            end = n if end < 0 else end + len(close)
            out.append('""' + "\n" * text.count("\n", i, end))
            i = end
        elif text[i] == '"':
            end = i + 1
            while end < n and text[end] != '"':
                end += 2 if text[end] == "\\" else 1
            out.append('""' + "\n" * text.count("\n", i, end))
            i = end + 1
        elif match := re.compile(r"'(\\.[^']*|[^\\'])'").match(text, i):
            out.append("' '")
            i = match.end()
        else:
            out.append(text[i])
            i += 1
    return "".join(out)


def without_tests(text):
    """The text without its `#[cfg(test)]` items."""
    marker = re.compile(r"#\[cfg\((?:all\()?(?:test|seawall_loom|doctest)\b[^\n]*\]")
    while match := marker.search(text):
        text = text[: match.start()] + text[block_end(text, match.end()) :]
    return text


def only_in_tests(path):
    """Whether the module above declares the file with `#[cfg(test)]`."""
    folder = path.parent
    above = [folder / "mod.rs", folder / "lib.rs", folder.with_suffix(".rs")]
    declared = re.compile(rf"#\[cfg\(test\)\]\s*mod {path.stem};")
    return any(p.exists() and declared.search(p.read_text()) for p in above)


def functions(text):
    """The name and length in lines of each function with a body."""
    for match in re.finditer(r"\bfn (\w+)", text):
        end = block_end(text, match.end())
        if text[end - 1] == "}":
            yield match[1], text.count("\n", match.start(), end) + 1


def main():
    check = "--check" in sys.argv[1:]
    failed = []
    lines_of_all, totals = [], [0, 0]
    print(f"{'crate':<18}{'files':>6}{'median':>8}{'p90':>6}{'max':>6}{'code':>8}  longest function")
    for manifest in sorted(ROOT.glob("crates/*/Cargo.toml")):
        src = manifest.parent / "src"
        lines, longest, modules = [], (0, "-"), {}
        for path in sorted(src.rglob("*.rs")):
            if "tests" in path.relative_to(src).with_suffix("").parts or only_in_tests(path):
                continue
            text = without_tests(strip(path.read_text()))
            code = sum(1 for line in text.splitlines() if line.strip())
            lines.append(code)
            modules[module_of(path, src)] = text
            for name, length in functions(text):
                longest = max(longest, (length, f"{path.relative_to(src)} {name}"))
                if length > MAX_FUNCTION:
                    failed.append(f"{path.relative_to(ROOT)}: {name} has {length} lines, at most {MAX_FUNCTION}")
        for cycle in cycles(modules):
            failed.append(f"{manifest.parent.name}: files import each other: {cycle}")
        if "publish = false" in manifest.read_text():
            continue
        row(manifest.parent.name.removeprefix("seawall-"), lines, f"{longest[0]} {longest[1]}")
        lines_of_all += lines
    row("all", lines_of_all, "")
    if statistics.median(lines_of_all) > MAX_MEDIAN:
        failed.append(f"the median file has {statistics.median(lines_of_all)} lines, at most {MAX_MEDIAN}")
    if check and failed:
        print("\n".join(failed), file=sys.stderr)
        sys.exit(1)
    if failed:
        print("\n" + "\n".join(failed))


def row(name, lines, note):
    lines = sorted(lines)
    p90 = lines[min(len(lines) - 1, len(lines) * 9 // 10)]
    median = int(statistics.median(lines))
    print(f"{name:<18}{len(lines):>6}{median:>8}{p90:>6}{lines[-1]:>6}{sum(lines):>8}  {note}")


main()
