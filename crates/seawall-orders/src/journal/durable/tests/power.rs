//! The power is cut between a write and its sync.

use super::disk::Disk;
use super::{Known, assert_has, create, found, open, round};

/// Runs until sync number `syncs` fails, cuts the power there with each sector of what was not
/// synced kept or not, and looks at what is left.
fn cut_at(syncs: usize, rng: &mut fastrand::Rng, kept: f64) {
    let disk = Disk::default();
    let mut store = create(&disk);
    let mut known = Known::new();
    disk.set_syncs(Some(syncs));
    let mut rounds = 0;
    while round(&mut store, rounds, 4, &mut known).is_ok() {
        rounds += 1;
        if rounds > syncs {
            panic!("no sync for {rounds} rounds");
        }
    }
    let left = disk.cut(|| rng.f64() < kept);
    let context = format!("cut at sync {syncs} with {kept} kept");
    let mut store = open(&left).unwrap_or_else(|error| panic!("{context}: {error}"));
    assert_has(&found(&mut store), &known, &context);
    // And it works on.
    round(&mut store, 1_000, 4, &mut known).expect("written");
    store.close().expect("closed");
    let mut store = open(&left).expect("opened");
    assert_has(&found(&mut store), &known, &context);
}

#[test]
fn nothing_acknowledged_is_lost() {
    let mut rng = fastrand::Rng::with_seed(7);
    for syncs in 0..40 {
        for kept in [0.0, 0.5, 0.9, 1.0] {
            cut_at(syncs, &mut rng, kept);
        }
    }
}

/// The test above is worth something only if a journal that answers before its sync fails it.
#[test]
fn without_the_sync_orders_are_lost() {
    let disk = Disk::default();
    let mut store = create(&disk);
    let mut known = Known::new();
    let before = disk.cut(|| false);
    round(&mut store, 0, 4, &mut known).expect("written");
    let mut store = open(&before).expect("opened");
    assert!(found(&mut store).is_empty());
}
