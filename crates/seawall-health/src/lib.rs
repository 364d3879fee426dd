//! Named health checks with thresholds, and a passive observation layer for Tower services.
