//! What a sink has not been given yet: of each alert the newest state.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::alert_view::{AlertState, AlertView};

/// How many alerts are kept that were over before the sink was given them. All others are bounded by what
/// can fire at once.
pub(crate) const LATE: usize = 256;

/// The place of an alert in the queue, and its state.
pub(crate) type Queued = (u64, AlertView);

/// What a sink has not been given yet.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    next: u64,
    alerts: BTreeMap<u64, AlertView>,
    /// The place of each alert.
    places: HashMap<u64, u64>,
    /// Alerts that the sink has as firing.
    given: HashSet<u64>,
    /// The places of what is over, and was not given to the sink as firing.
    late: BTreeSet<u64>,
}

impl Pending {
    pub(crate) fn len(&self) -> usize {
        self.alerts.len()
    }

    /// Takes the newest state of an alert. Returns whether an older alert had to go.
    pub(crate) fn put(&mut self, alert: &AlertView) -> bool {
        self.remove(alert.id);
        self.insert(alert.clone());
        let excess = if self.late.len() > LATE {
            self.late.first().copied()
        } else {
            None
        };
        let oldest = excess.and_then(|place| self.alerts.get(&place));
        let Some(id) = oldest.map(|alert| alert.id) else {
            return false;
        };
        self.remove(id);
        true
    }

    /// Takes what is firing to be given again. What is queued already is as new.
    pub(crate) fn put_again(&mut self, alert: &AlertView) {
        if !self.places.contains_key(&alert.id) {
            self.insert(alert.clone());
        }
    }

    fn insert(&mut self, alert: AlertView) {
        let place = self.next;
        self.next += 1;
        if alert.state == AlertState::Resolved && !self.given.contains(&alert.id) {
            self.late.insert(place);
        }
        self.places.insert(alert.id, place);
        self.alerts.insert(place, alert);
    }

    fn remove(&mut self, id: u64) -> Option<AlertView> {
        let place = self.places.remove(&id)?;
        self.late.remove(&place);
        self.alerts.remove(&place)
    }

    fn is_at(&self, (place, alert): &Queued) -> bool {
        self.places.get(&alert.id) == Some(place)
    }

    /// The numbers of the alerts that are queued as firing.
    pub(crate) fn firing(&self) -> HashSet<u64> {
        let firing = self.alerts.values();
        let firing = firing.filter(|alert| alert.state == AlertState::Firing);
        firing.map(|alert| alert.id).collect()
    }

    /// What can be given to the sink, in the order in which it came: what is over, and of `asked`, that were queued
    /// as firing, what is in `now`, as it is there, and not silenced. What is not in `now` is over, and goes.
    pub(crate) fn ready(
        &mut self,
        asked: &HashSet<u64>,
        now: &HashMap<u64, AlertView>,
    ) -> Vec<Queued> {
        let mut ready = Vec::new();
        let mut gone = Vec::new();
        for (place, alert) in &self.alerts {
            if alert.state == AlertState::Resolved {
                ready.push((*place, alert.clone()));
                continue;
            }
            match now.get(&alert.id) {
                Some(now) if now.silenced.is_none() => ready.push((*place, now.clone())),
                None if asked.contains(&alert.id) => gone.push(alert.id),
                _ => {}
            }
        }
        for id in gone {
            self.remove(id);
        }
        ready
    }

    /// The sink has these.
    pub(crate) fn delivered(&mut self, batch: &[Queued]) {
        for queued in batch {
            let id = queued.1.id;
            if queued.1.state == AlertState::Firing {
                self.given.insert(id);
                // Should it be over by now, the sink has to know of that.
                if let Some(place) = self.places.get(&id) {
                    self.late.remove(place);
                }
            } else {
                self.given.remove(&id);
            }
            if self.is_at(queued) {
                self.remove(id);
            }
        }
    }

    /// The sink does not have these: they come after all others, so that one which no sink can take is not in
    /// the way of others.
    pub(crate) fn failed(&mut self, batch: &[Queued]) {
        for queued in batch {
            if self.is_at(queued)
                && let Some(alert) = self.remove(queued.1.id)
            {
                self.insert(alert);
            }
        }
    }
}

#[cfg(test)]
mod tests;
