//! Clients by name, each built when it is first asked for.

use std::collections::HashMap;
use std::error::Error as StdError;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::ThreadId;

use arc_swap::ArcSwap;

use super::api::Client;

type BoxError = Box<dyn StdError + Send + Sync>;

/// The clients of a program by name, each built when it is first asked for, and kept.
///
/// Clones share them. A look-up of a client that was built takes no lock.
///
/// ```
/// use seawall::Clients;
///
/// let clients = Clients::new();
/// clients.add("alpaca", || {
///     let tier = seawall::alpaca()?.tier("plus")?;
///     Ok(tier.client()?.base("paper").header("APCA-API-KEY-ID", "key").build()?)
/// });
/// clients.add("polygon", || Ok(seawall::polygon()?.default_tier()?.client()?.build()?));
///
/// let alpaca = clients.get("alpaca")?;
/// assert_eq!(alpaca.base_url(), "https://paper-api.alpaca.markets");
/// assert!(clients.get("polygn").unwrap_err().to_string().contains("`polygon`"));
/// # Ok::<(), seawall::client::GetClientError>(())
/// ```
///
/// A factory holds clients of one type `C`: those of the catalogue unless another one is named.
pub struct Clients<C = Client> {
    shared: Arc<Shared<C>>,
}

struct Shared<C> {
    by_name: ArcSwap<HashMap<String, Arc<Entry<C>>>>,
    /// Held while one is added.
    adding: Mutex<()>,
}

struct Entry<C> {
    client: OnceLock<Arc<C>>,
    /// Held while it is built.
    build: Mutex<Box<Build<C>>>,
    /// The thread that builds it.
    builder: Mutex<Option<ThreadId>>,
}

type Build<C> = dyn Fn() -> Result<C, BoxError> + Send;

/// Why there is no client of that name.
#[non_exhaustive]
#[derive(Debug)]
pub enum GetClientError {
    /// None was added.
    Unknown {
        /// The name that was looked up.
        name: String,
        /// Those that were added.
        known: Vec<String>,
    },
    /// It could not be built; the next [`get`](Clients::get) tries again.
    Build {
        /// The name that was looked up.
        name: String,
        /// What its function returned.
        error: BoxError,
    },
}

impl<C> Clients<C> {
    /// No clients yet.
    pub fn new() -> Self {
        Self {
            shared: Arc::new(Shared {
                by_name: ArcSwap::default(),
                adding: Mutex::new(()),
            }),
        }
    }

    /// Adds a client that `build` makes when it is first asked for; others wait for it then. One of that name is replaced: those that were
    /// handed out work on.
    pub fn add(
        &self,
        name: impl Into<String>,
        build: impl Fn() -> Result<C, BoxError> + Send + 'static,
    ) {
        let entry = Entry {
            client: OnceLock::new(),
            build: Mutex::new(Box::new(build)),
            builder: Mutex::new(None),
        };
        let adding = &self.shared.adding;
        let _adding = adding.lock().unwrap_or_else(PoisonError::into_inner);
        let mut by_name = HashMap::clone(&self.shared.by_name.load());
        by_name.insert(name.into(), Arc::new(entry));
        self.shared.by_name.store(Arc::new(by_name));
    }

    /// The client of that name.
    ///
    /// # Errors
    ///
    /// [`GetClientError`]: none was added, or it could not be built.
    pub fn get(&self, name: &str) -> Result<Arc<C>, GetClientError> {
        let by_name = self.shared.by_name.load();
        match by_name.get(name) {
            Some(entry) => match entry.client.get() {
                Some(client) => Ok(Arc::clone(client)),
                None => entry.build(name),
            },
            None => Err(GetClientError::Unknown {
                name: name.to_owned(),
                known: sorted(by_name.keys()),
            }),
        }
    }

    /// The names of all, built or not.
    pub fn names(&self) -> Vec<String> {
        sorted(self.shared.by_name.load().keys())
    }
}

impl<C> Entry<C> {
    #[cold]
    fn build(&self, name: &str) -> Result<Arc<C>, GetClientError> {
        let current = std::thread::current().id();
        let builder = || self.builder.lock().unwrap_or_else(PoisonError::into_inner);
        if *builder() == Some(current) {
            return Err(GetClientError::Build {
                name: name.to_owned(),
                error: "the function that builds it asks for it".into(),
            });
        }
        let build = self.build.lock().unwrap_or_else(PoisonError::into_inner);
        // Another thread may have built it meanwhile.
        if let Some(client) = self.client.get() {
            return Ok(Arc::clone(client));
        }
        *builder() = Some(current);
        let _done = Done(&self.builder);
        let client = build().map_err(|error| GetClientError::Build {
            name: name.to_owned(),
            error,
        })?;
        Ok(Arc::clone(self.client.get_or_init(|| Arc::new(client))))
    }
}

/// Dropped when a client was built, or its function has panicked.
struct Done<'a>(&'a Mutex<Option<ThreadId>>);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

fn sorted<'a>(names: impl Iterator<Item = &'a String>) -> Vec<String> {
    let mut names: Vec<_> = names.cloned().collect();
    names.sort();
    names
}

impl<C> Default for Clients<C> {
    fn default() -> Self {
        Self::new()
    }
}

impl<C> Clone for Clients<C> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<C> fmt::Debug for Clients<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Clients").field(&self.names()).finish()
    }
}

impl fmt::Display for GetClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { name, known } if known.is_empty() => {
                write!(f, "there is no client `{name}`: none was added")
            }
            Self::Unknown { name, known } => {
                write!(
                    f,
                    "there is no client `{name}`, there is `{}`",
                    known.join("`, `")
                )
            }
            Self::Build { name, error } => write!(f, "client `{name}`: {error}"),
        }
    }
}

impl StdError for GetClientError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Unknown { .. } => None,
            Self::Build { error, .. } => Some(&**error),
        }
    }
}
