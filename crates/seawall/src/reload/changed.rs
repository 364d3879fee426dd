//! Settings that are changed while the program runs, and outlast the next reload.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::config::{Overlay, SettingChanges};

use super::outcome::{ReloadError, Reloaded};
use super::reloadable::{ReloadableConfig, lock, service};
use super::report;

/// The head of a file that settings are saved in.
const HEAD: &str =
    "# Settings that were changed while the program ran. They are put over its configuration.\n";

/// A setting that is not what the file and the environment say.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct ChangedSetting {
    /// The service.
    pub service: String,
    /// The setting, by its key in the file: `bulkhead.max_concurrent`.
    pub key: String,
    /// What the file, the environment or the base of the service say.
    pub configured: String,
    /// What is in force.
    pub in_force: String,
}

impl ReloadableConfig {
    /// Changes settings, as if it stood in the file: on all running stacks, or where something is wrong, on
    /// none. They stay changed when the file is read again, until they are
    /// [unset](SettingChanges::unset), and across restarts once they are [saved](Self::save_changes). It reads
    /// the file, so call it where that may block.
    ///
    /// ```
    /// use seawall::config::{SettingChanges, Config};
    ///
    /// let text = "[resilience.feed]\nkind = \"market-data\"\nbulkhead.max_concurrent = 8\n";
    /// let config = Config::loader().text("seawall.toml", text).load_reloadable()?;
    /// let feed = config.stack("feed")?;
    ///
    /// let fewer = SettingChanges::new().set("feed", "bulkhead.max_concurrent", 2);
    /// assert_eq!(config.try_changes(&fewer)?.changed, ["feed"]); // nothing is changed yet
    /// config.change(&fewer)?;
    /// assert_eq!(feed.handles().snapshot().bulkhead.limit, 2);
    /// let changed = &config.changed_settings()?[0];
    /// assert_eq!((changed.configured.as_str(), changed.in_force.as_str()), ("8", "2"));
    ///
    /// config.change(&SettingChanges::new().unset("feed", "bulkhead.max_concurrent"))?;
    /// assert_eq!(feed.handles().snapshot().bulkhead.limit, 8);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ReloadError`]: there is no such service or setting, a value is not accepted, a running stack
    /// cannot have it, or the file has mistakes by now. Nothing is changed then.
    pub fn change(&self, changes: &SettingChanges) -> Result<Reloaded, ReloadError> {
        self.change_if(changes, None)
    }

    /// As [`change`](Self::change), if the configuration in force is still that of `generation`: for one
    /// that was [tried](Self::try_changes) before, or that somebody has read.
    ///
    /// # Errors
    ///
    /// [`ReloadError::OtherGeneration`] when it was changed or read again since, and as
    /// [`change`](Self::change).
    pub fn change_from(
        &self,
        generation: u64,
        changes: &SettingChanges,
    ) -> Result<Reloaded, ReloadError> {
        self.change_if(changes, Some(generation))
    }

    fn change_if(
        &self,
        changes: &SettingChanges,
        generation: Option<u64>,
    ) -> Result<Reloaded, ReloadError> {
        let (reloaded, report) = {
            let _reloading = self.shared.reloading.enter()?;
            let in_force = self.shared.current.load().status.generation;
            if generation.is_some_and(|expected| expected != in_force) {
                return Err(ReloadError::OtherGeneration(in_force));
            }
            let overlay = self.overlay_with(changes)?;
            let config = self.read_with(overlay.clone())?;
            let done = self.put(config)?;
            *lock(&self.shared.overlay) = overlay;
            done
        };
        self.report(report);
        report::log_not_reached(self.name(), &reloaded.not_reached);
        Ok(reloaded)
    }

