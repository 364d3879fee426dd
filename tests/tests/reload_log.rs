//! What is logged of a configuration that is read again. Alone in its process, as `tracing_events.rs`.

#[path = "support/log.rs"]
mod log;

use std::fs;

use log::Log;
use seawall::config::Config;

#[test]
fn a_bad_file_is_a_warning_once_and_a_good_one_an_info() {
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.clone());
    let path = std::env::temp_dir().join(format!("seawall-log-{}.toml", std::process::id()));
    let write = |text: &str| fs::write(&path, text).expect("written");
    write("[resilience]\nfail_safe_defaults = true\n[resilience.a]\nretry.attempts = 0\n");
    let config = Config::loader()
        .file(&path)
        .load_reloadable()
        .expect("right");
    for text in [
        "[resilience.a]\nretry.atempts = 3\n",
        "[resilience.a]\nretry.attempts = 3\n",
    ] {
        write(text);
        for _ in 0..3 {
            let _ = config.reload();
        }
    }
    fs::remove_file(&path).expect("removed");
    let lines = log.0.lock().expect("not poisoned").clone();
    let [first, wrong, right] = &lines[..] else {
        panic!("{lines:?}");
    };
    assert!(
        first.starts_with(
            "WARN message=configuration with mistakes: services have the safe numbers"
        ),
        "{first}"
    );
    assert!(first.contains(":4:18: `a.retry.attempts` is 0"), "{first}");
    assert!(
        wrong.starts_with("WARN message=configuration not reloaded"),
        "{wrong}"
    );
    assert!(
        wrong.contains(":2:7: `a.retry.atempts` is unknown"),
        "{wrong}"
    );
    assert!(wrong.contains("reason=\"invalid\""), "{wrong}");
    assert!(
        right.starts_with("INFO message=configuration reloaded"),
        "{right}"
    );
    assert!(
        right.contains("generation=2") && right.contains("recovered=true"),
        "{right}"
    );
}
