//! System tests: the binaries as users run them, against real containerd, etcd and kubectl; and the tidiness of the
//! sources.

#![expect(clippy::unwrap_used, clippy::panic, reason = "what goes wrong in a test fails it")]

mod access;
mod clients;
mod compatibility;
mod containers;
mod definitions;
mod fuzzing;
mod gitsync;
mod history;
mod identity;
mod kubectl;
mod kubectl_definitions;
mod kubectl_identity;
mod kubectl_plans;
mod kubectl_table;
mod layering;
mod manifests;
mod mcp;
mod metrics;
mod orchctl;
mod real;
mod streams;
mod tidy;
mod up;