    /// What [`change`](Self::change) would do, without doing it.
    ///
    /// # Errors
    ///
    /// As [`change`](Self::change).
    pub fn try_changes(&self, changes: &SettingChanges) -> Result<Reloaded, ReloadError> {
        let _reloading = self.shared.reloading.enter()?;
        let config = self.read_with(self.overlay_with(changes)?)?;
        let current = self.shared.current.load_full();
        let mut mistakes = Vec::new();
        for kept in current.kept.values() {
            let from = &kept.service;
            if let Ok(to) = config.service(from.name())
                && !from.is_same(to)
                && let Err(wrong) = kept.update_to(to)
            {
                mistakes.extend(wrong);
            }
        }
        if !mistakes.is_empty() {
            mistakes.sort_by(|a, b| a.place.cmp(&b.place));
            return Err(ReloadError::NeedsNewStack(mistakes));
        }
        let mut reloaded = current.difference(&config);
        reloaded.generation = current.status.generation + u64::from(!reloaded.is_unchanged());
        Ok(reloaded)
    }

    /// Every setting of a service that was changed and is not what the file and the environment say now; also
    /// those of services that the file has no more, for which they are kept.
    ///
    /// # Errors
    ///
    /// [`ReloadError::Config`] when the file cannot be read, or has mistakes by now.
    pub fn changed_settings(&self) -> Result<Vec<ChangedSetting>, ReloadError> {
        let overlay = self.overlay();
        if overlay.is_empty() {
            return Ok(Vec::new());
        }
        let configured = self.read_with(Overlay::default())?;
        let in_force = self.current();
        let mut changed = Vec::new();
        for before in configured.services() {
            let is_of = |(of, _): (&str, &str)| of == before.name();
            let Ok(now) = in_force.service(before.name()) else {
                continue;
            };
            if !overlay.ids().any(is_of) {
                continue;
            }
            // Of a layer that the program adds there may be settings in one of the two alone.
            let configured = before.effective();
            for setting in now.effective() {
                let before_setting = configured.iter().find(|it| it.key == setting.key);
                let configured = before_setting.map_or("none", |it| it.value.as_str());
                if configured != setting.value {
                    changed.push(ChangedSetting {
                        service: before.name().to_owned(),
                        configured: configured.to_owned(),
                        key: setting.key,
                        in_force: setting.value,
                    });
                }
            }
        }
        let is_gone = |name: &str| configured.service(name).is_err();
        let gone = overlay.settings().filter(|(name, ..)| is_gone(name));
        changed.extend(gone.map(|(service, key, value)| ChangedSetting {
            service: service.to_owned(),
            key: key.to_owned(),
            configured: "no such service".to_owned(),
            in_force: value,
        }));
        Ok(changed)
    }

    /// Writes what was changed to the [overlay file](crate::config::Loader::overlay_file), which is read
    /// at the next start; removes it where nothing is changed. The path of the file. Blocks.
    ///
    /// The file is replaced at once: a crash leaves the old one or the new one.
    ///
    /// # Errors
    ///
    /// No overlay file is configured ([`io::ErrorKind::Unsupported`]), or it cannot be written.
    pub fn save_changes(&self) -> io::Result<PathBuf> {
        let Some(path) = self.shared.loader.overlay_path() else {
            let problem = "no file for changes is configured: set one with `overlay_file`";
            return Err(io::Error::new(io::ErrorKind::Unsupported, problem));
        };
        // One after the other, so that the file is that of the last.
        let overlay = lock(&self.shared.overlay);
        if overlay.is_empty() {
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => return Ok(path.to_owned()),
            }
        }
        replace(path, &format!("{HEAD}{}", overlay.to_toml()))?;
        Ok(path.to_owned())
    }

    pub(super) fn overlay(&self) -> Overlay {
        lock(&self.shared.overlay).clone()
    }

    fn overlay_with(&self, changes: &SettingChanges) -> Result<Overlay, ReloadError> {
        let (config, overlay) = (self.current(), self.overlay());
        for name in changes.services() {
            // What is kept for a service that the file has no more can be taken back all the same.
            let is_kept = overlay.ids().any(|(of, _)| of == name) && !changes.sets(name);
            if !is_kept {
                service(&config, name).map_err(ReloadError::UnknownService)?;
            }
        }
        Ok(overlay.changed(changes))
    }
}

/// Puts a file in the place of another one.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = path.with_file_name(name);
    let mut file = fs::File::create(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    // The name of the file is data of its folder.
    if let Some(folder) = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        && let Ok(folder) = fs::File::open(folder)
    {
        let _ = folder.sync_all();
    }
    Ok(())
}
