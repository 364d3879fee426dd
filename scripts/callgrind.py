#!/usr/bin/env python3
"""Instructions per call of the subjects of `benches/`, counted by valgrind.

    scripts/callgrind.py [FILTER]             counts; FILTER as for the bench, default: seawall/
    scripts/callgrind.py --check              fails where a row of benches/instructions.toml grew
    scripts/callgrind.py --update 'REASON'    counts and writes benches/instructions.toml
    scripts/callgrind.py --self-test          checks the check itself, counts nothing

Counted is what happens inside of `harness::counted`: set-up and warm-up are not. Counts hardly
depend on what else the machine does: use them to see a change, and the bench to rank. Kernel and
vDSO are not counted, so that a read of the system's clock is about 40 instructions here, whatever
it takes.

A row may grow by 2 %. Counts belong to a compiler and a C library: with others than the file was
written with, `--check` reports what differs and does not fail.
"""

import concurrent.futures
import os
import pathlib
import platform
import re
import subprocess
import sys
import tomllib

ROOT = pathlib.Path(__file__).resolve().parent.parent
BASELINE = ROOT / "benches" / "instructions.toml"
CALLS = 2000
# A call of these is a second of monitoring of a hundred services: two thousand take ten minutes.
FEWER_CALLS = {"seawall/monitor/frame-100": 100, "seawall/monitor/sample-100": 100}
MAX_GROWTH = 0.02
# Below one instruction per call a difference is one of set-up.
MIN_GROWTH = 0.5
# Rows that are not checked, with the reason.
UNCHECKED = {
    "seawall/breaker/per-key-1m": "the code of 10k with gigabytes under valgrind",
    "seawall/ratelimit/per-key-1m": "the code of 10k",
    "seawall/bulkhead/partition-1m": "the code of 10k",
    "seawall/bulkhead/waiting": "waiters lapse in real time, which valgrind makes long",
}
# Rows that differ from run to run by some percent, as maps hash with random keys, and strict limits count in real time:
# how often they are counted. The least count is taken, since chance and a busy machine only add to it.
REPEATED = {
    "seawall/ratelimit/per-key-10k": 9,
    "seawall/ratelimit/strict": 9,
    "seawall/ratelimit/three-strict": 9,
}
HEADER = """\
# Instructions per call by `scripts/callgrind.py`, which checks that no row grows by more than 2 %.
# Written by `scripts/callgrind.py --update 'REASON'`: the reason of each change is below.
"""


class Failed(Exception):
    """A message for the user."""


def build():
    subprocess.run(
        ["cargo", "build", "--quiet", "--release", "-p", "seawall-benches"], cwd=ROOT, check=True
    )
    target = os.environ.get("CARGO_TARGET_DIR", ROOT / "target")
    return ROOT / target / "release" / "seawall-benches"


def subjects(bench, text):
    listed = subprocess.run([bench, "--list"], check=True, capture_output=True, text=True)
    return [name for name in listed.stdout.split() if text in name]


def count(bench, subject):
    """Instructions per call."""
    # The C library chooses its memcpy by the processor: the same one everywhere.
    calls = FEWER_CALLS.get(subject, CALLS)
    env = os.environ | {"GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-AVX512F,-ERMS,-FSRM"}
    command = [
        "valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null",
        "--toggle-collect=*harness::counted*",
        bench, "--one", subject, "--calls", str(calls),
    ]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    found = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode != 0 or not found or found[1] == "0":
        own = [line for line in done.stderr.splitlines() if line and not line.startswith("==")]
        raise Failed("\n".join([f"{subject} does not run under valgrind", *own[:3]]))
    return round(int(found[1]) / calls, 1)


def count_all(bench, names):
    """Two at once: a runner of CI has two cores."""
    runs = [name for name in names for _ in range(REPEATED.get(name, 1))]
    counts = {}
    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
        for name, counted in zip(runs, pool.map(lambda name: count(bench, name), runs)):
            counts.setdefault(name, []).append(counted)
    return {name: min(counted) for name, counted in counts.items()}


def machine():
    rustc = subprocess.run(["rustc", "--version"], check=True, capture_output=True, text=True)
    return {
        "rustc": rustc.stdout.strip(),
        "libc": " ".join(platform.libc_ver()),
        "arch": platform.machine(),
    }


def read():
    if not BASELINE.exists():
        return {"machine": {}, "reasons": [], "rows": {}}
    return tomllib.loads(BASELINE.read_text())


