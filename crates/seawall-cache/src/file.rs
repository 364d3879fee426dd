//! Last good answers in a file: what a restart in an outage starts with.

use std::fmt;
use std::fs::{self, File};
use std::hash::Hash;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use seawall_core::EventKind;

use crate::kept::{Aside, Counted, Entry, Kept, Moment, NotKept, Order, Refreshing, Until};
use crate::state::State;
use crate::{CacheConfig, CacheHandle};

/// What a file begins with: what it is, and the version of its format.
const MAGIC: [u8; 16] = *b"seawall-cache\0\0\x01";
/// Magic, checksum and length.
const HEAD: usize = 16 + 4 + 8;
/// The largest file unless set: 64 MiB.
const MAX_BYTES: u64 = 64 * 1024 * 1024;
/// How far ahead of our clock the time of an answer may be.
const AHEAD: Duration = Duration::from_secs(300);

/// Writes keys and answers as bytes, and reads them again. What it reads may be of another version of the
/// program.
///
/// With the feature `serde` there is `JsonCodec`; `seawall-http` has `HttpCodec`.
pub trait SnapshotCodec<K, V> {
    /// Appends key and answer to `out`; `false` where this one is not to be written, as one with credentials in
    /// its key.
    fn encode(&self, key: &K, stored: &V, out: &mut Vec<u8>) -> bool;

    /// What `bytes` say; `None` where they make no sense.
    fn decode(&self, bytes: &[u8]) -> Option<(K, V)>;

    /// What becomes invalid together, as the [rules](crate::Keyed::group) of the cache say; `None` unless
    /// implemented.
    fn group(&self, key: &K) -> Option<u64> {
        let _ = key;
        None
    }
}

/// A file of last good answers, and how they are written.
///
/// ```
/// use std::time::Duration;
/// use seawall_cache::{CacheConfig, CacheHandle, CacheLayer, SnapshotCodec, SnapshotFile};
///
/// struct Plain;
///
/// impl SnapshotCodec<String, u64> for Plain {
///     fn encode(&self, symbol: &String, price: &u64, out: &mut Vec<u8>) -> bool {
///         out.extend(price.to_le_bytes());
///         out.extend(symbol.as_bytes());
///         true
///     }
///     fn decode(&self, bytes: &[u8]) -> Option<(String, u64)> {
///         let (price, symbol) = bytes.split_first_chunk()?;
///         let symbol = String::from_utf8(symbol.to_vec()).ok()?;
///         Some((symbol, u64::from_le_bytes(*price)))
///     }
/// }
///
/// let config = CacheConfig::builder(Duration::from_secs(1)).stale_on_failure(Duration::from_secs(86_400)).build()?;
/// let handle: CacheHandle<String, u64> = CacheLayer::new("prices", config).handle();
/// # let directory = std::env::temp_dir().join(format!("seawall-cache-doc-{}", std::process::id()));
/// # std::fs::create_dir_all(&directory)?;
/// let file = SnapshotFile::new(directory.join("prices"), Plain);
/// handle.save(&file)?;
/// assert_eq!(handle.load(&file)?.restored, 0);
/// # std::fs::remove_dir_all(&directory)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct SnapshotFile<C> {
    path: PathBuf,
    codec: C,
    max_bytes: u64,
}

impl<C> SnapshotFile<C> {
    /// The file at `path`, of at most 64 MiB.
    pub fn new(path: impl Into<PathBuf>, codec: C) -> Self {
        Self {
            path: path.into(),
            codec,
            max_bytes: MAX_BYTES,
        }
    }

    /// Sets the most bytes that are read, and written: then what does not fit is left out.
    #[must_use]
    pub const fn max_bytes(mut self, most: u64) -> Self {
        self.max_bytes = most;
        self
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// What was written.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Saved {
    /// Answers that were written.
    pub written: usize,
    /// Answers that were not: the codec does not write them, or the file would be too large.
    pub left_out: usize,
}

/// What was read.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// Answers that are kept now.
    pub restored: usize,
    /// Answers that are too old by the settings to be given ever, older than what is kept, from the future, or do not
    /// fit. What is stale is given only where the settings have `stale_on_failure` or `stale_while_revalidate`,
    /// whatever the response, or the program that wrote the file, allows.
    pub too_old: usize,
    /// Answers that the codec cannot read.
    pub unreadable: usize,
    /// Answers that the cache has made invalid since it was made.
    pub invalidated: usize,
}

