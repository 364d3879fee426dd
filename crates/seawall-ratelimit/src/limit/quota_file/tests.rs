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
    file.begin(20_000);
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
    assert_eq!((file.used(), file.day()), (21, 20_000));
    // The last lease is what is left, and a debit is written in full.
    file.take(975, 1_000);
    assert_eq!(leased(&folder.file()), 996);
    file.take(1, 1_000);
    assert_eq!(leased(&folder.file()), 1_000);
    file.take(1_000, 1_000);
    assert_eq!(leased(&folder.file()), 1_997);
}

#[test]
fn a_new_day_starts_at_zero() {
    let folder = Folder::new();
    let file = QuotaFile::open(folder.file()).unwrap();
    file.begin(20_000);
    file.take(5, 10);
    assert_eq!((file.day(), file.used()), (20_000, 5));
    file.begin(20_001);
    assert_eq!((file.day(), file.used()), (20_001, 0));
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
    file.begin(20_000);
    fs::remove_dir_all(&folder.0).unwrap();
    for _ in 0..30 {
        file.take(1, 1_000);
    }
    // At once, then after 2, 4, 8 units, and at most a lease of 10.
    assert_eq!((file.used(), file.write_errors()), (30, 6));
    assert!(file.last_error().is_some() && file.save().is_err());
    fs::create_dir_all(&folder.0).unwrap();
    for _ in 0..10 {
        file.take(1, 1_000);
    }
    let known = leased(&folder.file());
    assert!(known >= 35 && file.write_errors() == 7, "{known}");
}

/// The file cannot be written for a while, and then it can: nothing is forgotten.
#[test]
fn what_was_used_while_the_file_could_not_be_written_is_written_at_the_end() {
    for count in [100, 10_000] {
        let folder = Folder::new();
        let file = QuotaFile::open(folder.file()).unwrap();
        file.begin(20_000);
        for _ in 0..10 {
            file.take(1, count);
        }
        // Something stands in the way of the file that is written beside it.
        let beside = folder.0.join("orders.seawall-quota-new");
        fs::create_dir(&beside).unwrap();
        for _ in 0..40 {
            file.take(1, count);
        }
        assert_eq!(file.write_errors() > 0, count == 100);
        fs::remove_dir(&beside).unwrap();
        drop(file);
        assert_eq!(leased(&folder.file()), 50);
    }
}

#[test]
fn files_with_similar_names_do_not_harm_each_other() {
    let folder = Folder::new();
    let names = ["orders", "orders.tmp", "orders.new", "orders.tmp.tmp"];
    let files: Vec<_> = names
        .iter()
        .map(|name| QuotaFile::open(folder.0.join(name)).unwrap())
        .collect();
    for round in 0..3 {
        for (n, file) in files.iter().enumerate() {
            file.begin(20_000);
            file.take(n as u64 + 1, 100);
            assert_eq!(file.used(), n as u64 + 1, "{round}");
        }
    }
    // A crash: nothing is written any more.
    for (n, name) in names.iter().enumerate() {
        assert_eq!(read(&folder.0.join(name)).unwrap(), (20_000, n as u64 + 1));
    }
    let reserved = QuotaFile::open(folder.0.join("orders.seawall-quota-new")).unwrap_err();
    assert!(reserved.to_string().contains("accepted is any other name"));
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), names.len());
}

/// What is left of a write that a crash has cut off is neither read nor in the way.
#[test]
fn a_torn_write_harms_nothing() {
    let folder = Folder::new();
    let file = QuotaFile::open(folder.file()).unwrap();
    file.begin(20_000);
    file.take(7, 100);
    let whole = fs::read(folder.file()).unwrap();
    drop(file);
    for torn in 0..whole.len() {
        fs::write(folder.0.join("orders.seawall-quota-new"), &whole[..torn]).unwrap();
        let file = QuotaFile::open(folder.file()).unwrap();
        assert_eq!((file.day(), file.used()), (20_000, 7));
        drop(file);
        assert_eq!(fs::read(folder.file()).unwrap(), whole);
        assert!(!folder.0.join("orders.seawall-quota-new").exists());
    }
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
        let file = QuotaFile::open(folder.file()).unwrap().synced(false);
        file.begin(1);
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
