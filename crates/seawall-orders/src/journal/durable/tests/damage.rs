//! Bytes that changed on the disk.

use super::disk::Disk;
use super::{CACHE, Known, assert_has, create, found, frame, open, round};
use crate::journal::JournalError;
use crate::journal::durable::frame::{FRAME, VERSION};
use crate::journal::durable::store::Store;

/// A journal with orders in several commits; closed, or left as by a kill.
fn image(closed: bool) -> (Vec<u8>, Known) {
    let disk = Disk::default();
    let mut store = create(&disk);
    let mut known = Known::new();
    for n in 0..6 {
        round(&mut store, n, 20, &mut known).expect("written");
    }
    let killed = disk.image();
    store.close().expect("closed");
    let image = if closed { disk.image() } else { killed };
    (image, known)
}

/// Flips one bit, and returns whether that was found; nothing may be lost where it was not.
fn flip(image: &[u8], known: &Known, at: usize) -> bool {
    let mut image = image.to_vec();
    image[at] ^= 1 << (at % 8);
    let context = format!("byte {at}");
    match open(&Disk::of(image)) {
        Ok(mut store) => {
            assert_has(&found(&mut store), known, &context);
            store.close().expect("closed");
            false
        }
        Err(JournalError::Corrupted { .. } | JournalError::NotAJournal { .. }) => true,
        Err(error) => panic!("{context}: {error}"),
    }
}

/// Each `step`th byte of both first pages, where they are used, and a sample of all others.
fn flip_everywhere(closed: bool, step: usize) {
    let (image, known) = image(closed);
    let page = FRAME as usize;
    let first = (0..90).chain(511..525).chain(1_023..1_037);
    let first = first.chain(page..page + 330).step_by(step);
    let used = image.iter().enumerate().filter(|(_, byte)| **byte != 0);
    let sample: Vec<_> = used.map(|(at, _)| at).step_by(601).collect();
    let (mut flipped, mut damaged) = (0, 0);
    for at in first.chain(sample) {
        flipped += 1;
        damaged += u32::from(flip(&image, &known, at));
    }
    assert!(damaged > 50, "{damaged} of {flipped}");
}

#[test]
fn a_flipped_bit_in_a_closed_journal_is_found_or_harmless() {
    flip_everywhere(true, 1);
}

#[test]
fn a_flipped_bit_after_a_kill_is_found_or_harmless() {
    flip_everywhere(false, 4);
}

/// Bits that say which commit is the last one, and whether it needs repair.
#[test]
fn flipped_flags_lose_nothing() {
    for closed in [true, false] {
        let (image, known) = image(closed);
        for bits in 1..8 {
            let mut image = image.clone();
            image[FRAME as usize + 9] ^= bits;
            if let Ok(mut store) = open(&Disk::of(image)) {
                assert_has(&found(&mut store), &known, &format!("{closed} {bits}"));
            }
        }
    }
}

/// The database goes back to the commit before one that it cannot read. It would be silent about it.
#[test]
fn a_lost_commit_is_found() {
    let disk = Disk::default();
    let mut store = create(&disk);
    let mut known = Known::new();
    round(&mut store, 0, 4, &mut known).expect("written");
    let before = disk.image();
    round(&mut store, 1, 4, &mut known).expect("written");
    let mut image = before;
    let page = FRAME as usize;
    image[..page].copy_from_slice(&disk.image()[..page]);
    let error = open(&Disk::of(image)).map(drop).unwrap_err();
    let text = "journal orders.journal is damaged: its last commit is number 2, and number 4 was \
                acknowledged";
    assert_eq!(error.to_string(), text);
}

#[test]
fn a_newer_version_is_named() {
    let (mut image, _) = image(true);
    image[16..20].copy_from_slice(&(VERSION + 1).to_le_bytes());
    let crc = crc32fast::hash(&image[..20]);
    image[20..24].copy_from_slice(&crc.to_le_bytes());
    let error = open(&Disk::of(image)).map(drop).unwrap_err();
    let text = "journal orders.journal has format 2, and this program knows formats up to 1";
    assert_eq!(error.to_string(), text);
}

#[test]
fn a_file_that_was_never_completed_is_named() {
    let disk = Disk::default();
    frame(&disk).format().expect("formatted");
    let error = Store::open(frame(&disk), CACHE).map(drop).unwrap_err();
    let text = "orders.journal is no journal of orders: it is 4096 bytes long";
    assert_eq!(error.to_string(), text);
}
