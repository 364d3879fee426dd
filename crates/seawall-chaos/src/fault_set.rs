//! Faults that are started and ended together.

use std::time::Duration;

use seawall_core::{InstanceName, InvalidConfig};

use crate::Fault;

/// How many faults a set may have.
const MOST: usize = 64;

/// Faults that are started and ended together, for how long, and by which seed.
///
/// ```
/// use std::time::Duration;
/// use seawall_chaos::{Fault, FaultSet};
///
/// let outage = FaultSet::new([Fault::refused_connection().with_intensity(0.5)?, Fault::hang()])?
///     .lasts(Duration::from_secs(30))?
///     .seed(7)
///     .label("outage of the broker");
/// assert_eq!(outage.faults().len(), 2);
/// assert!(FaultSet::new([]).is_err());
/// # Ok::<(), seawall_core::InvalidConfig>(())
/// ```
#[derive(Clone, Debug)]
pub struct FaultSet {
    faults: Vec<Fault>,
    lasts: Option<Duration>,
    seed: Option<u64>,
    label: InstanceName,
}

impl FaultSet {
    /// These faults, each of them drawn by itself at each call. They last until they are stopped,
    /// unless [set](Self::lasts).
    ///
    /// Where two stand in place of a call, the first one of the list does; delays follow each other.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when there is none, or are more than 64.
    pub fn new(faults: impl IntoIterator<Item = Fault>) -> Result<Self, InvalidConfig> {
        let faults: Vec<_> = faults.into_iter().take(MOST + 1).collect();
        if faults.is_empty() || faults.len() > MOST {
            let accepted = "from 1 to 64 faults";
            let value = match faults.len() {
                0 => "empty",
                _ => "more than 64 long",
            };
            return Err(InvalidConfig::new("faults", value, accepted));
        }
        Ok(Self {
            faults,
            lasts: None,
            seed: None,
            label: InstanceName::new(""),
        })
    }

    /// Ends the faults by themselves after so long, whatever becomes of the one that started them.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when it is zero.
    pub fn lasts(mut self, lasts: Duration) -> Result<Self, InvalidConfig> {
        if lasts.is_zero() {
            return Err(InvalidConfig::new("lasts", "0 s", "longer than zero"));
        }
        self.lasts = Some(lasts);
        Ok(self)
    }

    /// Sets the seed: the n-th call since the start is hit by the same faults in every run. Unless set
    /// it follows from that of the layer and the number of the start.
    #[must_use]
    pub const fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Sets what it is called in snapshots. Labels are kept for as long as the process runs: use
    /// few.
    #[must_use]
    pub fn label(mut self, label: impl Into<InstanceName>) -> Self {
        self.label = label.into();
        self
    }

    /// The faults.
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }

    pub(crate) const fn ends_after(&self) -> Option<Duration> {
        self.lasts
    }

    pub(crate) const fn own_seed(&self) -> Option<u64> {
        self.seed
    }

    pub(crate) const fn name(&self) -> InstanceName {
        self.label
    }
}

impl From<Fault> for FaultSet {
    fn from(fault: Fault) -> Self {
        Self {
            faults: vec![fault],
            lasts: None,
            seed: None,
            label: InstanceName::new(""),
        }
    }
}
