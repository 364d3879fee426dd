//! Loads a configuration.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::catalog::{Catalog, UnknownName};
use crate::mistake::{Lines, Mistake};

#[cfg(feature = "reload")]
use super::changes::Overlay;
use super::environment;
use super::error::ConfigError;
use super::file;
use super::health::{self, HealthSettings};
use super::resolve::resolve;
use super::scope::Document;
use super::service::ServiceConfig;
use super::setting::Table;
use super::value::Value;

/// How long a file may be: 4 MiB, in bytes. One with a thousand services is much shorter.
pub const MAX_FILE_BYTES: u64 = 4 << 20;

/// The services of a program; from a file and the environment.
#[derive(Clone, Debug)]
pub struct Config {
    services: Vec<ServiceConfig>,
    health: HealthSettings,
    mistakes: Vec<Mistake>,
}

/// Says what to load; see [`Config::loader`].
#[must_use = "a loader does nothing until `load` is called"]
#[derive(Clone, Debug, Default)]
pub struct Loader {
    source: Source,
    variables: Vec<(String, String)>,
    catalog: Option<Catalog>,
    #[cfg(feature = "reload")]
    overlay_file: Option<PathBuf>,
    /// What is put over file and variables, in place of the overlay file once that was read.
    #[cfg(feature = "reload")]
    overlay: Option<Overlay>,
}

#[derive(Clone, Debug, Default)]
enum Source {
    #[default]
    Nothing,
    File(SourceFile),
    Text(String, String),
}

/// A file, and what messages call it.
#[derive(Clone, Debug)]
struct SourceFile {
    path: PathBuf,
    given: PathBuf,
}

impl Config {
    /// The services of this file, with the environment of the process put over it.
    ///
    /// # Errors
    ///
    /// As [`Loader::load`].
    pub fn load(path: impl AsRef<Path>) -> Result<Self, ConfigError> {
        Self::loader().file(path).from_env().load()
    }

    /// Starts from no file and no variable.
    pub fn loader() -> Loader {
        Loader::default()
    }

    /// The services, by name.
    pub fn services(&self) -> impl ExactSizeIterator<Item = &ServiceConfig> {
        self.services.iter()
    }

    /// What holds for the health of the program.
    pub const fn health(&self) -> &HealthSettings {
        &self.health
    }

    /// The service of that name.
    ///
    /// # Errors
    ///
    /// [`UnknownName`], with the nearest names.
    pub fn service(&self, name: &str) -> Result<&ServiceConfig, UnknownName> {
        let at = self
            .services
            .binary_search_by(|service| service.name().cmp(name));
        let found = at.ok().and_then(|at| self.services.get(at));
        found.ok_or_else(|| {
            UnknownName::new("service", name, self.services().map(ServiceConfig::name))
        })
    }

    /// The same, where nothing is wrong.
    #[cfg(feature = "reload")]
    pub(crate) fn without_mistakes(self) -> Result<Self, ConfigError> {
        match self.mistakes.is_empty() {
            true => Ok(self),
            false => Err(ConfigError::Invalid(self.mistakes)),
        }
    }

    /// What is wrong in spite of which it was loaded: with `fail_safe_defaults`.
    pub fn mistakes(&self) -> &[Mistake] {
        &self.mistakes
    }
}

impl Loader {
    /// Reads this file: a regular one of at most [`MAX_FILE_BYTES`].
    pub fn file(mut self, path: impl AsRef<Path>) -> Self {
        let path = path.as_ref().to_owned();
        self.source = Source::File(SourceFile {
            given: path.clone(),
            path,
        });
        self
    }

    /// Reads this text; `name` is what mistakes call it.
    pub fn text(mut self, name: impl Into<String>, text: impl Into<String>) -> Self {
        self.source = Source::Text(name.into(), text.into());
        self
    }

    /// Puts these variables over the file. Those that mean nothing here are left alone.
    pub fn environment<N, V>(mut self, variables: impl IntoIterator<Item = (N, V)>) -> Self
    where
        N: Into<String>,
        V: Into<String>,
    {
        let variables = variables.into_iter();
        let variables = variables.map(|(name, value)| (name.into(), value.into()));
        self.variables.extend(variables);
        self
    }