/// Why a file was not read or written.
#[non_exhaustive]
#[derive(Debug)]
pub enum SnapshotError {
    /// The file cannot be read or written; also where there is none.
    Io(PathBuf, io::Error),
    /// It is larger than may be.
    TooLarge(PathBuf, u64),
    /// It is of another kind, or of another version of the format.
    Unknown(PathBuf),
    /// It is not what was written: cut off, or changed.
    Damaged(PathBuf),
}

impl SnapshotError {
    /// Whether there is no such file, as at the first start.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Io(_, error) if error.kind() == io::ErrorKind::NotFound)
    }
}

impl fmt::Display for SnapshotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(path, error) => write!(f, "{}: {error}", path.display()),
            Self::TooLarge(path, most) => {
                write!(f, "{} has more than {most} bytes", path.display())
            }
            Self::Unknown(path) => {
                write!(
                    f,
                    "{} is no snapshot that this version reads",
                    path.display()
                )
            }
            Self::Damaged(path) => write!(f, "{} is damaged", path.display()),
        }
    }
}

impl std::error::Error for SnapshotError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(_, error) => Some(error),
            _ => None,
        }
    }
}

impl<K: Clone + Eq + Hash, V> CacheHandle<K, V> {
    /// Writes what is good and may still be used to `file`: beside it first, then by renaming, so that there is
    /// always one that is complete. Several may write one file at once, also from several processes: the last one stays.
    /// What is written beside it is `NAME.PROCESS-NUMBER.new`, and removed where it fails; only a process that is
    /// killed meanwhile leaves one behind. It blocks; in a program that must not, use `tokio::task::spawn_blocking`.
    /// What becomes invalid after that is in the file: save again where it must not come back with a restart.
    ///
    /// A symbolic link at its path is replaced by the file, and what it points to stays as it is: to keep the file
    /// elsewhere, name that place, or link its directory.
    ///
    /// # Errors
    ///
    /// [`SnapshotError::Io`], also where something else than a regular file is at its path, as a directory, a device or a
    /// link to one: that stays. It is emitted as [`EventKind::FileNotWritten`], too.
    pub fn save<C: SnapshotCodec<K, V>>(
        &self,
        file: &SnapshotFile<C>,
    ) -> Result<Saved, SnapshotError> {
        let (bytes, saved) = encode(&self.state, file);
        let written = write(&file.path, &bytes);
        written.map_err(|error| {
            self.state.events.emit(|| EventKind::FileNotWritten);
            SnapshotError::Io(file.path.clone(), error)
        })?;
        Ok(saved)
    }

    /// Reads what `file` has, as old as it is by the clock of the machine. Of one key, what is kept already stays.
    /// What this cache has made invalid since it was made, by key or by group, stays gone, whenever the file was
    /// written; after [`clear`](Self::clear) and what else looks at every key that is all of it. It blocks, as
    /// [`save`](Self::save) does.
    ///
    /// # Errors
    ///
    /// [`SnapshotError`] when there is no file, or none that can be used; nothing of it is kept then.
    pub fn load<C: SnapshotCodec<K, V>>(
        &self,
        file: &SnapshotFile<C>,
    ) -> Result<Loaded, SnapshotError> {
        let bytes = read(&file.path, file.max_bytes)?;
        let body = check(&bytes).ok_or_else(|| match bytes.starts_with(&MAGIC) {
            true => SnapshotError::Damaged(file.path.clone()),
            false => SnapshotError::Unknown(file.path.clone()),
        })?;
        decode(&self.state, file, body).ok_or_else(|| SnapshotError::Damaged(file.path.clone()))
    }

    /// As [`load`](Self::load), for a program that starts without the file where it cannot be used: the error is
    /// returned beside what was read, and nothing was.
    pub fn load_or_start_empty<C: SnapshotCodec<K, V>>(
        &self,
        file: &SnapshotFile<C>,
    ) -> (Loaded, Option<SnapshotError>) {
        match self.load(file) {
            Ok(loaded) => (loaded, None),
            Err(error) => (Loaded::default(), Some(error)),
        }
    }
}

