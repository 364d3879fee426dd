//! Reads and writes the file.

use std::error::Error;
use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The first line of a file.
pub(super) const FORMAT: &str = "seawall-quota 1";

/// One spelling for each file, also while it does not exist.
pub(super) fn absolute(path: &Path) -> io::Result<PathBuf> {
    if let Ok(there) = fs::canonicalize(path) {
        return Ok(there);
    }
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    Ok(fs::canonicalize(folder)?.join(name))
}

/// The day and what is leased of it; zeros when there is no file.
pub(super) fn read(path: &Path) -> Result<(i64, u64), Problem> {
    const LONGEST: u64 = 1_024;
    let unreadable = |e| Problem::Io("cannot be read", e);
    let bytes = match fs::metadata(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok((0, 0)),
        Err(e) => return Err(unreadable(e)),
        Ok(about) if about.len() > LONGEST => {
            return Err(Problem::Foreign(format!("{} bytes", about.len())));
        }
        Ok(_) => fs::read(path).map_err(unreadable)?,
    };
    let Ok(text) = String::from_utf8(bytes) else {
        return Err(Problem::Foreign("bytes that are not text".into()));
    };
    parse(&text).map_err(Problem::Foreign)
}

/// The day and what is leased; or the line that is wrong.
pub(super) fn parse(text: &str) -> Result<(i64, u64), String> {
    // A number that was cut off does not count.
    let whole = text.strip_suffix('\n');
    let mut lines = whole.ok_or("no end of the last line")?.split('\n');
    let mut field = |key: &str| {
        let line = lines.next().unwrap_or_default();
        let value = line.strip_prefix(key).ok_or_else(|| format!("{line:?}"));
        value.map(|value| (value, line))
    };
    let ("", _) = field(FORMAT)? else {
        return Err(format!("{:?}", text.lines().next().unwrap_or_default()));
    };
    let (day, line) = field("day ")?;
    let day = number(day).and_then(|day| i64::try_from(day).ok());
    let day = day.ok_or_else(|| format!("{line:?}"))?;
    let (leased, line) = field("used ")?;
    let leased = number(leased).ok_or_else(|| format!("{line:?}"))?;
    match lines.next() {
        None => Ok((day, leased)),
        Some(more) => Err(format!("{more:?}")),
    }
}

/// Digits and nothing else.
fn number(text: &str) -> Option<u64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}

/// Ends the name of the file that is written beside another. No quota file has such a name.
const BESIDE: &str = ".seawall-quota-new";

/// Whether a quota file may have this name.
pub(super) fn check_name(path: &Path) -> Result<(), Problem> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    match name.ends_with(BESIDE) {
        false => Ok(()),
        true => Err(Problem::Name),
    }
}

/// Writes a file beside it, and renames that: there is a complete file at any moment. With `sync`
/// the device has it before the name changes, or a power failure could leave an empty file.
pub(super) fn write(path: &Path, sync: bool, day: i64, leased: u64) -> io::Result<()> {
    let mut beside: OsString = path.into();
    beside.push(BESIDE);
    let text = format!("{FORMAT}\nday {day}\nused {leased}\n");
    let written = File::create(&beside).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        if sync {
            file.sync_all()?;
        }
        Ok(())
    });
    if let Err(error) = written.and_then(|()| fs::rename(&beside, path)) {
        // What was not renamed is of no use; a folder of that name is not removed by this.
        let _ = fs::remove_file(&beside);
        return Err(error);
    }
    if sync && let Some(folder) = path.parent() {
        // Not every platform can do this; where it cannot, the rename is all that can be done.
        let _ = File::open(folder).and_then(|folder| folder.sync_all());
    }
    Ok(())
}

/// Why a [`QuotaFile`](crate::QuotaFile) cannot be used: the file, what was found, and what is accepted.
#[derive(Debug)]
pub struct QuotaFileError {
    path: PathBuf,
    problem: Problem,
}

#[derive(Debug)]
pub(super) enum Problem {
    Open,
    Name,
    Io(&'static str, io::Error),
    Foreign(String),
}

impl Problem {
    pub(super) fn at(self, path: &Path) -> QuotaFileError {
        let path = path.to_owned();
        QuotaFileError {
            path,
            problem: self,
        }
    }
}

impl QuotaFileError {
    /// The path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl fmt::Display for QuotaFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "quota file {:?} ", self.path)?;
        match &self.problem {
            Problem::Open => f.write_str("is open already: each limit needs a file of its own"),
            Problem::Name => write!(
                f,
                "ends in {BESIDE:?}, accepted is any other name: so ends that of the file that is \
                 written beside it"
            ),
            Problem::Io(doing, error) => write!(f, "{doing}: {error}"),
            Problem::Foreign(found) => write!(
                f,
                "has {found} in it, accepted are the lines {FORMAT:?}, \"day ..\" and \"used ..\", \
                 with whole numbers"
            ),
        }
    }
}

impl Error for QuotaFileError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.problem {
            Problem::Io(_, error) => Some(error),
            _ => None,
        }
    }
}
