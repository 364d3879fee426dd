use super::format::{FORMAT, parse};
use super::*;
use proptest::prelude::*;
use std::error::Error;
use std::fs;
use std::sync::atomic::AtomicU32;

/// A path in a folder that is removed on drop.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("seawall-quota-{}-{next}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.0.join("orders")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn leased(path: &Path) -> u64 {
    read(path).unwrap().1
}

#[test]
fn a_lease_is_written_before_it_is_granted_and_given_back_on_drop() {
    let folder = Folder::new();
    let file = QuotaFile::open(folder.file()).unwrap();
    assert_eq!(file.enter(20_000), 20_000);
    file.take(1, 1_000);
    assert_eq!(leased(&folder.file()), 10);
    file.take(9, 1_000);
    assert_eq!(leased(&folder.file()), 10);
    file.take(1, 1_000);
    assert_eq!(leased(&folder.file()), 20);
    file.save().unwrap();
    assert_eq!(leased(&folder.file()), 11);
    file.take(1, 1_000);
    assert_eq!(leased(&folder.file()), 21);
    // A crash: the file stays as it is.
    let crashed = fs::read(folder.file()).unwrap();
    drop(file);
    assert_eq!(leased(&folder.file()), 12);
    fs::write(folder.file(), crashed).unwrap();
    let file = QuotaFile::open(folder.file()).unwrap();
    assert_eq!((file.used(), file.enter(20_000)), (21, 20_000));
    // The last lease is what is left, and a debit is written in full.
    file.take(975, 1_000);
    assert_eq!(leased(&folder.file()), 996);
    file.take(1, 1_000);
    assert_eq!(leased(&folder.file()), 1_000);
    file.take(1_000, 1_000);
    assert_eq!(leased(&folder.file()), 1_997);
}

#[test]
fn a_new_day_starts_at_zero_and_an_earlier_one_does_not() {
    let folder = Folder::new();
    let file = QuotaFile::open(folder.file()).unwrap();
    file.enter(20_000);
    file.take(5, 10);
    assert_eq!((file.enter(19_999), file.used()), (20_000, 5));
    assert_eq!((file.enter(20_001), file.used()), (20_001, 0));
    file.take(1, 10);
    let kept = read(&folder.file()).unwrap();
    assert_eq!(kept, (20_001, 1));
}

#[test]
fn a_file_is_opened_only_once_whatever_the_spelling_of_its_path() {
    let folder = Folder::new();
    let file = QuotaFile::open(folder.file()).unwrap();
    let other = folder.0.join("..").join(folder.0.file_name().unwrap());
    let twice = QuotaFile::open(other.join("orders")).unwrap_err();
    assert!(twice.to_string().contains("open already"));
    let same = file.clone();
    assert!(same == file);
    drop((file, same));
    assert!(QuotaFile::open(folder.file()).is_ok());
}

#[test]
fn another_kind_of_file_is_an_error_and_stays_unchanged() {
    let good = "seawall-quota 1\nday 20778\nused 1250\n";
    assert_eq!(parse(good), Ok((20_778, 1_250)));
    let folder = Folder::new();
    let long = "x".repeat(2_000);
    for bad in [
        "",
        "garbage",
        "seawall-quota 2\nday 20778\nused 1250\n",
        "seawall-quota 11\nday 20778\nused 1250\n",
        "seawall-quota 1\nday -1\nused 1250\n",
        "seawall-quota 1\nday 20778\nused +1250\n",
        "seawall-quota 1\nday 99999999999999999999\nused 1\n",
        "seawall-quota 1\nday 20778\nused \n",
        "seawall-quota 1\nday 20778\nused 1250",
        "seawall-quota 1\nday 20778\nused 1250\n\n",
        "seawall-quota 1\nday 20778\n",
        &long,
    ] {
        fs::write(folder.file(), bad).unwrap();
        let rejected = QuotaFile::open(folder.file()).unwrap_err();
        let message = rejected.to_string();
        assert!(
            message.contains("orders") && message.contains("accepted are the lines"),
            "{message}"
        );
        assert_eq!(fs::read_to_string(folder.file()).unwrap(), bad);
    }
    fs::write(folder.file(), [0xff, 0xfe]).unwrap();
    assert!(QuotaFile::open(folder.file()).is_err());
    fs::write(folder.file(), good).unwrap();
    assert!(QuotaFile::open(folder.file()).is_ok());
}

#[test]
fn invalid_paths_are_errors() {
    let folder = Folder::new();
    let nowhere = QuotaFile::open(folder.0.join("no").join("orders")).unwrap_err();
    assert!(nowhere.source().is_some());
    // A folder is not a file.
    assert!(QuotaFile::open(&folder.0).is_err());
    assert!(QuotaFile::open("/").is_err());
}

#[test]
fn write_errors_are_counted_and_grants_continue_in_memory() {
    let folder = Folder::new();
    let file = QuotaFile::open(folder.file()).unwrap().synced(true);
    file.enter(20_000);
    fs::remove_dir_all(&folder.0).unwrap();
    for _ in 0..30 {
        file.take(1, 1_000);
    }
    // Once per lease.
    assert_eq!((file.used(), file.write_errors()), (30, 3));
    assert!(file.last_error().is_some() && file.save().is_err());
    fs::create_dir_all(&folder.0).unwrap();
    file.take(1, 1_000);
    assert_eq!((leased(&folder.file()), file.write_errors()), (40, 4));
}

proptest! {
    #[test]
    fn any_text_is_parsed_or_an_error(text in "\\PC{0,60}", lines in "(seawall-quota 1\n)?(day [-0-9]{0,22}\n)?.{0,8}") {
        for text in [text, lines] {
            if let Ok((day, leased)) = parse(&text) {
                prop_assert!(day >= 0);
                let again = format!("{FORMAT}\nday {day}\nused {leased}\n");
                prop_assert_eq!(parse(&again), Ok((day, leased)));
            }
        }
    }

    /// Whenever the process ends, the file has at least what was granted, and at most one lease
    /// more.
    #[test]
    fn a_crash_loses_one_lease_at_most(
        count in 1_u64..2_000,
        costs in prop::collection::vec((1_u64..20, any::<bool>()), 1..20),
    ) {
        let folder = Folder::new();
        let file = QuotaFile::open(folder.file()).unwrap();
        file.enter(1);
        for (cost, refund) in costs {
            let before = file.used();
            file.take(cost, count);
            let written = leased(&folder.file());
            prop_assert!(written >= file.used());
            prop_assert!(written <= (before + cost).max(before + (count / 100).max(1)) + 20 * 20);
            if refund {
                file.give_back(cost);
            } else {
                file.save().unwrap();
                prop_assert_eq!(leased(&folder.file()), file.used());
            }
        }
    }
}
