//! What a user sees of a journal in a file.

use std::time::{Duration, SystemTime};

use seawall_orders::journal::durable::{DurableConfig, DurableJournal, FsyncPolicy};
use seawall_orders::journal::{Entry, Filter, Journal, JournalError, Mark, State};

use crate::common::{Folder, intent, open};

#[tokio::test]
async fn what_was_acknowledged_is_there_after_closing() {
    let folder = Folder::new();
    let journal = open(&folder.file()).await;
    assert_eq!(journal.path(), folder.file());
    journal.append_sent(intent("desk-1")).await.unwrap();
    journal.close().await.unwrap();
    let error = journal.append(intent("desk-2")).await.unwrap_err();
    assert!(matches!(error, JournalError::Closed), "{error}");

    let journal = open(&folder.file()).await;
    let entry = journal.entry("desk-1").await.unwrap().unwrap();
    assert_eq!(entry.state(), State::Sent);
    assert_eq!(entry.intent().account_name(), "alpaca/paper");
    assert!(!folder.file().with_extension("journal.new").exists());
}

#[tokio::test]
async fn dropping_the_handle_finishes_what_was_handed_over() {
    let folder = Folder::new();
    let journal = open(&folder.file()).await;
    let answers: Vec<_> = (0..100)
        .map(|n| journal.append(intent(&n.to_string())))
        .collect();
    drop(journal);
    for answer in answers {
        answer.await.unwrap();
    }
}

#[test]
fn a_runtime_that_ends_loses_answers_and_no_writes() {
    let folder = Folder::new();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let journal = runtime.block_on(open(&folder.file()));
    for n in 0..20 {
        let answer = journal.append(intent(&n.to_string()));
        runtime.spawn(answer);
    }
    runtime.shutdown_background();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let page = runtime.block_on(journal.list(&Filter::all())).unwrap();
    assert_eq!(page.entries.len(), 20);
}

#[tokio::test]
async fn one_handle_has_the_file() {
    let folder = Folder::new();
    let journal = open(&folder.file()).await;
    let second = DurableJournal::open(folder.file(), DurableConfig::default());
    let error = second.await.unwrap_err();
    let expected = format!(
        "journal {} is in use by process {}",
        folder.file().display(),
        std::process::id()
    );
    assert_eq!(error.to_string(), expected);
    journal.close().await.unwrap();
    open(&folder.file()).await;
}

#[tokio::test]
async fn other_files_are_no_journals() {
    let folder = Folder::new();
    let long = vec![b'x'; 100_000];
    for (content, found) in [
        (&b""[..], "it is 0 bytes long"),
        (b"short", "it is 5 bytes long"),
        (&long, "it does not begin as one"),
    ] {
        std::fs::write(folder.file(), content).unwrap();
        let error = DurableJournal::open(folder.file(), DurableConfig::default()).await;
        let error = error.unwrap_err().to_string();
        let path = folder.file();
        assert_eq!(
            error,
            format!("{} is no journal of orders: {found}", path.display())
        );
        assert_eq!(std::fs::read(&path).unwrap(), content, "it was changed");
    }
}

#[tokio::test]
async fn places_that_cannot_be_written_are_named() {
    let folder = Folder::new();
    std::fs::write(folder.file(), "").unwrap();
    for path in [
        folder
            .file()
            .with_file_name("missing")
            .join("orders.journal"),
        folder.file().join("below-a-file"),
        "/proc/orders.journal".into(),
    ] {
        let opened = DurableJournal::open(&path, DurableConfig::default()).await;
        let error = opened.unwrap_err();
        assert!(matches!(error, JournalError::Io { .. }), "{error}");
        let start = format!("journal {}: opening the file: ", path.display());
        assert!(error.to_string().starts_with(&start), "{error}");
    }
}

/// As root every folder can be written: the folder of the test above under `/proc` is for that.
#[cfg(unix)]
#[tokio::test]
async fn a_read_only_folder_is_named() {
    use std::os::unix::fs::PermissionsExt;

    let folder = Folder::new();
    let parent = folder.file().parent().unwrap().to_owned();
    let mode = |mode| std::fs::set_permissions(&parent, PermissionsExt::from_mode(mode));
    mode(0o555).unwrap();
    let root = std::fs::write(parent.join("probe"), "").is_ok();
    let opened = DurableJournal::open(folder.file(), DurableConfig::default()).await;
    mode(0o755).unwrap();
    match opened {
        Ok(_) => assert!(root),
        Err(error) => assert!(error.to_string().contains("opening the file"), "{error}"),
    }
}

