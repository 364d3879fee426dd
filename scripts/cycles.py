#!/usr/bin/env python3
"""Cycles of imports between the files of a crate. `scripts/size.py` looks for them.

    scripts/cycles.py --self-test

File A imports file B where A names something that B defines: in a `use`, or in a path of its code.
A name is followed to the file that defines it: through `pub use` and every other `use` of the
modules between, through aliases, globs and modules inside of a file, however many there are. A
macro of the crate belongs to the file that has its `macro_rules!`.

No import is: the declaration of a child module; a re-export of a name that the file does not use
itself; the name of a module alone (what is named behind it counts); a `use` of the file's own items;
what stands in a test or a comment; a method that is called on a value. So a parent that declares and
re-exports its children imports none of them. A parent that uses a child which uses an item of the
parent's own file is a cycle.
"""

import re
import sys
import tempfile
import pathlib

ITEM = re.compile(
    r"[{}]|\b(?:(use)\s|(mod)\s+(\w+)\s*([;{])|(?:fn|struct|enum|trait|type|union)\s+(\w+)"
    r"|(?:const|static)\s+(\w+)\s*:|macro_rules!\s*(\w+))"
)


def block_end(text, start):
    """Where the item that begins at `start` ends: behind its block, or its semicolon."""
    depth = 0
    for i in range(start, len(text)):
        if text[i] == "{":
            depth += 1
        elif text[i] == "}":
            depth -= 1
            if depth == 0:
                return i + 1
        elif text[i] == ";" and depth == 0:
            return i + 1
    return len(text)


def leaves(tree):
    """The paths of a `use` tree: their segments, and the name each has here."""
    tree = re.sub(r"\s+as\s+", "@", tree.strip())
    tree = re.sub(r"\s+", "", tree)

    def expand(prefix, rest):
        if rest.startswith("{"):
            depth, part = 0, ""
            for char in rest[1:-1] + ",":
                if char == "," and depth == 0:
                    if part:
                        yield from expand(prefix, part)
                    part = ""
                    continue
                depth += {"{": 1, "}": -1}.get(char, 0)
                part += char
            return
        head, colons, tail = rest.partition("::")
        if colons and head:
            yield from expand((*prefix, head), tail)
        elif colons:
            yield from expand(prefix, tail)
        else:
            name, _, alias = head.partition("@")
            path = prefix if name == "self" and prefix else (*prefix, name)
            yield path, alias or path[-1]

    return list(expand((), tree))


class Module:
    """What one module declares, and the text that is left without its imports."""

    def __init__(self, path, file):
        self.path, self.file = path, file
        self.items, self.hidden, self.macros = set(), set(), set()
        self.uses, self.text = [], ""


class Crate:
    """The modules of a crate, by path. `files` maps the path of each file to its stripped text."""

    def __init__(self, files):
        self.modules = {}
        for path, text in files.items():
            self._read(Module(path, path), text)
        self.aliases, self.globs = {}, {}
        for module in self.modules.values():
            names = self.aliases.setdefault(module.path, {})
            for path, name, _ in module.uses:
                target = self._absolute(module, path)
                if target is None:
                    continue
                if path[-1] == "*":
                    self.globs.setdefault(module.path, []).append(target[:-1])
                elif target != (*module.path, name):
                    names[name] = target
        root = self.aliases.setdefault((), {})
        for module in self.modules.values():
            for name in module.macros - self.modules[()].items:
                root.setdefault(name, (*module.path, name))

    def _read(self, module, text):
        self.modules[module.path] = module
        depth, at, kept = 0, 0, []
        while match := ITEM.search(text, at):
            kept.append(text[at : match.start()])
            at = match.end()
            use, mod, child, opens, item, constant, macro = match.groups()
            if use:
                end = text.find(";", at)
                public = re.search(r"\bpub(\([^)]*\))?\s*$", text[: match.start()])
                for path, name in leaves(text[at:end]):
                    module.uses.append((path, name, bool(public)))
                at = end + 1
            elif mod and opens == "{":
                end = block_end(text, match.start())
                self._read(Module((*module.path, child), module.file), text[at : end - 1])
                at = end
            elif mod:
                pass
            else:
                kept.append(match[0])
                depth += {"{": 1, "}": -1}.get(match[0], 0)
                if name := item or constant or macro:
                    (module.items if depth == 0 else module.hidden).add(name)
                if macro:
                    module.macros.add(macro)
        module.text = "".join(kept) + text[at:]

    def _absolute(self, module, path):
        """The path from the crate's root, or None where it leads to another crate."""
        base, rest = list(module.path), list(path)
        if rest[0] not in ("crate", "self", "super"):
            known = (*module.path, rest[0]) in self.modules or rest[0] in module.items
            known = known or any(name == rest[0] and p != path for p, name, _ in module.uses)
            return tuple(base + rest) if known else None
        while rest and rest[0] in ("crate", "self", "super"):
            step = rest.pop(0)
            if step == "crate":
                base = []
            elif step == "super":
                base = base[:-1]
        return tuple(base + rest)

    def _declares(self, module, name):
        known = self.modules[module]
        return (
            (*module, name) in self.modules
            or name in self.aliases[module]
            or name in known.items
            or name in known.hidden
        )

    def file_of(self, path, seen=frozenset()):
        """The file that defines what the path names; None for a module as such."""
        module = ()
        for i, name in enumerate(path):
            rest, known = path[i + 1 :], self.modules[module]
            target = self.aliases[module].get(name)
            if (*module, name) in self.modules and (rest or target is None):
                module = (*module, name)
                continue
            if target is not None and (module, name) not in seen:
                return self.file_of(target + rest, seen | {(module, name)})
            if name in known.items or name in known.hidden:
                return known.file
            for glob in self.globs.get(module, ()):
                mark = ("*", glob, name)
                if glob in self.modules and mark not in seen:
                    found = self._declares(glob, name) or self.globs.get(glob)
                    file = found and self.file_of((*glob, name, *rest), seen | {mark})
                    if file and (file != glob or self._declares(glob, name)):
                        return file
            return known.file
        return None

    def imports(self):
        """For each file, the files that it imports, with one of the names."""
        edges = {}
        macros = {name: m.file for m in self.modules.values() for name in m.macros}
        for module in self.modules.values():
            found = edges.setdefault(module.file, {})

            def add(path, file):
                if file is not None and file != module.file:
                    found.setdefault(file, "::".join(path))

            for path, name, public in module.uses:
                if public and not re.search(rf"\b{re.escape(name)}\b", module.text):
                    continue
                if (target := self._absolute(module, path)) and path[-1] != "*":
                    add(path, self.file_of(target))
            for match in re.finditer(r"(?<![\w:])\$?(\w+(?:\s*::\s*\w+)+)", module.text):
                path = tuple(re.split(r"\s*::\s*", match[1]))
                if target := self._absolute(module, path):
                    add(path, self.file_of(target))
            for match in re.finditer(r"(?<![\w:])(\w+)!", module.text):
                if match[1] in macros and match[1] not in self.aliases[module.path]:
                    add((match[1],), macros[match[1]])
        return edges


