//! Checks of settings that several algorithms have.

use seawall_core::InvalidConfig;

pub(crate) fn below_one(value: f64, field: &'static str) -> Result<(), InvalidConfig> {
    if value > 0.0 && value < 1.0 {
        return Ok(());
    }
    Err(InvalidConfig::new(
        field,
        value,
        "a number above 0 and below 1",
    ))
}

pub(crate) fn above_one(value: f64, field: &'static str) -> Result<(), InvalidConfig> {
    if value.is_finite() && value > 1.0 {
        return Ok(());
    }
    Err(InvalidConfig::new(field, value, "a number above 1"))
}