/// An entry in a file: six numbers before what the codec writes.
struct Record {
    /// When its data was made, in milliseconds since 1970.
    made: u64,
    /// How long after that it is fresh, may be refreshed, and may be used where the upstream fails.
    spans: [u64; 3],
    weight: u64,
    /// The time of the data plus one; 0 where it has none.
    timestamp: u64,
}

impl Record {
    fn write(&self, out: &mut Vec<u8>) {
        let [fresh, refreshing, failing] = self.spans;
        let numbers = [
            self.made,
            fresh,
            refreshing,
            failing,
            self.weight,
            self.timestamp,
        ];
        numbers
            .iter()
            .for_each(|number| out.extend(number.to_le_bytes()));
    }

    fn read(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let mut rest = bytes;
        let mut next = || {
            let (number, after) = rest.split_first_chunk()?;
            rest = after;
            Some(u64::from_le_bytes(*number))
        };
        let made = next()?;
        let spans = [next()?, next()?, next()?];
        let (weight, timestamp) = (next()?, next()?);
        let record = Self {
            made,
            spans,
            weight,
            timestamp,
        };
        Some((record, rest))
    }

    /// Until when it may be used that was made then. The settings may have become stricter since, and what is stale
    /// is used only where they say so.
    fn until(&self, made: Moment, config: &CacheConfig) -> Until {
        let [fresh, refreshing, failing] = self
            .spans
            .map(|span| made.after(Duration::from_nanos(span)));
        let bound = config.stale_on_failure().map(|bound| made.after(bound));
        let within = |moment: Moment| bound.map_or(moment, |bound| moment.min(bound));
        let fresh = within(fresh);
        let refreshing = match config.stale_while_revalidate() {
            Some(_) => within(refreshing),
            None => fresh,
        };
        let failing = match bound {
            Some(bound) => failing.min(bound),
            None => failing.min(refreshing),
        };
        Until {
            fresh,
            refreshing,
            failing,
        }
    }
}

fn encode<K, V, C>(state: &State<K, V>, file: &SnapshotFile<C>) -> (Vec<u8>, Saved)
where
    K: Clone + Eq + Hash,
    C: SnapshotCodec<K, V>,
{
    let (now, clock) = (state.now(), unix_ms());
    let mut saved = Saved::default();
    let mut bytes = vec![0; HEAD];
    for (key, entry) in state.kept.iter() {
        if now >= entry.until.last() {
            continue;
        }
        let start = bytes.len();
        bytes.extend([0; 8]);
        let until = &entry.until;
        let after = |moment: Moment| seawall_core::ns(moment.since(entry.made));
        let record = Record {
            made: clock.saturating_sub(ms(entry.age(now))),
            spans: [
                after(until.fresh),
                after(until.refreshing),
                after(until.failing),
            ],
            weight: entry.weight,
            timestamp: entry
                .order
                .timestamp
                .map_or(0, |time| time.saturating_add(1)),
        };
        record.write(&mut bytes);
        let writes = file.codec.encode(&key, &entry.stored, &mut bytes);
        if !writes || bytes.len() as u64 > file.max_bytes {
            bytes.truncate(start);
            saved.left_out += 1;
            continue;
        }
        let length = (bytes.len() - start - 8) as u64;
        bytes[start..start + 8].copy_from_slice(&length.to_le_bytes());
        saved.written += 1;
    }
    let checksum = crc32fast::hash(&bytes[HEAD..]);
    let length = (bytes.len() - HEAD) as u64;
    bytes[..16].copy_from_slice(&MAGIC);
    bytes[16..20].copy_from_slice(&checksum.to_le_bytes());
    bytes[20..HEAD].copy_from_slice(&length.to_le_bytes());
    (bytes, saved)
}

/// What follows the head, if it is what was written.
fn check(bytes: &[u8]) -> Option<&[u8]> {
    let rest = bytes.strip_prefix(&MAGIC)?;
    let (checksum, rest) = rest.split_first_chunk()?;
    let (length, body) = rest.split_first_chunk()?;
    let is_complete = u64::from_le_bytes(*length) == body.len() as u64;
    let is_same = || u32::from_le_bytes(*checksum) == crc32fast::hash(body);
    (is_complete && is_same()).then_some(body)
}