    /// Puts the variables of the process over the file. What is not Unicode in a value is not
    /// accepted by any setting.
    pub fn from_env(self) -> Self {
        let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
        let variables = std::env::vars_os().map(|(name, value)| (text(name), text(value)));
        self.environment(variables)
    }

    /// Puts the settings of this file over the file and the variables: those that were changed while the
    /// program ran, and [saved](crate::reload::ReloadableConfig::save_changes). It need not be there.
    #[cfg(feature = "reload")]
    pub fn overlay_file(mut self, path: impl AsRef<Path>) -> Self {
        self.overlay_file = Some(path.as_ref().to_owned());
        self
    }

    /// Takes providers from this catalogue; from that of this crate unless set.
    pub fn catalog(mut self, catalog: Catalog) -> Self {
        self.catalog = Some(catalog);
        self
    }

    /// Loads the services: all of them, or none.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Unreadable`], also of an overlay that is no list of settings, and
    /// [`ConfigError::Invalid`] with all mistakes: what is no TOML,
    /// unknown keys and names, values that are not accepted, combinations that cannot be, settings
    /// without effect, variables that lead nowhere. With `fail_safe_defaults` it is only that where
    /// the file is no TOML, or where a service names no provider and no kind that is known.
    pub fn load(self) -> Result<Config, ConfigError> {
        let mut mistakes = Vec::new();
        #[cfg(feature = "reload")]
        let (overlay_name, overlay) = (self.overlay_name(), self.read_overlay()?);
        let mut document = self.read(&mut mistakes)?;
        let no_toml = !mistakes.is_empty() && document.is_empty();
        let mut variables = self.variables;
        variables.sort();
        environment::overlay(&mut document, &variables, &mut mistakes);
        #[cfg(feature = "reload")]
        overlay.put(&overlay_name, &mut document, &mut mistakes);
        if no_toml {
            mistakes.append(&mut document.unrelated);
            return Err(invalid(mistakes));
        }
        let embedded;
        let catalog = match &self.catalog {
            Some(catalog) => catalog,
            None => {
                embedded = Catalog::embedded()?;
                embedded
            }
        };
        services(&document, catalog, mistakes)
    }

    /// What mistakes call the overlay.
    #[cfg(feature = "reload")]
    fn overlay_name(&self) -> String {
        let file = self.overlay_file.as_ref();
        file.map_or_else(|| "changes".to_owned(), |path| path.display().to_string())
    }

    /// The settings that are put over file and variables.
    #[cfg(feature = "reload")]
    pub(crate) fn read_overlay(&self) -> Result<Overlay, ConfigError> {
        if let Some(overlay) = &self.overlay {
            return Ok(overlay.clone());
        }
        let Some(path) = &self.overlay_file else {
            return Ok(Overlay::default());
        };
        let unreadable = |error: io::Error| ConfigError::Unreadable {
            path: path.clone(),
            error: Arc::new(error),
        };
        let bytes = match content(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Overlay::default()),
            Err(error) => return Err(unreadable(error)),
        };
        let wrong = |error: String| unreadable(io::Error::new(io::ErrorKind::InvalidData, error));
        let text = String::from_utf8(bytes).map_err(|error| wrong(error.to_string()))?;
        Overlay::parse(&self.overlay_name(), &text).map_err(|error| wrong(error.to_string()))
    }

    /// The same with these settings in place of those of the overlay file.
    #[cfg(feature = "reload")]
    pub(crate) fn with_overlay(mut self, overlay: Overlay) -> Self {
        self.overlay = Some(overlay);
        self
    }

    /// Where settings that are changed are saved.
    #[cfg(feature = "reload")]
    pub(crate) fn overlay_path(&self) -> Option<&Path> {
        self.overlay_file.as_deref()
    }

    /// The file that it reads, if it is one.
    #[cfg(feature = "reload")]
    pub(crate) fn path(&self) -> Option<&Path> {
        match &self.source {
            Source::File(file) => Some(&file.path),
            Source::Nothing | Source::Text(..) => None,
        }
    }

    /// The same with an absolute path, which stays that of the file when the process goes to another
    /// folder. Messages have the path as it was given.
    #[cfg(feature = "reload")]
    pub(crate) fn anchored(mut self) -> Self {
        if let Source::File(file) = &mut self.source
            && let Ok(path) = std::path::absolute(&file.path)
        {
            file.path = path;
        }
        if let Some(file) = &mut self.overlay_file
            && let Ok(path) = std::path::absolute(&*file)
        {
            *file = path;
        }
        self
    }

    /// What mistakes call its source.
    #[cfg(feature = "reload")]
    pub(crate) fn source_name(&self) -> String {
        match &self.source {
            Source::Nothing => "environment".to_owned(),
            Source::File(file) => file.given.display().to_string(),
            Source::Text(name, _) => name.clone(),
        }
    }

    fn read(&self, mistakes: &mut Vec<Mistake>) -> Result<Document, ConfigError> {
        match &self.source {
            Source::Nothing => Ok(Document::default()),
            Source::Text(name, text) => Ok(file::read(name, text, mistakes)),
            Source::File(file) => {
                let bytes = content(&file.path).map_err(|error| ConfigError::Unreadable {
                    path: file.given.clone(),
                    error: Arc::new(error),
                })?;
                let name = file.given.display().to_string();
                match String::from_utf8(bytes) {
                    Ok(text) => Ok(file::read(&name, &text, mistakes)),
                    Err(error) => Err(not_utf8(&name, &error)),
                }
            }
        }
    }
}

