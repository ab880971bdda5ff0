//! System tests: the binaries as users run them, against real containerd, etcd and kubectl; and the tidiness of the
//! sources.

mod containers;
mod kubectl;
mod layering;
mod tidy;
mod up;