fn decode<K, V, C>(state: &State<K, V>, file: &SnapshotFile<C>, body: &[u8]) -> Option<Loaded>
where
    K: Clone + Eq + Hash,
    C: SnapshotCodec<K, V>,
{
    let (now, clock, config) = (state.now(), unix_ms(), state.config());
    let mut loaded = Loaded::default();
    let mut restored = Vec::new();
    let mut rest = body;
    while !rest.is_empty() {
        let (length, after) = rest.split_first_chunk()?;
        let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
        let (entry, after) = after.split_at_checked(length)?;
        rest = after;
        let (record, encoded) = Record::read(entry)?;
        let Some((key, stored)) = file.codec.decode(encoded) else {
            loaded.unreadable += 1;
            continue;
        };
        let age = Duration::from_millis(clock.saturating_sub(record.made));
        let made = now.before(age);
        let until = record.until(made, &config);
        let is_ahead = record.made > clock.saturating_add(ms(AHEAD));
        if is_ahead || now >= until.last() {
            loaded.too_old += 1;
            continue;
        }
        let hash = state.kept.hash(&key);
        let entry = Arc::new(Entry {
            stored,
            made,
            order: Order {
                began: made,
                timestamp: record.timestamp.checked_sub(1),
            },
            until,
            weight: record.weight,
            counted: Counted::default(),
            guard: Kept::<K, V>::first_guard(hash, file.codec.group(&key)),
            refresh: Refreshing::default(),
        });
        let mut aside = Aside::new();
        let inserted = (key.clone(), Arc::clone(&entry));
        let insert = || state.kept.insert_if_absent(key, entry, &mut aside);
        let kept = state.calls.exclusive(hash, insert);
        match kept {
            Ok(()) => restored.push(inserted),
            Err(NotKept::Invalidated) => loaded.invalidated += 1,
            Err(NotKept::Older(_) | NotKept::TooHeavy) => loaded.too_old += 1,
        }
    }
    // Those that came later may have taken the place of others.
    let is_kept = |(key, entry): &&(K, Arc<Entry<V>>)| state.kept.holds(key, entry);
    loaded.restored = restored.iter().filter(is_kept).count();
    loaded.too_old += restored.len() - loaded.restored;
    Some(loaded)
}

fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    ms(since.unwrap_or_default())
}

fn ms(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

fn read(path: &Path, most: u64) -> Result<Vec<u8>, SnapshotError> {
    let io = |error| SnapshotError::Io(path.to_owned(), error);
    let file = File::open(path).map_err(io)?;
    let mut bytes = Vec::new();
    // Whatever size the file reports.
    file.take(most.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(io)?;
    if bytes.len() as u64 > most {
        return Err(SnapshotError::TooLarge(path.to_owned(), most));
    }
    Ok(bytes)
}

/// Renaming would do away with whatever is there, as with a device.
fn is_replaceable(path: &Path) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(found) if found.is_file() => Ok(()),
        Ok(_) => {
            let says = "it is no regular file, and is not replaced";
            Err(io::Error::new(io::ErrorKind::InvalidInput, says))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    is_replaceable(path)?;
    let (mut file, beside) = create_beside(path)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    drop(file);
    let renamed = written.and_then(|()| fs::rename(&beside, path));
    if renamed.is_err() {
        // What it has failed with says more than this could.
        let _ = fs::remove_file(&beside);
    }
    renamed
}

/// A file beside `path` that no other save writes, in this process or in another one.
fn create_beside(path: &Path) -> io::Result<(File, PathBuf)> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    loop {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        name.push(format!(".{}-{number}.new", std::process::id()));
        let beside = path.with_file_name(name);
        match File::create_new(&beside) {
            Ok(file) => return Ok((file, beside)),
            // What a process of that number has left behind that was killed.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
}

/// Writes keys and answers as JSON.
#[cfg(feature = "serde")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JsonCodec;

#[cfg(feature = "serde")]
impl<K, V> SnapshotCodec<K, V> for JsonCodec
where
    K: serde::Serialize + serde::de::DeserializeOwned,
    V: serde::Serialize + serde::de::DeserializeOwned,
{
    fn encode(&self, key: &K, stored: &V, out: &mut Vec<u8>) -> bool {
        serde_json::to_writer(out, &(key, stored)).is_ok()
    }

    fn decode(&self, bytes: &[u8]) -> Option<(K, V)> {
        serde_json::from_slice(bytes).ok()
    }
}
