//! The logger that containerd's shims start in this crate's tests, in `orchd`'s place.

fn main() -> std::io::Result<()> {
    let config = std::env::args().nth(2).unwrap_or_default();
    orch_runtime_containerd::logger::run(&config)
}
