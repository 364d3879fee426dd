//! Last good answers in a file.

use super::*;
use seawall_cache::{Ask, CacheRules, SnapshotCodec, SnapshotError, SnapshotFile};
use std::path::PathBuf;

struct Plain;

impl SnapshotCodec<&'static str, Price> for Plain {
    fn encode(&self, key: &&'static str, price: &Price, out: &mut Vec<u8>) -> bool {
        out.extend(price.value().to_le_bytes());
        out.extend(key.as_bytes());
        !key.starts_with("secret")
    }

    fn decode(&self, bytes: &[u8]) -> Option<(&'static str, Price)> {
        let (price, key) = bytes.split_first_chunk()?;
        let key = std::str::from_utf8(key)
            .ok()
            .filter(|key| !key.is_empty())?;
        Some((
            key.to_owned().leak(),
            Degraded::fresh(u64::from_le_bytes(*price)),
        ))
    }
}

/// A directory that is removed with it.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let name = format!("seawall-cache-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self) -> SnapshotFile<Plain> {
        SnapshotFile::new(self.0.join("prices"), Plain)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn an_hour() -> CacheConfigBuilder {
    one_second().stale_on_failure(3_600 * SECOND)
}

#[tokio::test]
async fn a_restart_in_an_outage_starts_with_what_was_good_before() {
    let directory = Directory::new("restart");
    let (cache, _, handle) = self::cache(an_hour());
    assert_eq!(price(&cache, "SPY").await, 1);
    assert_eq!(price(&cache, "QQQ").await, 2);
    assert_eq!(price(&cache, "secret").await, 3);
    tokio::time::sleep(1_100 * MS).await;
    let saved = handle.save(&directory.file()).unwrap();
    assert_eq!((saved.written, saved.left_out), (2, 1));

    let (cache, upstream, handle) = self::cache(an_hour());
    upstream.script([rejected(Reason::CircuitOpen)]);
    assert_eq!(handle.load(&directory.file()).unwrap().restored, 2);
    let price = cache.clone().oneshot("SPY").await.unwrap();
    let mark = price.degradation().unwrap();
    assert_eq!((*price.value(), mark.reason), (1, "circuit_open"));
    assert!(mark.age.unwrap() >= 1_090 * MS, "{mark:?}");
    // The upstream is back.
    assert_eq!(self::price(&cache, "SPY").await, 2);
}

#[tokio::test]
async fn what_is_kept_already_and_what_is_too_old_is_not_restored() {
    let directory = Directory::new("old");
    let (cache, _, handle) = self::cache(an_hour());
    price(&cache, "SPY").await;
    handle.save(&directory.file()).unwrap();

    let (cache, upstream, handle) = self::cache(an_hour());
    upstream.script([Ok(Degraded::fresh(77))]);
    assert_eq!(price(&cache, "SPY").await, 77);
    assert_eq!(handle.load(&directory.file()).unwrap().restored, 0);
    assert_eq!(price(&cache, "SPY").await, 77);

    // Another program has stricter settings.
    tokio::time::sleep(20 * MS).await;
    let (_, _, handle) = self::cache(CacheConfig::builder(MS).stale_on_failure(10 * MS));
    let loaded = handle.load(&directory.file()).unwrap();
    assert_eq!((loaded.restored, loaded.too_old), (0, 1));
}

#[cfg(unix)]
#[tokio::test]
async fn a_save_replaces_a_regular_file_or_a_link_to_one_alone() {
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    let directory = Directory::new("replaced");
    let (cache, _, handle) = self::cache(an_hour());
    price(&cache, "SPY").await;
    let at = |name: &str| directory.0.join(name);
    let save = |name: &str| handle.save(&SnapshotFile::new(at(name), Plain));

    let _socket = UnixListener::bind(at("socket")).unwrap();
    std::fs::create_dir(at("directory")).unwrap();
    symlink("/dev/null", at("device")).unwrap();
    symlink(at("directory"), at("link to a directory")).unwrap();
    for name in ["socket", "directory", "device", "link to a directory"] {
        let before = std::fs::symlink_metadata(at(name)).unwrap();
        let error = save(name).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains("regular"), "{error}");
        let after = std::fs::symlink_metadata(at(name)).unwrap();
        assert_eq!(before.file_type(), after.file_type(), "{name}");
    }

    std::fs::write(at("linked"), "as it is").unwrap();
    symlink(at("linked"), at("link")).unwrap();
    symlink(at("nowhere"), at("link to nothing")).unwrap();
    for name in ["link", "link to nothing", "new"] {
        for _ in 0..2 {
            assert_eq!(save(name).unwrap().written, 1, "{name}");
            assert!(std::fs::symlink_metadata(at(name)).unwrap().is_file());
        }
    }
    assert_eq!(std::fs::read_to_string(at("linked")).unwrap(), "as it is");
    let left = std::fs::read_dir(&directory.0).unwrap();
    assert_eq!(left.count(), 8, "nothing is left beside them");
}

