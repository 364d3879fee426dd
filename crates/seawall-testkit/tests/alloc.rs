//! The counts are correct, and belong to the closure and the thread.
#![cfg(feature = "alloc")]

use std::hint::black_box;

use seawall_testkit::alloc::count;

#[test]
fn nothing_is_counted_where_nothing_is_allocated() {
    let counts = count(|| black_box(1) + black_box(2));
    assert_eq!((counts.allocations, counts.bytes, counts.left), (0, 0, 0));
}

#[test]
fn freed_memory_counts_and_is_not_left() {
    let counts = count(|| drop(black_box(vec![1_u8; 100])));
    assert_eq!((counts.allocations, counts.bytes, counts.left), (1, 100, 0));
}

#[test]
fn result_is_left_over() {
    let counts = count(|| black_box(Box::new(1_u64)));
    assert_eq!((counts.allocations, counts.bytes, counts.left), (1, 8, 1));
}

#[test]
fn other_threads_are_not_counted() {
    let (give, take) = std::sync::mpsc::sync_channel::<()>(0);
    let (done, wait) = std::sync::mpsc::sync_channel(1);
    let other = std::thread::spawn(move || {
        take.recv().expect("the test sends");
        let memory = black_box(vec![0_u8; 4096]);
        done.send(memory.len()).expect("the test waits");
    });
    let counts = count(|| {
        give.send(()).expect("the thread waits");
        wait.recv().expect("the thread responds")
    });
    assert!(counts.bytes < 4096, "{counts:?}");
    other.join().expect("the thread ends");
}

#[test]
fn outer_count_includes_the_inner() {
    let outer = count(|| {
        let inner = count(|| black_box(Box::new(1_u32)));
        assert_eq!(inner.allocations, 1);
        drop(black_box(Box::new(2_u32)));
    });
    assert_eq!((outer.allocations, outer.left), (2, 0));
}

#[test]
fn a_panic_changes_no_later_count() {
    let panicked = std::panic::catch_unwind(|| count(|| panic!("on purpose")));
    assert!(panicked.is_err());
    assert_eq!(count(|| black_box(Box::new(1_u8))).allocations, 1);
}
