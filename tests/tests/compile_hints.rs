//! What the compiler says of a stack whose parts do not fit: the sentences that name what to do.
//!
//! Each program of `compile_hints/` is checked in a package of its own, offline and with the versions of
//! this workspace. The rest of what the compiler prints is its own and may change.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// What is printed of each program; nothing of one that compiles.
type Printed = BTreeMap<String, String>;

const MANIFEST: &str = r#"
[package]
name = "compile-hints"
version = "0.0.0"
edition = "2024"
publish = false

[workspace]

[dependencies]
seawall = { path = "CRATES/seawall", features = ["grpc"] }
seawall-http = { path = "CRATES/seawall-http" }
seawall-grpc = { path = "CRATES/seawall-grpc" }
bytes = "1"
http = "1"
http-body-util = "0.1"
tower = { version = "0.5", features = ["util"] }
"#;

/// A package with a program for each file of `compile_hints/`.
fn package(root: &Path) -> PathBuf {
    let package = Path::new(env!("CARGO_TARGET_TMPDIR")).join("compile-hints");
    let bins = package.join("src/bin");
    // Programs that have been removed are not checked any more.
    let _ = fs::remove_dir_all(&bins);
    fs::create_dir_all(&bins).expect("a directory");
    let crates = root.join("crates");
    let manifest = MANIFEST.replace("CRATES", &crates.display().to_string());
    fs::write(package.join("Cargo.toml"), manifest).expect("a manifest");
    fs::copy(root.join("Cargo.lock"), package.join("Cargo.lock")).expect("a lock file");
    let programs = root.join("tests/tests/compile_hints");
    for program in fs::read_dir(programs).expect("the programs") {
        let program = program.expect("a program");
        fs::copy(program.path(), bins.join(program.file_name())).expect("a copy");
    }
    package
}

fn check(package: &Path) -> Printed {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["check", "--offline", "--keep-going", "--quiet"])
        .args(["--bins", "--message-format=json"])
        .current_dir(package)
        .env("CARGO_TARGET_DIR", package.join("target"))
        .env("CARGO_TERM_COLOR", "never")
        .env_remove("RUSTFLAGS")
        .output()
        .expect("cargo runs");
    let stdout = String::from_utf8_lossy(&output.stdout);
    let mut printed = Printed::new();
    for line in stdout.lines() {
        let Ok(message) = serde_json::from_str::<serde_json::Value>(line) else {
            continue;
        };
        if message["target"]["kind"][0] != "bin" {
            continue;
        }
        let program = message["target"]["name"].as_str().unwrap_or_default();
        let rendered = message["message"]["rendered"].as_str().unwrap_or_default();
        printed
            .entry(program.to_owned())
            .or_default()
            .push_str(rendered);
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!printed.is_empty(), "nothing was checked: {stderr}");
    printed
}

/// The sentences that a program names in its lines `//~`.
fn wanted(program: &str) -> Vec<&str> {
    let hints = program.lines().filter_map(|line| line.strip_prefix("//~ "));
    hints.collect()
}

#[test]
fn the_compiler_says_what_to_do() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the workspace");
    let package = package(root);
    let printed = check(&package);
    let (mut checked, mut missing) = (0, Vec::new());
    for program in fs::read_dir(package.join("src/bin")).expect("the programs") {
        let path = program.expect("a program").path();
        let name = path
            .file_stem()
            .and_then(|name| name.to_str())
            .expect("a name");
        let program = fs::read_to_string(&path).expect("a program");
        let output = printed.get(name).map(String::as_str).unwrap_or_default();
        let wanted = wanted(&program);
        if name == "fits" {
            assert!(wanted.is_empty() && output.is_empty(), "{name}: {output}");
        } else {
            assert!(!wanted.is_empty(), "{name} names no hint");
        }
        // The compiler breaks lines where it likes.
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        for hint in wanted {
            if !words(output).contains(&words(hint)) {
                missing.push(format!("{name}: no `{hint}` in\n{output}"));
            }
        }
        checked += 1;
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
    assert_eq!(checked, printed.len(), "{printed:#?}");
}