#[tokio::test]
async fn what_is_restored_weighs_what_it_did() {
    let weigh = || StoreClone::new().weigh(|price: &Price| *price.value() * 10);
    let directory = Directory::new("weight");
    let layer = layer(an_hour()).store(weigh());
    let handle = layer.handle();
    let cache = layer.layer(Upstream::default());
    for number in 0..20 {
        let symbol: &'static str = format!("{number}").leak();
        cache.clone().oneshot(symbol).await.unwrap();
    }
    // Each counts 1 here.
    assert_eq!(handle.save(&directory.file()).unwrap().written, 20);

    let small = self::layer(an_hour().max_weight(1_000))
        .store(weigh())
        .handle();
    let loaded = small.load(&directory.file()).unwrap();
    let snapshot = small.snapshot();
    assert_eq!(loaded.restored, snapshot.entries);
    assert!(snapshot.entries < 20 && snapshot.weight >= 10 * snapshot.entries as u64);
    assert!(snapshot.weight <= 1_000, "{snapshot:?}");

    // The bound is set after the file was loaded.
    let later = self::layer(an_hour()).store(weigh()).handle();
    assert_eq!(later.load(&directory.file()).unwrap().restored, 20);
    let bounded = an_hour().max_weight(1_000).build().unwrap();
    later.configure(bounded).unwrap();
    let snapshot = later.snapshot();
    assert!(
        snapshot.entries < 20 && snapshot.weight <= 1_000,
        "{snapshot:?}"
    );
}

#[tokio::test]
async fn what_is_restored_is_what_is_kept_and_may_be_given() {
    let directory = Directory::new("counts");
    let (cache, _, handle) = self::cache(an_hour());
    for number in 0..200 {
        price(&cache, format!("{number}").leak()).await;
    }
    assert_eq!(handle.save(&directory.file()).unwrap().written, 200);

    let (_, _, small) = self::cache(an_hour().max_entries(10));
    let loaded = small.load(&directory.file()).unwrap();
    assert_eq!(loaded.restored, small.snapshot().entries);
    assert_eq!(loaded.restored + loaded.too_old, 200, "{loaded:?}");

    // Stale, and these settings have no use for that.
    tokio::time::sleep(1_100 * MS).await;
    let (cache, upstream, handle) = self::cache(one_second());
    let loaded = handle.load(&directory.file()).unwrap();
    assert_eq!((loaded.restored, loaded.too_old), (0, 200));
    upstream.script([Err(Failed::Down)]);
    assert_eq!(cache.clone().oneshot("1").await, Err(Failed::Down));

    let refreshed = one_second().stale_while_revalidate(SECOND);
    let (_, _, handle) = self::cache(refreshed);
    assert_eq!(handle.load(&directory.file()).unwrap().restored, 0);
}

/// By the first letter, as the hash of a group.
struct Grouped;

impl SnapshotCodec<&'static str, Price> for Grouped {
    fn encode(&self, key: &&'static str, price: &Price, out: &mut Vec<u8>) -> bool {
        Plain.encode(key, price, out)
    }

    fn decode(&self, bytes: &[u8]) -> Option<(&'static str, Price)> {
        Plain.decode(bytes)
    }

    fn group(&self, key: &&'static str) -> Option<u64> {
        Some(group_of(key))
    }
}

/// Far enough from each other that none has the place of another one.
fn group_of(key: &str) -> u64 {
    u64::from(key.as_bytes()[0]) << 20
}

#[tokio::test]
async fn what_was_invalidated_is_not_restored() {
    let directory = Directory::new("invalidated");
    let (cache, _, handle) = self::cache(an_hour());
    for symbol in ["SPY", "A", "B", "C", "D", "E", "F", "G"] {
        price(&cache, symbol).await;
    }
    handle.save(&directory.file()).unwrap();
    handle.invalidate(&"SPY");
    let loaded = handle.load(&directory.file()).unwrap();
    assert_eq!(loaded.restored, 0);
    assert!(loaded.invalidated >= 1, "{loaded:?}");
    assert_eq!(price(&cache, "SPY").await, 9);

    // Another program makes it invalid before it loads.
    let (cache, _, handle) = self::cache(an_hour());
    handle.invalidate(&"SPY");
    let loaded = handle.load(&directory.file()).unwrap();
    // Two keys may have one place among the counts of invalidations, three hardly.
    assert!((6..=7).contains(&loaded.restored), "{loaded:?}");
    assert_eq!(loaded.restored + loaded.invalidated, 8);
    let before = handle.counts().calls.miss;
    price(&cache, "SPY").await;
    assert_eq!(handle.counts().calls.miss, before + 1);

    let (_, _, handle) = self::cache(an_hour());
    handle.clear();
    let loaded = handle.load(&directory.file()).unwrap();
    assert_eq!((loaded.restored, loaded.invalidated), (0, 8));
}

