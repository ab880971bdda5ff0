//! What `orchctl git-fetch` is, as a program of its own: the tests of this crate fetch by it.

fn main() -> std::io::Result<()> {
    orch_gitops::source::serve(std::io::stdin().lock(), std::io::stdout().lock())
}