/// What is in a file.
fn content(path: &Path) -> io::Result<Vec<u8>> {
    // To open a pipe would wait for a writer, and a device may have no end.
    if !fs::metadata(path)?.is_file() {
        let problem = "it is no regular file, but a folder, a pipe or a device";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
    }
    let mut bytes = Vec::new();
    let file = fs::File::open(path)?;
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        let problem = format!("it is longer than {MAX_FILE_BYTES} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, problem));
    }
    Ok(bytes)
}

/// The services of a document.
fn services(
    document: &Document,
    catalog: &Catalog,
    mut mistakes: Vec<Mistake>,
) -> Result<Config, ConfigError> {
    let id = (Table::Service, "fail_safe_defaults");
    let entry = document.defaults.entries.get(&id);
    let fails_safe = entry.is_some_and(|entry| entry.value == Value::Switch(true));
    // A mistake in what holds for all is one of each service.
    let of_all = mistakes
        .iter()
        .any(|mistake| !document.is_of_service(mistake) && !mistake.key.starts_with("health."));
    let mut services = Vec::new();
    let mut is_lost = false;
    for scope in &document.services {
        let own = scope.is_wrong || mistakes.iter().any(|mistake| scope.has(mistake));
        let (service, found) = resolve(scope, &document.defaults, catalog);
        let is_wrong = of_all || own || !found.is_empty();
        for mistake in found {
            if !mistakes.contains(&mistake) {
                mistakes.push(mistake);
            }
        }
        let service = match service {
            Some(service) if is_wrong => service.fail_safe(),
            service => service,
        };
        match service {
            Some(service) => services.push(service),
            None => is_lost = true,
        }
    }
    let health = health::resolve(&document.defaults, &mut mistakes);
    mistakes.extend_from_slice(&document.unrelated);
    mistakes.sort_by(|a, b| a.place.cmp(&b.place));
    if is_lost || !(mistakes.is_empty() || fails_safe) {
        return Err(ConfigError::Invalid(mistakes));
    }
    services.sort_by(|a, b| a.name().cmp(b.name()));
    Ok(Config {
        services,
        health,
        mistakes,
    })
}

fn invalid(mut mistakes: Vec<Mistake>) -> ConfigError {
    mistakes.sort_by(|a, b| a.place.cmp(&b.place));
    ConfigError::Invalid(mistakes)
}

fn not_utf8(name: &str, error: &std::string::FromUtf8Error) -> ConfigError {
    let at = error.utf8_error().valid_up_to();
    let text = String::from_utf8_lossy(error.as_bytes().get(..at).unwrap_or_default());
    let byte = error.as_bytes().get(at).copied().unwrap_or_default();
    let problem = format!("the byte {byte:#04x} is no UTF-8");
    ConfigError::Invalid(vec![Lines::new(name, &text).mistake(at, problem)])
}
