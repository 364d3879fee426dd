//! How much room the machine has.

use super::report::{Finding, Judged};
use crate::SystemReport;

/// Up to this share used, a resource has full marks.
const COMFORTABLE: f64 = 0.7;

/// `None` where nothing is known of this system.
pub(super) fn judge(system: &SystemReport) -> Option<Judged> {
    let of = |what: &str, share: f64| (what.to_owned(), share);
    let cpu = system.cpu.map(|share| of("the processors", share));
    let memory = system.memory.map(|memory| of("the memory", memory.share()));
    let files = system
        .open_files
        .map(|files| of("the files that may be open", files.share()));
    let disks = system.disks.iter();
    let disks = disks.map(|disk| {
        of(
            &format!("the disk of {}", disk.path.display()),
            disk.usage.share(),
        )
    });
    let all: Vec<_> = cpu
        .into_iter()
        .chain(memory)
        .chain(files)
        .chain(disks)
        .collect();
    // The fullest one is what the program stops at.
    let (what, share) = all.iter().max_by(|a, b| a.1.total_cmp(&b.1))?;
    let words = format!(
        "{:.0} % of {what} are used, the most of {}",
        share * 100.0,
        all.len()
    );
    let findings = all.iter().map(|(what, share)| {
        let advice = format!("make room: {:.0} % of {what} are used", share * 100.0);
        Finding::new(100.0 - marks(*share), advice)
    });
    Some(Judged::new(marks(*share), words, findings.collect()))
}

fn marks(share: f64) -> f64 {
    100.0 * ((1.0 - share) / (1.0 - COMFORTABLE)).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_fall_from_where_it_is_comfortable() {
        for (share, expected) in [(0.0, 100.0), (0.7, 100.0), (1.0, 0.0)] {
            assert_eq!(marks(share), expected);
        }
        assert!((marks(0.85) - 50.0).abs() < 1e-9);
    }

    #[test]
    fn nothing_known_is_no_score() {
        assert!(judge(&SystemReport::default()).is_none());
    }
}
