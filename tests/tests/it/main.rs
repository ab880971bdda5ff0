//! System tests: the binaries as users run them, against real containerd, etcd and kubectl; and the tidiness of the
//! sources.

mod layering;
mod tidy;
