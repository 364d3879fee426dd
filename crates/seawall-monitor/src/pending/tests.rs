use std::collections::BTreeMap;

use proptest::prelude::*;
use seawall_core::Severity;

use super::*;

fn alert(id: u64, state: AlertState) -> AlertView {
    AlertView {
        id,
        name: "BreakerOpened",
        severity: Severity::Warning,
        state,
        service: None,
        words: String::new(),
        value: 0.0,
        threshold: 0.0,
        raised_at_unix_ms: 0,
        resolved_at_unix_ms: None,
        labels: BTreeMap::new(),
        runbook: String::new(),
        acknowledged: None,
        silenced: None,
        silence: None,
    }
}

/// Everything that can be given now, where the alerts of these numbers are firing.
fn ready(pending: &mut Pending, firing: impl IntoIterator<Item = u64>) -> Vec<Queued> {
    let now = firing.into_iter();
    let now = now.map(|id| (id, alert(id, AlertState::Firing))).collect();
    let asked = pending.firing();
    pending.ready(&asked, &now)
}

#[test]
fn what_was_given_as_firing_is_never_dropped_and_the_rest_is_bounded() {
    use AlertState::{Firing, Resolved};
    let mut pending = Pending::default();
    for id in 0..100 {
        assert!(!pending.put(&alert(id, Firing)));
    }
    let given = ready(&mut pending, 0..100);
    pending.delivered(&given);
    assert_eq!(pending.len(), 0);
    // The sink fails from here on.
    for id in 0..600 {
        pending.put(&alert(id, Firing));
        let batch = ready(&mut pending, [id]);
        pending.failed(&batch);
        let is_dropped = pending.put(&alert(id, Resolved));
        assert_eq!(is_dropped, id >= 100 + LATE as u64, "{id}");
    }
    let left: HashSet<_> = ready(&mut pending, [])
        .iter()
        .map(|(_, alert)| alert.id)
        .collect();
    assert_eq!(left.len(), 100 + LATE);
    assert!((0..100).all(|id| left.contains(&id)));
}

proptest! {
    /// With a sink that fails at times, and alerts that end at any moment, also while they are delivered: once
    /// it works, it knows of each alert what is so, and it has never got an alert that was over as firing again.
    #[test]
    fn a_sink_that_works_again_knows_everything(
        steps in prop::collection::vec((0_u64..6, any::<bool>(), 0_u8..4), 1..200),
    ) {
        let mut pending = Pending::default();
        // The number of the alert of each service, if it is firing.
        let mut firing = BTreeMap::<u64, u64>::new();
        let mut sink = BTreeMap::<u64, AlertState>::new();
        let mut next = 0;
        let mut deliver = |pending: &mut Pending, batch: &[Queued]| {
            for (_, alert) in batch {
                let before = sink.insert(alert.id, alert.state);
                prop_assert!(before != Some(AlertState::Resolved), "{} was over", alert.id);
            }
            pending.delivered(batch);
            Ok(())
        };
        let mut toggle = |pending: &mut Pending, firing: &mut BTreeMap<u64, u64>, service| {
            match firing.remove(&service) {
                Some(id) => pending.put(&alert(id, AlertState::Resolved)),
                None => {
                    firing.insert(service, next);
                    next += 1;
                    pending.put(&alert(next - 1, AlertState::Firing))
                }
            }
        };
        for (service, works, most) in steps {
            toggle(&mut pending, &mut firing, service);
            let mut batch = ready(&mut pending, firing.values().copied());
            batch.truncate(usize::from(most));
            // While it is delivered, another one changes.
            toggle(&mut pending, &mut firing, (service + 1) % 6);
            if works {
                deliver(&mut pending, &batch)?;
            } else {
                pending.failed(&batch);
            }
        }
        let batch = ready(&mut pending, firing.values().copied());
        deliver(&mut pending, &batch)?;
        prop_assert_eq!(pending.len(), 0);
        let known = sink.iter().filter(|(_, state)| **state == AlertState::Firing);
        let known: Vec<_> = known.map(|(id, _)| *id).collect();
        let mut expected: Vec<_> = firing.into_values().collect();
        expected.sort_unstable();
        prop_assert_eq!(known, expected);
    }
}
