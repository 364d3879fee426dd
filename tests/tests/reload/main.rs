//! A configuration that is read again while calls run.

#![cfg(unix)]

mod answers;
mod applied;
mod changes;
mod files;
mod options;
mod places;
mod races;
mod reports;
mod sequences;

use std::convert::Infallible;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use seawall::catalog::{ProviderHandles, ProviderStack};
use seawall::config::Config;
use seawall::reload::{ReloadError, ReloadableConfig};

type Body = Full<Bytes>;

const SECOND: Duration = Duration::from_secs(1);

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A folder of one test, which is removed with it.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("seawall-reload-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("seawall.toml")
    }

    fn write(&self, text: impl AsRef<[u8]>) {
        fs::write(self.file(), text).expect("written");
    }

    /// The file with this text, loaded.
    fn load(&self, text: &str) -> ReloadableConfig {
        self.write(text);
        let loader = Config::loader().file(self.file());
        loader.load_reloadable().expect("it is right")
    }

    /// The text as it is after this, read again.
    fn change(&self, config: &ReloadableConfig, text: &str) -> Vec<String> {
        self.write(text);
        config.reload().expect("it is right").changed
    }

    fn wrong(&self, config: &ReloadableConfig, text: &str) -> ReloadError {
        self.write(text);
        config.reload().expect_err("it is wrong")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The mistakes, without the folder before the name of the file.
fn lines(error: &ReloadError, folder: &Folder) -> Vec<String> {
    let prefix = format!("{}/", folder.0.display());
    let lines = error.mistakes().iter();
    lines
        .map(|line| line.to_string().replace(&prefix, ""))
        .collect()
}

fn handles(config: &ReloadableConfig, name: &str) -> ProviderHandles {
    stack(config, name).handles()
}

fn stack(config: &ReloadableConfig, name: &str) -> ProviderStack {
    config.stack(name).expect("it is in the file")
}

fn get() -> Request<Body> {
    Request::get("/").body(Body::default()).expect("valid")
}

fn answer(status: u16) -> Result<Response<Body>, Infallible> {
    let response = Response::builder().status(status).body(Body::default());
    Ok(response.expect("valid"))
}

/// Waits in real time until something holds.
async fn until(what: &str, holds: impl Fn() -> bool) {
    let waited = tokio::time::timeout(20 * SECOND, async {
        while !holds() {
            tokio::time::sleep(ms(5)).await;
        }
    });
    assert!(waited.await.is_ok(), "never: {what}");
}

/// How many calls at once a file allows.
fn permits(count: u32) -> String {
    format!("[resilience.a]\nkind = \"market-data\"\nbulkhead.max_concurrent = {count}\n")
}

fn limit_of(config: &ReloadableConfig) -> u64 {
    u64::from(handles(config, "a").settings().bulkhead.max_concurrent())
}

fn link(target: &Path, link: &Path) {
    std::os::unix::fs::symlink(target, link).expect("a link");
}
