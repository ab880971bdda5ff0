//! The test kit: Orch's processes, real etcd and real kubectl, started for one test and stopped with it.