#[tokio::test]
async fn a_file_that_ends_early_is_damaged() {
    let folder = Folder::new();
    let journal = open(&folder.file()).await;
    for n in 0..50 {
        _ = journal.append(intent(&n.to_string()));
    }
    journal.close().await.unwrap();
    let whole = std::fs::read(folder.file()).unwrap();
    for len in [whole.len() - 1, whole.len() / 2, 9_000, 8_200] {
        std::fs::write(folder.file(), &whole[..len]).unwrap();
        let opened = DurableJournal::open(folder.file(), DurableConfig::default()).await;
        let error = opened.unwrap_err();
        assert!(
            matches!(error, JournalError::Corrupted { .. }),
            "{len}: {error}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_appends_are_in_the_order_of_each_caller() {
    let folder = Folder::new();
    let journal = open(&folder.file()).await;
    let callers: Vec<_> = (0..16)
        .map(|caller| {
            let journal = journal.clone();
            tokio::spawn(async move {
                let mut last = None;
                for n in 0..25 {
                    let id = format!("{caller}-{n}");
                    let seq = journal.append_sent(intent(&id)).await.unwrap();
                    assert!(Some(seq) > last);
                    last = Some(seq);
                    drop(journal.mark(&id, Mark::confirmed(SystemTime::now(), "b", "")));
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
    journal.close().await.unwrap();
    let journal = open(&folder.file()).await;
    let page = journal.list(&Filter::all().limit(10_000)).await.unwrap();
    assert_eq!(page.entries.len(), 400);
    let seqs: Vec<_> = page.entries.iter().map(Entry::seq).collect();
    assert!(seqs.is_sorted());
    assert!(
        page.entries
            .iter()
            .all(|entry| entry.state() == State::Confirmed)
    );
}

#[tokio::test]
async fn what_does_not_fit_in_the_queue_is_rejected() {
    let folder = Folder::new();
    let config = DurableConfig::default()
        .max_pending(10)
        .unwrap()
        .fsync(FsyncPolicy::Always)
        .unwrap();
    let journal = DurableJournal::open(folder.file(), config).await.unwrap();
    let answers: Vec<_> = (0..5_000)
        .map(|n| journal.append(intent(&n.to_string())))
        .collect();
    let (mut written, mut behind) = (0, 0);
    for answer in answers {
        match answer.await {
            Ok(_) => written += 1,
            Err(JournalError::Behind { max_pending: 10 }) => behind += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert!(written >= 10 && behind > 0, "{written} and {behind}");
    let page = journal.list(&Filter::all().limit(10_000)).await.unwrap();
    assert_eq!(page.entries.len(), written);
}

#[tokio::test]
async fn retention_removes_ended_entries_alone() {
    let folder = Folder::new();
    let config = DurableConfig::default();
    let hour_ago = SystemTime::now() - Duration::from_secs(3600);
    let journal = DurableJournal::open(folder.file(), config).await.unwrap();
    journal.append_sent(intent("open")).await.unwrap();
    for n in 0..500 {
        _ = journal.append_sent(intent(&n.to_string()));
        _ = journal.mark(&n.to_string(), Mark::rejected(hour_ago, "old"));
    }
    journal.close().await.unwrap();
    let large = std::fs::metadata(folder.file()).unwrap().len();

    let minutes = config.retention(Duration::from_secs(600)).unwrap();
    let journal = DurableJournal::open(folder.file(), minutes).await.unwrap();
    // The first look of the writer at their age comes with its first commit.
    journal.entry("open").await.unwrap();
    let page = journal.list(&Filter::all()).await.unwrap();
    assert_eq!(page.entries.len(), 1);
    assert_eq!(page.entries[0].intent().id(), "open");
    journal
        .append(intent("7"))
        .await
        .expect("the id is unused again");
    journal.compact().await.unwrap();
    journal.close().await.unwrap();
    let small = std::fs::metadata(folder.file()).unwrap().len();
    assert!(small <= large, "{small} after {large}");
    let page = open(&folder.file())
        .await
        .list(&Filter::open())
        .await
        .unwrap();
    assert_eq!(page.entries.len(), 2);
}

#[test]
fn settings_are_checked() {
    let config = DurableConfig::default();
    let long = FsyncPolicy::Group {
        max_delay: Duration::from_secs(2),
    };
    let errors = [
        config.fsync(long).unwrap_err().to_string(),
        config.retention(Duration::ZERO).unwrap_err().to_string(),
        config.max_pending(0).unwrap_err().to_string(),
        config.cache(5).unwrap_err().to_string(),
    ];
    let expected = [
        "`max_delay` is 2s, accepted is at most 1 s",
        "`retention` is 0 s, accepted is more than 0 s",
        "`max_pending` is 0, accepted is at least 1",
        "`cache` is 5, accepted is at least 1048576",
    ];
    assert_eq!(errors, expected);
}
