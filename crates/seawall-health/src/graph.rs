//! Which checks depend on which. No clock, no locks.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use seawall_core::InstanceName;

use crate::Status;

/// One check, as far as the others need it.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) name: InstanceName,
    pub(crate) critical: bool,
    /// By its own results.
    pub(crate) own: Status,
    pub(crate) depends_on: Arc<[InstanceName]>,
    /// The unhealthy check that it directly or indirectly depends on, and which depends on no
    /// unhealthy one itself.
    pub(crate) because_of: Option<InstanceName>,
}

impl Node {
    /// The status with what it depends on: what cannot work is unhealthy.
    pub(crate) const fn status(&self) -> Status {
        match self.because_of {
            Some(_) => Status::Unhealthy,
            None => self.own,
        }
    }
}

/// Finds for each node which one is the reason that it cannot work.
pub(crate) fn find_causes(nodes: &mut [Node]) {
    if nodes.iter().all(|node| node.depends_on.is_empty()) {
        return;
    }
    let index: HashMap<_, _> = (0..)
        .zip(&*nodes)
        .map(|(at, node)| (node.name, at))
        .collect();
    // Each after all that it depends on, so that the one at the bottom is known.
    for at in waves(nodes).into_iter().flatten() {
        nodes[at].because_of = nodes[at].depends_on.iter().find_map(|on| {
            let on: &Node = &nodes[*index.get(on)?];
            let is_unhealthy = on.own == Status::Unhealthy;
            on.because_of.or(is_unhealthy.then_some(on.name))
        });
    }
}

/// The reason for which a check that depends on `on` cannot work, as [`find_causes`] finds it for all.
/// `look` has the status and the dependencies of a check.
pub(crate) fn find_cause(
    on: Arc<[InstanceName]>,
    look: impl Fn(InstanceName) -> Option<(Status, Arc<[InstanceName]>)>,
) -> Option<InstanceName> {
    let mut seen = HashSet::new();
    // Each with whether it is the reason where nothing below it is, and with those below it that are left.
    let mut path = vec![(None, on, 0)];
    while let Some((reason, on, next)) = path.last_mut() {
        let Some(below) = on.get(*next).copied() else {
            if reason.is_some() {
                return *reason;
            }
            path.pop();
            continue;
        };
        *next += 1;
        if seen.insert(below)
            && let Some((own, on)) = look(below)
        {
            path.push(((own == Status::Unhealthy).then_some(below), on, 0));
        }
    }
    None
}

/// The nodes in waves: each after all that it depends on.
pub(crate) fn waves(nodes: &[Node]) -> Vec<Vec<usize>> {
    let index: HashMap<_, _> = (0..).zip(nodes).map(|(at, node)| (node.name, at)).collect();
    let mut above = vec![Vec::new(); nodes.len()];
    let mut left = vec![0_usize; nodes.len()];
    for (at, node) in nodes.iter().enumerate() {
        for on in node.depends_on.iter().filter_map(|on| index.get(on)) {
            above[*on].push(at);
            left[at] += 1;
        }
    }
    let first = (0..nodes.len()).filter(|at| left[*at] == 0);
    let mut waves = vec![first.collect::<Vec<_>>()];
    while let Some(wave) = waves.last().filter(|wave| !wave.is_empty()) {
        let mut next = Vec::new();
        for above in wave.iter().flat_map(|at| &above[*at]) {
            left[*above] -= 1;
            if left[*above] == 0 {
                next.push(*above);
            }
        }
        next.sort_unstable();
        waves.push(next);
    }
    waves.pop();
    waves
}

