//! Arithmetic of announced lengths.

use http_body::SizeHint;

/// The hint for `more` bytes and then those of `hint`.
pub(crate) fn longer_by(hint: &SizeHint, more: u64) -> SizeHint {
    let mut sum = SizeHint::new();
    sum.set_lower(hint.lower().saturating_add(more));
    if let Some(upper) = hint.upper().and_then(|upper| upper.checked_add(more)) {
        sum.set_upper(upper);
    }
    sum
}
