//! The parts of a score.

seawall_core::state_words! {
    /// A part of a score.
    #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
    pub enum Part {
        /// Circuits, bulkheads, limits and all other layers.
        Resilience = "resilience",
        /// Processors, memory, disks, files.
        System = "system",
        /// What services do, by their errors and response times.
        Services = "services",
        /// Whether one can trade.
        Trading = "trading",
    }
}

impl Part {
    /// All parts.
    pub const ALL: [Self; 4] = [
        Self::Resilience,
        Self::System,
        Self::Services,
        Self::Trading,
    ];
}