/// The circle that there would be if `name` depended on `on`, in its order, if there would be one.
pub(crate) fn circle(
    nodes: &[Node],
    name: InstanceName,
    on: &[InstanceName],
) -> Option<Vec<InstanceName>> {
    let all = nodes.iter().map(|node| (node.name, &*node.depends_on));
    let mut edges: HashMap<_, _> = all.collect();
    edges.insert(name, on);
    // From where each was reached; every one is looked at once.
    let mut reached: HashMap<InstanceName, InstanceName> = HashMap::new();
    let mut open = vec![name];
    while let Some(at) = open.pop() {
        for next in edges.get(&at).copied().unwrap_or_default() {
            if *next == name {
                let mut way = vec![name, at];
                while let Some(before) = way.last().and_then(|last| reached.get(last)) {
                    way.push(*before);
                }
                way.reverse();
                return Some(way);
            }
            if !reached.contains_key(next) {
                reached.insert(*next, at);
                open.push(*next);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn node(name: &str, own: Status, on: &[&str]) -> Node {
        Node {
            name: InstanceName::new(name),
            critical: true,
            own,
            depends_on: on.iter().map(|on| InstanceName::from(*on)).collect(),
            because_of: None,
        }
    }

    fn causes(mut nodes: Vec<Node>) -> Vec<Option<&'static str>> {
        find_causes(&mut nodes);
        let causes = nodes.iter().map(|node| node.because_of);
        causes
            .map(|cause| cause.map(InstanceName::as_str))
            .collect()
    }

    #[test]
    fn the_cause_is_the_one_at_the_bottom() {
        use Status::{Degraded, Healthy, Unhealthy, Unknown};
        let nodes = vec![
            node("ui", Healthy, &["orders"]),
            node("orders", Unhealthy, &["feed", "broker"]),
            node("broker", Unhealthy, &["network"]),
            node("network", Unhealthy, &[]),
            node("feed", Degraded, &["gone"]),
            node("other", Unknown, &["feed"]),
        ];
        let network = Some("network");
        assert_eq!(causes(nodes), [network, network, network, None, None, None]);
    }

    #[test]
    fn circles_are_named_in_their_order() {
        let nodes = [
            node("a", Status::Healthy, &["b"]),
            node("b", Status::Healthy, &["c"]),
            node("c", Status::Healthy, &[]),
        ];
        let names = |way: Option<Vec<InstanceName>>| {
            way.map(|way| way.iter().map(|n| n.as_str()).collect::<Vec<_>>())
        };
        let on = |on: &str| [InstanceName::new(on)];
        let name = InstanceName::new;
        assert_eq!(
            names(circle(&nodes, name("c"), &on("a"))),
            Some(vec!["c", "a", "b", "c"])
        );
        assert_eq!(
            names(circle(&nodes, name("a"), &on("a"))),
            Some(vec!["a", "a"])
        );
        assert_eq!(
            names(circle(&nodes, name("b"), &on("a"))),
            Some(vec!["b", "a", "b"])
        );
        assert_eq!(circle(&nodes, name("a"), &on("c")), None);
    }

    proptest! {
        /// Random graphs without circles: what a walk finds is what the passes find, and every wave
        /// comes after those that it needs.
        #[test]
        fn causes_and_waves_agree_with_a_walk(
            edges in proptest::collection::vec((0_usize..12, 0_usize..12), 0..30),
            bad in proptest::collection::vec(any::<bool>(), 12),
        ) {
            let name = |at: usize| format!("graph-{at}");
            let mut on = vec![Vec::new(); 12];
            for (from, to) in edges {
                if from > to && !on[from].contains(&to) {
                    on[from].push(to);
                }
            }
            let mut nodes: Vec<_> = (0..12).map(|at| {
                let own = if bad[at] { Status::Unhealthy } else { Status::Healthy };
                let names: Vec<_> = on[at].iter().map(|to| name(*to)).collect();
                let names: Vec<_> = names.iter().map(String::as_str).collect();
                node(&name(at), own, &names)
            }).collect();
            find_causes(&mut nodes);
            let look = |name: InstanceName| {
                let node = nodes.iter().find(|node| node.name == name);
                node.map(|node| (node.own, Arc::clone(&node.depends_on)))
            };
            for at in 0..12 {
                let alone = find_cause(Arc::clone(&nodes[at].depends_on), look);
                prop_assert_eq!(nodes[at].because_of, alone);
                let mut below = on[at].clone();
                let mut any = false;
                while let Some(next) = below.pop() {
                    any |= bad[next];
                    below.extend(&on[next]);
                }
                prop_assert_eq!(nodes[at].because_of.is_some(), any);
            }
            let mut seen = Vec::new();
            for wave in waves(&nodes) {
                for at in &wave {
                    prop_assert!(on[*at].iter().all(|to| seen.contains(to)));
                }
                seen.extend(wave);
            }
            prop_assert_eq!(seen.len(), 12);
        }
    }
}
