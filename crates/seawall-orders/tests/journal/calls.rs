//! What holds for every journal: bad input, errors, cancellation.

use std::sync::Arc;
use std::time::SystemTime;

use seawall_orders::Operation;
use seawall_orders::journal::{
    Intent, Journal, JournalError, Mark, MemoryJournal, SavedRequest, State, Step,
};

fn intent(id: &str) -> Intent {
    Intent::new(id, Operation::Create, SystemTime::now())
}

/// Runs a check on each journal.
async fn each<F: AsyncFn(Arc<dyn Journal>)>(check: F) {
    check(Arc::new(MemoryJournal::default())).await;
    #[cfg(feature = "durable")]
    {
        let folder = crate::common::Folder::new();
        let journal = crate::common::open(&folder.file()).await;
        check(Arc::new(journal.clone())).await;
        journal.close().await.unwrap();
    }
}

#[tokio::test]
async fn errors_name_the_id_and_both_states() {
    each(async |journal| {
        journal.append(intent("desk-1")).await.unwrap();
        let error = journal.append(intent("desk-1")).await.unwrap_err();
        let text = "client order id `desk-1` was used before, its entry is intent";
        assert_eq!(error.to_string(), text);

        let filled = Mark::confirmed(SystemTime::now(), "broker", "");
        let error = journal.mark("desk-1", filled.clone()).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "`desk-1` is intent and cannot be marked confirmed"
        );
        let error = journal.mark("desk-2", filled).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "no entry has the client order id `desk-2`"
        );

        let third = Mark::sent(SystemTime::now(), 3);
        let error = journal.mark("desk-1", third).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "the next attempt of `desk-1` is number 1, the mark has 3"
        );
        // None of them has changed anything.
        let entry = journal.entry("desk-1").await.unwrap().unwrap();
        assert_eq!((entry.state(), entry.steps_total()), (State::Intent, 1));
    })
    .await;
}

#[tokio::test]
async fn bad_input_is_rejected() {
    each(async |journal| {
        let cases = [
            (intent(""), "`id` is empty, accepted is 1 to 255 bytes"),
            (
                intent(&"x".repeat(256)),
                "`id` is 256 bytes long, accepted is 1 to 255 bytes",
            ),
            (
                intent("a").account("x".repeat(300)),
                "`account` is 300 bytes long, accepted is 1 to 255 bytes",
            ),
            (
                intent("a").request(SavedRequest::new("POST", "/").body(vec![0; 17 << 20])),
                "`request` is 17825797 bytes long, accepted is at most 16 MiB",
            ),
        ];
        for (intent, text) in cases {
            let error = journal.append(intent).await.unwrap_err();
            assert!(matches!(error, JournalError::Invalid(_)));
            assert_eq!(error.to_string(), text);
        }
        assert!(journal.entry("a").await.unwrap().is_none());
    })
    .await;
}

#[tokio::test]
async fn a_dropped_answer_loses_the_answer_alone() {
    each(async |journal| {
        // Never polled.
        drop(journal.append_sent(intent("desk-1")));
        // Polled once.
        let mut append = std::pin::pin!(journal.append_sent(intent("desk-2")));
        let once = std::future::poll_fn(|cx| std::task::Poll::Ready(append.as_mut().poll(cx)));
        _ = once.await;
        drop(journal.mark("desk-1", Mark::confirmed(SystemTime::now(), "broker", "")));
        // A read sees what was handed over before it.
        let first = journal.entry("desk-1").await.unwrap().unwrap();
        assert_eq!(first.state(), State::Confirmed);
        let second = journal.entry("desk-2").await.unwrap().unwrap();
        assert_eq!((second.state(), second.attempts()), (State::Sent, 1));
    })
    .await;
}

#[tokio::test]
async fn a_journal_is_what_was_sent_and_when() {
    each(async |journal| {
        let at = SystemTime::UNIX_EPOCH + std::time::Duration::from_millis(1_790_000_000_123);
        let request = SavedRequest::new("DELETE", "/orders/7")
            .header("x-a", b"1")
            .body("body");
        let cancel = Intent::new("cancel-7", Operation::Cancel, at)
            .account("alpaca/paper")
            .run("run 1")
            .request(request.clone())
            .hook("desk 3");
        journal.append_sent(cancel.clone()).await.unwrap();
        for attempt in 2..20 {
            journal
                .mark("cancel-7", Mark::sent(at, attempt))
                .await
                .unwrap();
        }
        let rejected = Mark::rejected(at, "no such order");
        journal.mark("cancel-7", rejected).await.unwrap();
        let entry = journal.entry("cancel-7").await.unwrap().unwrap();
        assert_eq!(entry.intent(), &cancel);
        assert_eq!(entry.intent().at(), at);
        assert_eq!(
            (entry.attempts(), entry.details()),
            (19, &b"no such order"[..])
        );
        let steps: Vec<_> = entry.steps().iter().map(Step::attempt).collect();
        assert_eq!(steps, [13, 14, 15, 16, 17, 18, 19, 0]);
        assert_eq!(entry.steps_total(), 21);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_that_use_one_id_one_has_it() {
    each(async |journal| {
        let tasks: Vec<_> = (0..50)
            .map(|_| {
                let journal = Arc::clone(&journal);
                tokio::spawn(async move { journal.append(intent("desk-1")).await.is_ok() })
            })
            .collect();
        let mut written = 0;
        for task in tasks {
            written += u32::from(task.await.unwrap());
        }
        assert_eq!(written, 1);
    })
    .await;
}
