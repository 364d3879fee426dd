//! Settings that are changed while the program runs.

use std::fs;
use std::path::PathBuf;

use seawall::config::{Config, SettingChanges};
use seawall::reload::{ReloadError, ReloadableConfig};

use super::Folder;

const TEXT: &str = "[resilience.feed]\nkind = \"market-data\"\nbulkhead.max_concurrent = 8\n\
    [resilience.desk]\nprovider = \"alpaca\"\n";

fn changes(folder: &Folder) -> PathBuf {
    folder.0.join("changes.toml")
}

fn load(folder: &Folder) -> ReloadableConfig {
    let loader = Config::loader().file(folder.file());
    let loader = loader.overlay_file(changes(folder));
    loader.load_reloadable().expect("a configuration")
}

fn permits(config: &ReloadableConfig) -> u32 {
    let feed = config.stack("feed").expect("a service");
    feed.handles().snapshot().bulkhead.limit
}

#[test]
fn a_change_outlasts_a_reload_and_once_saved_a_restart() {
    let folder = Folder::new();
    folder.write(TEXT);
    let config = load(&folder);
    assert_eq!(permits(&config), 8);
    let generation = config.status().generation;
    config
        .change(&SettingChanges::new().set("feed", "bulkhead.max_concurrent", 3))
        .expect("accepted");
    assert_eq!(
        (permits(&config), config.status().generation),
        (3, generation + 1)
    );

    folder.write(TEXT.replace("= 8", "= 9"));
    config.reload().expect("no mistake");
    assert_eq!(permits(&config), 3, "the change is over the file");
    let changed = config.changed_settings().expect("no mistake");
    assert_eq!(changed.len(), 1, "{changed:?}");
    assert_eq!(
        (changed[0].configured.as_str(), changed[0].in_force.as_str()),
        ("9", "3")
    );
    assert_eq!(permits(&load(&folder)), 9, "it is not saved");

    let path = config.save_changes().expect("a file");
    assert_eq!(path, changes(&folder));
    assert_eq!(permits(&load(&folder)), 3);

    config
        .change(&SettingChanges::new().unset("feed", "bulkhead.max_concurrent"))
        .expect("accepted");
    assert_eq!(permits(&config), 9);
    assert_eq!(config.changed_settings().expect("no mistake"), []);
    config.save_changes().expect("no file");
    assert!(!changes(&folder).exists());
    config.save_changes().expect("nothing to remove");
}

#[test]
fn a_change_with_a_mistake_changes_nothing_and_says_what_is_accepted() {
    let folder = Folder::new();
    folder.write(TEXT);
    let config = load(&folder);
    config.stack("desk").expect("a service");
    assert_eq!(permits(&config), 8);
    let before = config.status().generation;
    let set = |service: &str, key: &str| {
        SettingChanges::new()
            .set("feed", "bulkhead.max_concurrent", 2)
            .set(service, key, 0)
    };
    for (wrong, expected) in [
        (
            set("fed", "retry.attempts"),
            "`service` is \"fed\", accepted is feed",
        ),
        (set("feed", "retry.atempts"), "did you mean `attempts`?"),
        (set("feed", "retry.attempts"), "feed.retry.attempts"),
        (set("feed", "nothing.of.this"), "feed.nothing"),
        (
            SettingChanges::new().set("desk", "tier", "no-such-tier"),
            "desk.tier",
        ),
        (
            SettingChanges::new().set("feed", "retry.\"x]\n[resilience.feed", 1),
            "feed.retry",
        ),
    ] {
        for result in [config.try_changes(&wrong), config.change(&wrong)] {
            let error = result.expect_err("a mistake").to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
    let new_stack = SettingChanges::new().set("desk", "provider", "kraken");
    assert!(matches!(
        config.try_changes(&new_stack),
        Err(ReloadError::NeedsNewStack(_))
    ));
    assert!(matches!(
        config.change(&new_stack),
        Err(ReloadError::NeedsNewStack(_))
    ));
    assert_eq!((permits(&config), config.status().generation), (8, before));

    let tried =
        config.try_changes(&SettingChanges::new().set("feed", "bulkhead.max_concurrent", 2));
    assert_eq!(tried.expect("accepted").changed, ["feed"]);
    assert_eq!(permits(&config), 8, "it was tried");
}

#[test]
fn a_change_for_another_generation_is_not_done() {
    let folder = Folder::new();
    folder.write(TEXT);
    let config = load(&folder);
    let fewer =
        |permits: i32| SettingChanges::new().set("feed", "bulkhead.max_concurrent", permits);
    let seen = config.status().generation;
    config.change_from(seen, &fewer(3)).expect("it is in force");
    let error = config.change_from(seen, &fewer(4)).unwrap_err();
    assert_eq!((error.reason(), permits(&config)), ("other_generation", 3));
    folder.write(TEXT.replace("= 8", "= 9").replace("alpaca", "kraken"));
    config.reload().expect("no mistake");
    let error = config.change_from(seen + 1, &fewer(4)).unwrap_err();
    assert_eq!((error.reason(), permits(&config)), ("other_generation", 3));
}

#[test]
fn a_file_of_changes_that_is_none_is_an_error_and_services_may_be_gone() {
    let folder = Folder::new();
    folder.write(TEXT);
    fs::write(changes(&folder), "feed = 1\n").expect("a file");
    let loader = Config::loader().file(folder.file());
    let error = loader
        .overlay_file(changes(&folder))
        .load_reloadable()
        .unwrap_err();
    assert!(error.to_string().contains("changes.toml"), "{error}");

    let gone =
        "[resilience.gone]\nretry.attempts = 2\n[resilience.feed]\nbulkhead.max_concurrent = 4\n";
    fs::write(changes(&folder), gone).expect("a file");
    let config = load(&folder);
    assert_eq!(permits(&config), 4);
    config.save_changes().expect("a file");
    let saved = fs::read_to_string(changes(&folder)).expect("a file");
    assert!(saved.contains("gone"), "it may come back: {saved}");
    let changed = config.changed_settings().expect("no mistake");
    let gone = changed
        .iter()
        .find(|setting| setting.service == "gone")
        .expect("it is shown");
    assert_eq!(
        (gone.key.as_str(), gone.in_force.as_str()),
        ("retry.attempts", "2")
    );
    let set = SettingChanges::new().set("gone", "retry.attempts", 3);
    assert!(config.change(&set).is_err(), "there is no such service");
    config
        .change(&SettingChanges::new().unset("gone", "retry.attempts"))
        .expect("taken back");
    config.save_changes().expect("a file");
    let saved = fs::read_to_string(changes(&folder)).expect("a file");
    assert!(!saved.contains("gone"), "{saved}");

    let none = Config::loader()
        .file(folder.file())
        .load_reloadable()
        .expect("it");
    assert_eq!(
        none.save_changes().unwrap_err().kind(),
        std::io::ErrorKind::Unsupported
    );
}
