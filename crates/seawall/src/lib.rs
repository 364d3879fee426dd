//! Resilience for Tower clients of brokers, market-data vendors and AI APIs: ready stacks of Seawall's layers.