#[tokio::test]
async fn what_was_invalidated_by_its_group_is_not_restored() {
    let directory = Directory::new("group");
    let (cache, _, handle) = self::cache(an_hour());
    price(&cache, "SPY").await;
    let file = SnapshotFile::new(directory.0.join("grouped"), Grouped);
    handle.save(&file).unwrap();

    let layer = layer(an_hour()).rules(Changes);
    let handle = layer.handle();
    let cache = layer.layer(Upstream::default());
    cache.clone().oneshot("change Q").await.unwrap();
    cache.clone().oneshot("change S").await.unwrap();
    let loaded = handle.load(&file).unwrap();
    assert_eq!((loaded.restored, loaded.invalidated), (0, 1));
}

/// Changes of a group.
#[derive(Clone, Copy)]
struct Changes;

impl CacheRules<&'static str, Price, Price> for Changes {
    type Key = &'static str;
    type Asked = ();

    fn ask(&self, request: &&'static str) -> Ask<&'static str> {
        let group = request.strip_prefix("change ").map(group_of);
        group.map_or(Ask::Pass, |group| Ask::Change { group })
    }
}

#[tokio::test]
async fn a_file_that_is_damaged_or_too_large_is_an_error_and_nothing_is_kept() {
    let directory = Directory::new("damaged");
    let file = directory.file();
    let (cache, _, handle) = self::cache(an_hour());
    assert!(handle.load(&file).unwrap_err().is_not_found());
    for symbol in ["SPY", "QQQ"] {
        price(&cache, symbol).await;
    }
    handle.save(&file).unwrap();
    let good = std::fs::read(file.path()).unwrap();
    let (_, _, fresh) = self::cache(an_hour());

    for end in 0..good.len() {
        std::fs::write(file.path(), &good[..end]).unwrap();
        assert!(fresh.load(&file).is_err(), "cut at {end}");
    }
    for index in 0..good.len() {
        let mut bad = good.clone();
        bad[index] ^= 1;
        std::fs::write(file.path(), &bad).unwrap();
        let error = fresh.load(&file).unwrap_err();
        let is_head = index < 16;
        assert_eq!(
            matches!(error, SnapshotError::Unknown(_)),
            is_head,
            "{index}: {error}"
        );
    }
    assert_eq!(fresh.snapshot().entries, 0);
    let (loaded, error) = fresh.load_or_start_empty(&file);
    assert!(loaded.restored == 0 && matches!(error, Some(SnapshotError::Damaged(_))));

    std::fs::write(file.path(), &good).unwrap();
    let small = directory.file().max_bytes(good.len() as u64 - 1);
    assert!(matches!(
        fresh.load(&small),
        Err(SnapshotError::TooLarge(..))
    ));
    let saved = handle.save(&small).unwrap();
    assert_eq!(
        (saved.written, saved.left_out),
        (1, 1),
        "what does not fit is left out"
    );
    assert_eq!(fresh.load(&small).unwrap().restored, 1);
}

#[tokio::test]
async fn a_file_that_cannot_be_written_leaves_the_one_before() {
    let directory = Directory::new("unwritable");
    let (cache, _, handle) = self::cache(an_hour());
    price(&cache, "SPY").await;
    handle.save(&directory.file()).unwrap();
    // What is written beside it has a name that is too long.
    let long = SnapshotFile::new(directory.0.join("p".repeat(254)), Plain);
    std::fs::copy(directory.file().path(), long.path()).unwrap();
    assert!(matches!(handle.save(&long), Err(SnapshotError::Io(..))));
    let (_, _, again) = self::cache(an_hour());
    assert_eq!(again.load(&long).unwrap().restored, 1);

    // A directory has its name.
    let taken = SnapshotFile::new(directory.0.join("taken"), Plain);
    std::fs::create_dir(taken.path()).unwrap();
    assert!(matches!(handle.save(&taken), Err(SnapshotError::Io(..))));
    assert_eq!(std::fs::read_dir(&directory.0).unwrap().count(), 3);
}

#[tokio::test]
async fn several_may_write_one_file_at_once() {
    let directory = Directory::new("several");
    let (cache, _, handle) = self::cache(an_hour());
    for symbol in ["SPY", "QQQ", "IWM"] {
        price(&cache, symbol).await;
    }
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..20 {
                    let saved = handle.save(&directory.file()).unwrap();
                    assert_eq!(saved.written, 3);
                    let (_, _, again) = self::cache(an_hour());
                    assert_eq!(again.load(&directory.file()).unwrap().restored, 3);
                }
            });
        }
    });
    assert_eq!(std::fs::read_dir(&directory.0).unwrap().count(), 1);
}
