//! The kill switch of a program, by its file.

use std::io::Write;

use seawall_orders::switch::KillSwitch as Switch;

use super::arguments::KillSwitch;
use super::error::Done;
use super::{resolve, text};

pub(crate) fn run(asked: &KillSwitch, out: &mut dyn Write) -> Done {
    let switch = Switch::file(&asked.path);
    if let Some(reason) = &asked.engage {
        switch.engage(reason.as_str(), resolve::user())?;
    } else if asked.release {
        switch.release()?;
    }
    let Some(engaged) = switch.engaged() else {
        writeln!(out, "not engaged: new orders pass")?;
        return Ok(0);
    };
    write!(out, "engaged: {}", text::escape(engaged.reason.as_bytes()))?;
    if let Some(what) = engaged.unreadable {
        write!(out, " ({})", text::escape(what.as_bytes()))?;
    }
    if !engaged.by.is_empty() {
        write!(out, ", by {}", text::escape(engaged.by.as_bytes()))?;
    }
    if let Some(since) = engaged.since {
        write!(out, ", since {}", text::utc(since))?;
    }
    writeln!(out)?;
    Ok(0)
}
