//! The program, as a user runs it.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

/// A file of that name and text in a folder of its own, gone with this value.
struct File {
    folder: PathBuf,
}

impl File {
    fn new(test: &str, text: &str) -> Self {
        let folder = format!("seawall-cli-{}-{test}", std::process::id());
        let folder = std::env::temp_dir().join(folder);
        fs::create_dir_all(&folder).expect("writable");
        fs::write(folder.join("seawall.toml"), text).expect("writable");
        Self { folder }
    }

    fn run(
        &self,
        command: &str,
        more: &[&str],
        env: &[(&str, &str)],
    ) -> (Option<i32>, String, String) {
        let mut seawall = seawall();
        seawall
            .current_dir(&self.folder)
            .args([command, "seawall.toml"])
            .args(more);
        texts(&seawall.envs(env.iter().copied()).output().expect("it runs"))
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn seawall() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_seawall"));
    command.env_clear();
    command
}

fn texts(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.code(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    texts(&seawall().args(arguments).output().expect("it runs"))
}

const GOOD: &str = "[resilience]\nutilization = 0.5\n[resilience.orders]\nprovider = \"alpaca\"\nretry.attempts = 2\n[resilience.feed]\nkind = \"market-data\"\n";

#[test]
fn a_good_file_is_checked_with_exit_code_0() {
    let file = File::new("good", GOOD);
    let (code, out, errors) = file.run("check", &[], &[]);
    assert_eq!(
        (code, out.as_str(), errors.as_str()),
        (Some(0), "seawall.toml: 2 services, no mistake\n", "")
    );
}

#[test]
fn all_mistakes_of_a_bad_file_are_listed_with_exit_code_2() {
    let file = File::new(
        "bad",
        "[resilience.feed]\ndeadline = 20\nretry.atempts = 1\n",
    );
    let (code, out, errors) = file.run("check", &[], &[]);
    assert_eq!((code, out.as_str()), (Some(2), ""));
    let lines: Vec<_> = errors.lines().collect();
    assert!(
        lines[0].starts_with("seawall.toml:2:12: `feed.deadline` is 20, accepted is"),
        "{errors}"
    );
    assert!(
        lines[1].starts_with("seawall.toml:3:7: `feed.retry.atempts` is unknown"),
        "{errors}"
    );
    assert_eq!(lines[2..], ["2 mistakes"]);
    let (code, _, errors) = run(&["check", "/nowhere/seawall.toml"]);
    assert_eq!(code, Some(2));
    assert!(
        errors.starts_with("seawall: /nowhere/seawall.toml cannot be read: "),
        "{errors}"
    );
}

#[test]
fn mistakes_are_listed_where_they_do_not_fail_the_load_either() {
    let text = "[resilience]\nfail_safe_defaults = true\n[resilience.feed.retry]\nattempts = 0\n";
    let file = File::new("safe", text);
    let (code, _, errors) = file.run("check", &[], &[]);
    assert_eq!(code, Some(2));
    assert!(errors.contains("`feed.retry.attempts` is 0"), "{errors}");
    let (code, out, _) = file.run("show", &[], &[]);
    assert_eq!(code, Some(2));
    assert!(
        out.contains("kind api-client, with its safe numbers"),
        "{out}"
    );
}

#[cfg(unix)]
#[test]
fn a_pipe_is_an_error_and_is_not_waited_for() {
    let file = File::new("pipe", GOOD);
    let path = file.folder.join("seawall.toml");
    fs::remove_file(&path).expect("removed");
    let made = Command::new("mkfifo").arg(&path).status();
    assert!(made.expect("there is `mkfifo`").success());
    let (code, _, errors) = file.run("check", &[], &[]);
    assert_eq!(code, Some(2));
    let text = "seawall: seawall.toml cannot be read: it is no regular file";
    assert!(errors.starts_with(text), "{errors}");
}

#[test]
fn what_is_in_force_is_shown_with_where_it_comes_from() {
    let file = File::new("show", GOOD);
    let variables = [("SEAWALL__ORDERS__DEADLINE", "25s")];
    let row = |text: &str, key: &str| -> Vec<String> {
        let mut lines = text.lines();
        let line = lines.find(|line| line.trim_start().starts_with(&format!("{key} ")));
        let line = line.unwrap_or_else(|| panic!("{key}\n{text}"));
        line.split("  ")
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .map(str::to_owned)
            .collect()
    };
    let (code, out, _) = file.run("show", &["orders"], &variables);
    assert_eq!(code, Some(0));
    assert!(
        out.starts_with("[orders]  provider alpaca, tier standard\n"),
        "{out}"
    );
    assert!(!out.contains("[feed]"));
    assert!(
        row(&out, "retry.attempts")
            .join(" ")
            .ends_with("= 2 seawall.toml:5:18"),
        "{out}"
    );
    assert!(
        row(&out, "utilization")
            .join(" ")
            .ends_with("= 0.5 defaults, seawall.toml:2:15"),
        "{out}"
    );
    assert!(
        row(&out, "deadline")
            .join(" ")
            .ends_with("= 25s SEAWALL__ORDERS__DEADLINE"),
        "{out}"
    );
    assert!(
        row(&out, "breaker.probes")
            .join(" ")
            .ends_with("provider alpaca, tier standard"),
        "{out}"
    );
    let (_, out, _) = file.run("show", &["orders", "--no-env"], &variables);
    assert!(
        row(&out, "deadline")
            .join(" ")
            .ends_with("provider alpaca, tier standard"),
        "{out}"
    );
    let (_, out, _) = file.run("show", &[], &[]);
    assert!(
        out.contains("[feed]  kind market-data\n") && out.contains("[orders]"),
        "{out}"
    );
    let models = File::new("models", "[resilience.assistant]\nprovider = \"openai\"\n");
    let (_, out, _) = models.run("show", &[], &[]);
    assert!(
        out.starts_with(
            "[assistant]  provider openai, tier tier-1, with the limits of each model\n"
        ),
        "{out}"
    );
    let text = "[resilience.quotes]\ncache.ttl = \"1s\"\n";
    let kept = File::new("kept", text);
    let (_, out, _) = kept.run(
        "show",
        &[],
        &[("SEAWALL__QUOTES__CACHE__MAX_WEIGHT", "9000")],
    );
    for (key, shown) in [
        ("cache.ttl", "= 1s seawall.toml:2:13"),
        (
            "cache.max_weight",
            "= 9000 SEAWALL__QUOTES__CACHE__MAX_WEIGHT",
        ),
        ("cache.max_entries", "= 10000 default"),
    ] {
        assert!(row(&out, key).join(" ").ends_with(shown), "{key}\n{out}");
    }
    assert!(
        !out.contains("fallback.") && !out.contains("coalesce."),
        "{out}"
    );
    let (code, _, errors) = kept.run("check", &[], &[("SEAWALL__QUOTES__CACHE__TTL", "0s")]);
    let wrong =
        "SEAWALL__QUOTES__CACHE__TTL: `quotes.cache.ttl` is 0s, accepted is longer than zero";
    assert_eq!(code, Some(2));
    assert!(errors.starts_with(wrong), "{errors}");
    let (code, _, errors) = file.run("show", &["order"], &[]);
    assert_eq!(code, Some(2));
    assert_eq!(
        errors,
        "seawall: there is no service `order`, there is `orders`\n"
    );
    let (code, _, errors) = file.run("check", &[], &[("SEAWALL__ORDERS__DEADLIN", "1s")]);
    assert_eq!(code, Some(2));
    assert!(
        errors.starts_with("SEAWALL__ORDERS__DEADLIN: leads nowhere"),
        "{errors}"
    );
}

#[test]
fn providers_and_the_schema_are_printed() {
    let (code, out, _) = run(&["providers"]);
    assert_eq!(code, Some(0));
    assert!(out.lines().count() > 15, "{out}");
    assert!(
        out.lines()
            .any(|line| line.starts_with("alpaca ") && line.contains("standard, plus")),
        "{out}"
    );
    let (code, out, _) = run(&["providers", "kraken"]);
    assert_eq!(code, Some(0));
    assert!(out.starts_with("## Kraken, Spot"), "{out}");
    let (code, _, errors) = run(&["providers", "krakn"]);
    assert_eq!(
        (code, errors.contains("`kraken`")),
        (Some(2), true),
        "{errors}"
    );
    let (code, out, _) = run(&["schema"]);
    assert_eq!((code, out.starts_with("{\n  \"$schema\"")), (Some(0), true));
}

#[test]
fn what_cannot_be_meant_is_an_error_with_the_usage() {
    for (arguments, part) in [
        (&[][..], "a command is missing"),
        (&["chek"], "there is no command `chek`"),
        (&["check"], "a FILE is missing"),
        (&["check", "a", "b"], "`b` is one argument too many"),
        (&["check", "--fast"], "there is no option `--fast`"),
    ] {
        let (code, _, errors) = run(arguments);
        assert_eq!(code, Some(2));
        assert!(
            errors.contains(part) && errors.contains("seawall show FILE"),
            "{errors}"
        );
    }
    let (code, out, _) = run(&["--help"]);
    assert_eq!((code, out.contains("seawall check FILE")), (Some(0), true));
    let (code, out, _) = run(&["--version"]);
    assert_eq!((code, out.starts_with("seawall 0.")), (Some(0), true));
}

#[cfg(unix)]
#[test]
fn a_variable_that_is_not_unicode_is_a_mistake() {
    use std::os::unix::ffi::OsStrExt as _;
    let file = File::new("unicode", GOOD);
    let mut seawall = seawall();
    seawall
        .current_dir(&file.folder)
        .args(["check", "seawall.toml"]);
    let value = std::ffi::OsStr::from_bytes(b"2\xff");
    seawall.env("SEAWALL__RETRY__ATTEMPTS", value);
    let (code, _, errors) = texts(&seawall.output().expect("it runs"));
    assert_eq!(code, Some(2));
    assert!(
        errors.starts_with("SEAWALL__RETRY__ATTEMPTS: `retry.attempts` is \"2\u{fffd}\""),
        "{errors}"
    );
}

#[test]
fn a_file_of_experiments_is_checked_and_shows_when_each_is_due() {
    let text = r#"
        [[experiment]]
        name = "quotes hang"
        hypothesis = { metric = "success_ratio", service = "quotes", at_least = 0.95 }
        schedule = { cron = "0 7 * * SAT", zone = "UTC" }
        blast_radius = { services = ["quotes"] }
        run = { during = "1m" }
        fault = [{ kind = "hang", intensity = 0.5 }]
    "#;
    let check = |test: &str, text: &str| {
        let file = File::new(test, text);
        let path = file.folder.join("seawall.toml");
        run(&["experiments", "check", path.to_str().expect("text")])
    };
    let (code, out, _) = check("experiments", text);
    assert_eq!(code, Some(0));
    assert!(
        out.starts_with("quotes hang: success_ratio of quotes is at least 0.95\n  "),
        "{out}"
    );
    assert_eq!(out.matches("T07:00:00Z\n").count(), 3, "{out}");
    assert!(out.ends_with(": 1 experiment, no mistake\n"), "{out}");

    let game_day = text.replace("cron = \"0 7 * * SAT\", zone = \"UTC\"", "game_day = true");
    assert!(
        check("game-day", &game_day)
            .1
            .contains("\n  on a game day\n")
    );

    let (code, out, errors) = check("bad-experiments", &text.replace("0.5", "5"));
    assert_eq!((code, out.as_str()), (Some(2), ""));
    assert!(
        errors.contains("line 2: \"quotes hang\": `fault[0].intensity` is 5, accepted is"),
        "{errors}"
    );

    assert_eq!(run(&["experiments"]).0, Some(2));
    assert_eq!(run(&["experiments", "check", "/nowhere/x.toml"]).0, Some(2));
}
