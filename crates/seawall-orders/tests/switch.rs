//! The kill switch, as an operator uses it.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use seawall_orders::switch::KillSwitch;

struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Self {
        let name = format!("seawall-switch-{}-{test}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn file(&self) -> PathBuf {
        self.0.join("orders.stop")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn it_stays_engaged_across_a_restart_until_it_is_released() {
    let folder = Folder::new("restart");
    assert!(!KillSwitch::file(folder.file()).is_engaged());
    KillSwitch::file(folder.file())
        .engage("first\nline two", "alice")
        .unwrap();
    let text = fs::read_to_string(folder.file()).unwrap();
    assert!(
        text.contains("reason: first\\nline two\nby: alice\n"),
        "{text}"
    );

    let restarted = KillSwitch::file(folder.file());
    assert!(restarted.is_engaged());
    let engaged = restarted.engaged().unwrap();
    assert_eq!(
        (engaged.reason.as_str(), engaged.by.as_str()),
        ("first\\nline two", "alice")
    );
    let since = engaged.since.unwrap();
    let age = SystemTime::now().duration_since(since).unwrap();
    assert!(age < Duration::from_secs(60), "{age:?}");
    restarted.engage("second", "bob").unwrap();
    assert_eq!(
        KillSwitch::file(folder.file()).engaged().unwrap().reason,
        "second"
    );

    restarted.release().unwrap();
    assert!(!restarted.is_engaged() && restarted.engaged().is_none());
    assert!(!KillSwitch::file(folder.file()).is_engaged());
    assert_eq!(
        fs::read_dir(&folder.0).unwrap().count(),
        0,
        "nothing is left behind"
    );
    restarted.release().unwrap();
}

#[test]
fn clones_are_one_switch_and_deleting_the_file_does_not_release_it() {
    let folder = Folder::new("clones");
    for switch in [KillSwitch::in_memory(), KillSwitch::file(folder.file())] {
        let other = switch.clone();
        switch.engage("stop", "alice").unwrap();
        assert!(other.is_engaged());
        _ = fs::remove_file(folder.file());
        assert!(switch.is_engaged());
        other.release().unwrap();
        assert!(!switch.is_engaged());
    }
}

#[test]
fn half_a_file_and_what_is_none_count_as_engaged() {
    let folder = Folder::new("half");
    KillSwitch::file(folder.file())
        .engage("stop", "alice")
        .unwrap();
    let whole = fs::read(folder.file()).unwrap();
    for len in 0..whole.len() - 1 {
        fs::write(folder.file(), &whole[..len]).unwrap();
        let switch = KillSwitch::file(folder.file());
        assert!(switch.is_engaged(), "{len} bytes");
        assert!(
            switch.engaged().unwrap().unreadable.is_some(),
            "{len} bytes"
        );
    }
    fs::write(folder.file(), [0xff; 9]).unwrap();
    assert!(KillSwitch::file(folder.file()).is_engaged());
    fs::write(folder.file(), vec![b'x'; 1 << 20]).unwrap();
    let large = KillSwitch::file(folder.file()).engaged().unwrap();
    assert_eq!(
        large.unreadable.as_deref(),
        Some("it is 1048576 bytes long")
    );
    fs::remove_file(folder.file()).unwrap();
    fs::create_dir(folder.file()).unwrap();
    let switch = KillSwitch::file(folder.file());
    let none = switch.engaged().unwrap();
    assert_eq!(none.unreadable.as_deref(), Some("it is no regular file"));
    switch.release().unwrap_err();
    assert!(
        switch.is_engaged(),
        "what cannot be removed is not released"
    );
}

#[test]
fn it_is_engaged_in_memory_where_the_file_cannot_be_written() {
    let folder = Folder::new("unwritable");
    let switch = KillSwitch::file(folder.0.join("no such folder/orders.stop"));
    assert!(!switch.is_engaged());
    let error = switch.engage("stop", "alice").unwrap_err().to_string();
    assert!(
        error.contains("orders.stop.new: writing it: No such file"),
        "{error}"
    );
    assert!(switch.is_engaged());
    assert_eq!(switch.engaged().unwrap().reason, "stop");
    switch.release().unwrap();
    assert!(!switch.is_engaged());
}