def components(edges):
    """The strongly connected sets of more than one file, after Tarjan."""
    order, low, stack, result = {}, {}, [], []

    def visit(node):
        order[node] = low[node] = len(order)
        stack.append(node)
        for other in edges.get(node, ()):
            if other not in order:
                visit(other)
            if other in stack:
                low[node] = min(low[node], low[other])
        if low[node] == order[node]:
            at = stack.index(node)
            if len(stack) - at > 1:
                result.append(sorted(stack[at:]))
            del stack[at:]

    for node in sorted(edges):
        if node not in order:
            visit(node)
    return result


def cycles(files):
    """What to say of each cycle: its files, and which names lead from one to the next."""
    edges = Crate(files).imports()
    for files_of_cycle in components(edges):
        names = [
            f"{'/'.join(a) or 'lib'} -> {'/'.join(b) or 'lib'} ({edges[a][b]})"
            for a in files_of_cycle
            for b in files_of_cycle
            if b in edges[a]
        ]
        yield "; ".join(names)


def module_of(path, src):
    """The path of the module that a file of the source folder is."""
    parts = list(path.relative_to(src).with_suffix("").parts)
    if parts[-1] in ("mod", "lib", "main"):
        parts.pop()
    return tuple(parts)


SELF_TEST = {
    "a cycle through the re-exports of the root, a glob and an alias": (
        {
            "lib.rs": "mod a; mod b; mod c; pub use a::A; pub use b::*;",
            "a.rs": "use crate::B; pub struct A(B);",
            "b/mod.rs": "mod deep; pub use deep::Hidden as B;",
            "b/deep.rs": "pub struct Hidden; impl Hidden { fn f() { let _ = super::super::c::C; } }",
            "c.rs": "use super::{A as Other}; pub const C: Option<Other> = None;",
        },
        [{"a", "b/deep", "c"}],
    ),
    "no cycle: a parent that declares and re-exports": (
        {
            "lib.rs": "mod a; mod b; pub use a::A; pub use b::B;",
            "a.rs": "use crate::B; pub struct A(B);",
            "b.rs": "pub struct B;",
        },
        [],
    ),
    "a cycle: a parent that uses its child, and the child the parent's own item": (
        {
            "lib.rs": "mod a;",
            "a.rs": "mod child; pub(crate) use child::Child; pub struct A(Child);",
            "a/child.rs": "pub struct Child; fn f(_: &super::A) {}",
        },
        [{"a", "a/child"}],
    ),
    "no cycle: methods of a type in a child, and a module that is named alone": (
        {
            "lib.rs": "mod a; mod b;",
            "a.rs": "mod child; pub struct A;",
            "a/child.rs": "use super::A; use crate::b; impl A { fn f() { b::inner::g() } }",
            "b.rs": "pub mod inner { pub fn g() { super::h() } } fn h() {} pub use crate::a;",
        },
        [],
    ),
    "a cycle through a macro": (
        {
            "lib.rs": "mod a; mod m;",
            "a.rs": "crate::make!(); pub struct A;",
            "m.rs": "macro_rules! make { () => { $crate::a::A } } pub(crate) use make;",
        },
        [{"a", "m"}],
    ),
}


def self_test():
    for name, (tree, expected) in SELF_TEST.items():
        with tempfile.TemporaryDirectory() as folder:
            src = pathlib.Path(folder)
            for file, text in tree.items():
                (src / file).parent.mkdir(exist_ok=True)
                (src / file).write_text(text)
            files = {module_of(p, src): p.read_text() for p in sorted(src.rglob("*.rs"))}
            found = [{"/".join(f) for f in c} for c in components(Crate(files).imports())]
            assert found == expected, f"{name}: {found}"
            assert len(list(cycles(files))) == len(expected), name
    print(f"cycles: {len(SELF_TEST)} trees ok")


if __name__ == "__main__":
    if sys.argv[1:] != ["--self-test"]:
        sys.exit(__doc__)
    self_test()
