//! GitSyncs: repositories, kept applied.

mod repository;
