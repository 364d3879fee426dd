//! Seawall's refusals as gRPC statuses, for tonic clients and servers.
