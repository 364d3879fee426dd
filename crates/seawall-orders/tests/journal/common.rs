//! Folders that go away, and journals in them.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::SystemTime;

use seawall_orders::Operation;
use seawall_orders::journal::durable::{DurableConfig, DurableJournal};
use seawall_orders::journal::{Intent, SavedRequest};

pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("seawall-orders-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.0.join("orders.journal")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(crate) async fn open(path: &Path) -> DurableJournal {
    let opened = DurableJournal::open(path, DurableConfig::default()).await;
    opened.unwrap_or_else(|error| panic!("{error}"))
}

pub(crate) fn intent(id: &str) -> Intent {
    let request = SavedRequest::new("POST", "/v2/orders")
        .header("content-type", b"application/json")
        .body(r#"{"symbol":"AAPL","qty":"1","side":"buy","type":"market"}"#);
    Intent::new(id, Operation::Create, SystemTime::now())
        .account("alpaca/paper")
        .request(request)
}
