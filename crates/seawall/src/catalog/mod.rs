//! What is known of the providers: limits, routes, headers, signals, and where that is written.
//!
//! One file for each provider, in TOML, is part of this crate; [`Catalog::with_folder`] adds files
//! of your own in the same format, or replaces one. Every figure has its source, and a
//! [mark](Mark) that says how far it can be relied on.
//!
//! ```
//! use seawall::catalog::Mark;
//!
//! let alpaca = seawall::provider("alpaca")?;
//! assert_eq!(alpaca.default_tier()?.limits().next().unwrap().count(), 200);
//! let stack = alpaca.tier("plus")?.build()?;
//! # let _ = stack.handles();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod build;
mod data;
mod error;
mod figure;
mod models;
mod orders;
mod page;
mod provider;
mod read;
#[cfg(test)]
mod tests;
mod typed;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::{Arc, LazyLock};

pub use crate::mistake::{Mistake, Place};
#[cfg(feature = "config")]
pub(crate) use build::UTILIZATION;
pub use data::{Kind, LimitScope, Operation};
pub use error::{CatalogError, UnknownName};
pub use figure::Mark;
#[cfg(feature = "config")]
pub(crate) use figure::{TIME, parse_time};
pub use provider::{
    Provider, ProviderHandles, ProviderLimit, ProviderService, ProviderStack, Route, Tier,
};
pub use typed::*;

use data::ProviderData;
use typed::FILES;

/// Providers by name.
#[derive(Clone, Debug)]
pub struct Catalog {
    providers: BTreeMap<String, Arc<ProviderData>>,
}

impl Catalog {
    /// The providers that this crate knows.
    ///
    /// # Errors
    ///
    /// None in a release: its tests read every file.
    pub fn embedded() -> Result<&'static Self, CatalogError> {
        static EMBEDDED: LazyLock<Result<Catalog, CatalogError>> = LazyLock::new(|| {
            let mut catalog = Catalog {
                providers: BTreeMap::new(),
            };
            for (name, text) in FILES {
                catalog.add(&format!("{name}.toml"), text)?;
            }
            Ok(catalog)
        });
        EMBEDDED.as_ref().map_err(Clone::clone)
    }

    /// These providers, and those whose files are in `folder`: every file there whose name ends
    /// with `.toml`. A provider of a name that is known already replaces it.
    ///
    /// # Errors
    ///
    /// [`CatalogError::Unreadable`], and [`CatalogError::Invalid`] with all mistakes of the first
    /// file that has some.
    pub fn with_folder(mut self, folder: impl AsRef<Path>) -> Result<Self, CatalogError> {
        let folder = folder.as_ref();
        let unreadable = |path: &Path| {
            let path = path.to_owned();
            |error| CatalogError::Unreadable {
                path,
                error: Arc::new(error),
            }
        };
        let mut files = Vec::new();
        for entry in fs::read_dir(folder).map_err(unreadable(folder))? {
            let path = entry.map_err(unreadable(folder))?.path();
            if path
                .extension()
                .is_some_and(|extension| extension == "toml")
            {
                files.push(path);
            }
        }
        files.sort();
        for path in files {
            let text = fs::read_to_string(&path).map_err(unreadable(&path))?;
            self.add(&path.display().to_string(), &text)?;
        }
        Ok(self)
    }

    fn add(&mut self, file: &str, text: &str) -> Result<(), CatalogError> {
        let data = read::read(file, text)?;
        self.providers
            .insert(data.name.get_ref().clone(), Arc::new(data));
        Ok(())
    }

    /// The provider of that name.
    ///
    /// # Errors
    ///
    /// [`UnknownName`], with the nearest names.
    pub fn provider(&self, name: &str) -> Result<Provider, UnknownName> {
        let known = || self.providers.keys().map(String::as_str);
        let found = self.providers.get(name);
        let data = found.ok_or_else(|| UnknownName::new("provider", name, known()))?;
        Ok(Provider::new(Arc::clone(data)))
    }

    /// All providers, by name.
    pub fn providers(&self) -> impl Iterator<Item = Provider> {
        self.providers
            .values()
            .map(|data| Provider::new(Arc::clone(data)))
    }
}

/// A provider that this crate knows, by name: `"alpaca"`.
///
/// # Errors
///
/// [`CatalogError::Unknown`], with the nearest names.
pub fn provider(name: &str) -> Result<Provider, CatalogError> {
    Ok(Catalog::embedded()?.provider(name)?)
}
