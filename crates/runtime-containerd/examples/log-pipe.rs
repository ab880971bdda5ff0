//! The smallest program that a [`LoggerCommand`](orch_runtime_containerd::LoggerCommand) can name: `log-pipe log-pipe {json}`.

use std::{env, io, process::ExitCode};

fn main() -> ExitCode {
    let config = env::args().nth(2).ok_or_else(|| io::Error::other("usage: log-pipe log-pipe JSON"));
    match config.and_then(|config| orch_runtime_containerd::logger::run(&config)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("log-pipe: {error}");
            ExitCode::FAILURE
        }
    }
}
