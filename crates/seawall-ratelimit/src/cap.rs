//! A bucket whose upstream has reported that less is left than the bucket holds.

use crate::bucket::Bucket;

/// At most so much until then, whatever flows into the bucket: what the upstream reports is left of
/// its window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cap {
    pub(crate) left: u64,
    pub(crate) until: u64,
}

impl Cap {
    pub(crate) const fn take(&mut self, cost: u64) {
        self.left = self.left.saturating_sub(cost);
    }

    pub(crate) const fn give_back(&mut self, cost: u64, taken_at: u64) {
        if taken_at < self.until {
            self.left = self.left.saturating_add(cost);
        }
    }
}

/// [`Bucket::wait`] under a cap.
pub(crate) fn wait(bucket: &Bucket, cap: Option<Cap>, now_ns: u64, cost: u64) -> u64 {
    match cap {
        Some(cap) if now_ns < cap.until && cost > cap.left => {
            let rest = bucket
                .rate()
                .wait(bucket.word(), cap.until, cost - cap.left);
            (cap.until - now_ns).saturating_add(rest)
        }
        _ => bucket.wait(now_ns, cost),
    }
}

/// [`Bucket::available`] under a cap.
pub(crate) fn available(bucket: &Bucket, cap: Option<Cap>, now_ns: u64) -> f64 {
    let available = bucket.available(now_ns);
    let cap = cap.filter(|cap| now_ns < cap.until);
    cap.map_or(available, |cap| available.min(cap.left as f64))
}

/// Lowers a bucket to what the upstream reports is left: at once, and with a cap until the window
/// ends, where more would flow in before than is left.
pub(crate) fn lower(
    bucket: &Bucket,
    cap: &mut Option<Cap>,
    now_ns: u64,
    left: u64,
    until: Option<u64>,
) {
    bucket.at_most(now_ns, left);
    let Some(until) = until.filter(|until| *until > now_ns) else {
        return;
    };
    let inflow = bucket.rate().inflow(until - now_ns);
    let expected = (bucket.available(now_ns) as u64).saturating_add(inflow);
    let known = cap.filter(|cap| now_ns < cap.until);
    // An earlier report may be about another window and still holds: the tighter one counts.
    if left < expected && known.is_none_or(|known| left < known.left || until > known.until) {
        let left = known.map_or(left, |known| left.min(known.left));
        *cap = Some(Cap { left, until });
    }
}

/// Takes as many tokens as flow in within `ease_ns`: a throttle of seconds does not cost a bucket
/// that fills in hours all that it holds.
pub(crate) fn empty(bucket: &Bucket, until: u64, ease_ns: u64) {
    let rate = bucket.rate();
    bucket.at_most(until, rate.burst().saturating_sub(rate.inflow(ease_ns)));
}