def write(baseline):
    def text(value):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'

    lines = [HEADER, "reasons = ["]
    lines += [f"    {text(reason)}," for reason in baseline["reasons"]]
    lines += ["]", "", "[machine]"]
    lines += [f"{key} = {text(value)}" for key, value in baseline["machine"].items()]
    lines += ["", "[rows]"]
    lines += [f"{text(name)} = {count:.1f}" for name, count in sorted(baseline["rows"].items())]
    BASELINE.write_text("\n".join(lines) + "\n")


def complaints(old, new):
    """One line for each row that grew, came or went."""
    lines = []
    for name in sorted(old | new):
        before, now = old.get(name), new.get(name)
        if before is None:
            lines.append(f"{name}: new, {now} instructions per call")
        elif now is None:
            lines.append(f"{name}: gone, had {before} instructions per call")
        elif now > max(before * (1 + MAX_GROWTH), before + MIN_GROWTH):
            growth = 100 * (now / before - 1)
            lines.append(f"{name}: {before} -> {now} instructions per call, +{growth:.1f} %")
    return lines


def verdict(baseline, here, rows):
    """The exit status, and what to say."""
    lines = complaints(baseline["rows"], rows)
    if not lines:
        return 0, [f"instructions per call: ok ({len(rows)} rows)"]
    if baseline["machine"] != here:
        other = ", ".join(f"{baseline['machine'].get(key)} here {here[key]}" for key in here
                          if baseline["machine"].get(key) != here[key])
        return 0, [*lines, f"not judged: benches/instructions.toml was written with {other}"]
    return 1, [
        *lines,
        "more instructions per call than in benches/instructions.toml, by more than 2 %",
        "if that is what the change is worth: scripts/callgrind.py --update 'REASON'",
        "and commit the file with the change",
    ]


def self_test():
    """The check must fail where it has to, and only there."""
    here = {"rustc": "1", "libc": "2", "arch": "3"}
    baseline = {"machine": here, "reasons": [], "rows": {"a/b/c": 100.0, "a/b/d": 3.0}}
    cases = [
        ({"a/b/c": 102.0, "a/b/d": 3.4}, here, 0, "ok (2 rows)"),
        ({"a/b/c": 50.0, "a/b/d": 3.0}, here, 0, "ok (2 rows)"),
        ({"a/b/c": 102.1, "a/b/d": 3.0}, here, 1, "a/b/c: 100.0 -> 102.1 instructions per call, +2.1 %"),
        ({"a/b/c": 100.0, "a/b/d": 3.6}, here, 1, "a/b/d: 3.0 -> 3.6 "),
        ({"a/b/c": 100.0}, here, 1, "a/b/d: gone"),
        ({"a/b/c": 1.0, "a/b/d": 1.0, "a/b/e": 1.0}, here, 1, "a/b/e: new"),
        ({"a/b/c": 200.0, "a/b/d": 3.0}, here | {"rustc": "9"}, 0, "not judged: "),
        ({"a/b/c": 200.0, "a/b/d": 3.0}, here, 1, "--update 'REASON'"),
    ]
    for rows, machine_here, status, expected in cases:
        got, lines = verdict(baseline, machine_here, rows)
        if got != status or expected not in "\n".join(lines):
            raise Failed(f"self-test: {rows} gave {got} and {lines}, not {status} and {expected!r}")
    print("instructions per call: the check fails where it has to")


def main(args):
    if args == ["--self-test"]:
        return self_test()
    bench = build()
    if args[:1] in (["--check"], ["--update"]):
        names = [name for name in subjects(bench, "seawall/") if name not in UNCHECKED]
        rows = count_all(bench, names)
        baseline = read()
        if args == ["--check"]:
            status, lines = verdict(baseline, machine(), rows)
            print("\n".join(lines), file=sys.stderr if status else sys.stdout)
            return status
        if len(args) != 2 or not args[1].strip():
            raise Failed("--update takes the reason for the new counts")
        changed = complaints(baseline["rows"], rows)
        print("\n".join(changed or ["no row grew, came or went"]))
        reasons = [*baseline["reasons"], args[1].strip()]
        write({"machine": machine(), "reasons": reasons, "rows": rows})
        return 0
    if len(args) > 1 or args[:1] and args[0].startswith("-"):
        print(__doc__, file=sys.stderr)
        return 2
    names = subjects(bench, args[0] if args else "seawall/")
    if not names:
        raise Failed(f"no subject's name contains {args[0]!r}")
    print(f"{'subject':<48} instructions per call")
    for name, instructions in count_all(bench, names).items():
        print(f"{name:<48} {instructions}")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except Failed as failed:
        sys.exit(f"callgrind.py: {failed}")
