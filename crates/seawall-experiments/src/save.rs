//! Reports as files.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Result, Write as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::report::Report;

/// How many reports of one name may have begun in the same second.
const MOST: u32 = 10_000;

impl Report {
    /// Writes the report into a directory, as Markdown, as JSON and its plot as SVG, and returns the path of the first.
    /// The directory is made where there is none. No file is ever overwritten: names have the time at which the run
    /// began, and a number.
    ///
    /// # Errors
    ///
    /// [`std::io::Error`] when a file cannot be written.
    pub fn save(&self, directory: impl AsRef<Path>) -> Result<PathBuf> {
        let directory = directory.as_ref();
        std::fs::create_dir_all(directory)?;
        let started = i64::try_from(self.started_unix_ms).ok();
        let started = started.and_then(|ms| Timestamp::from_millisecond(ms).ok());
        let started = started
            .unwrap_or(Timestamp::UNIX_EPOCH)
            .strftime("%Y%m%dT%H%M%SZ");
        let name = file_name(&self.name);
        for number in 1..=MOST {
            let stem = format!("{started}-{name}-{number}");
            let page = directory.join(format!("{stem}.md"));
            // The number belongs to the run that makes the page.
            let mut file = match OpenOptions::new().write(true).create_new(true).open(&page) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => continue,
                file => file?,
            };
            let json = serde_json::to_string_pretty(self)?;
            for (ending, text) in [("json", json), ("svg", self.to_svg())] {
                let path = directory.join(format!("{stem}.{ending}"));
                let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
                file.write_all(text.as_bytes())?;
            }
            let picture = format!("\n![{name}]({stem}.svg)\n");
            file.write_all((self.to_markdown() + &picture).as_bytes())?;
            return Ok(page);
        }
        let full = "too many reports of this name began in the same second";
        Err(std::io::Error::new(ErrorKind::AlreadyExists, full))
    }
}

/// The name as a part of a file's name: letters, digits and hyphens.
fn file_name(name: &str) -> String {
    let letters = name.chars().take(60);
    let name: String = letters
        .map(|letter| {
            if letter.is_ascii_alphanumeric() {
                letter.to_ascii_lowercase()
            } else {
                '-'
            }
        })
        .collect();
    let name = name.trim_matches('-');
    if name.is_empty() {
        "report".to_owned()
    } else {
        name.to_owned()
    }
}
