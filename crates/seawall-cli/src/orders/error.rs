//! What a command ends with.

use std::error::Error;

use seawall_orders::journal::JournalError;

/// The exit code, or what is wrong.
pub(crate) type Done = Result<u8, Box<dyn Error>>;

/// The error of a journal, with what to do where that is not plain.
pub(crate) fn explained(error: JournalError) -> Box<dyn Error> {
    match error {
        JournalError::InUse { .. } => format!(
            "{error}: as long as it runs, only that program can read or change its journal (a copy of the \
             file may be torn); look and settle through its own handle, or stop it and try again"
        )
        .into(),
        JournalError::Corrupted { .. } => format!(
            "{error}; nothing was changed: copy the file before anything else is tried with it"
        )
        .into(),
        error => error.into(),
    }
}
