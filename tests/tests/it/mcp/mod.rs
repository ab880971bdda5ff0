//! The Model Context Protocol: tools over standard input and output, and clients that nobody here wrote.

mod bounds;
mod clients;
mod conformance;
mod diagnosis;
mod fixture;
mod tools;

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use orch_tests::{Orchd, binary};
use serde_json::{Value, json};

/// An agent on the other end of `orchctl mcp`. Every line that it is told must be the protocol's.
struct Agent {
    process: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    last_id: u64,
    /// What it was told without having asked.
    notices: Vec<Value>,
}

impl Agent {
    fn start(orch: &Orchd, args: &[&str]) -> Self {
        let mut process = Command::new(binary("orchctl"))
            .arg("mcp")
            .args(args)
            .env("KUBECONFIG", orch.kubeconfig())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (stdin, stdout) = (process.stdin.take().unwrap(), BufReader::new(process.stdout.take().unwrap()));
        let mut agent = Self { process, stdin, stdout, last_id: 0, notices: Vec::new() };
        let hello = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}});
        let about = agent.ask("initialize", hello);
        assert_eq!(about["result"]["protocolVersion"], "2025-11-25", "{about}");
        agent.send(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
        agent
    }

    fn send(&mut self, message: &Value) {
        writeln!(self.stdin, "{message}").unwrap();
        self.stdin.flush().unwrap();
    }

    fn hear(&mut self) -> Value {
        let mut line = String::new();
        assert!(self.stdout.read_line(&mut line).unwrap() > 0, "orchctl mcp has ended");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line:?} is not the protocol's: {error}"))
    }

    /// Asks, and waits for the answer.
    fn ask(&mut self, method: &str, params: Value) -> Value {
        self.last_id += 1;
        let id = self.last_id;
        self.send(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}));
        loop {
            let heard = self.hear();
            if heard["id"] == id {
                return heard;
            }
            self.notices.push(heard);
        }
    }

    /// Waits for a notice that fits.
    fn noticed(&mut self, fits: impl Fn(&Value) -> bool) -> Value {
        loop {
            let heard = self.hear();
            if fits(&heard) {
                return heard;
            }
        }
    }

    /// What a tool answers: the same as text and for programs, and never longer than asked for.
    fn answer(&mut self, tool: &str, arguments: &Value) -> (bool, Value) {
        let answer = self.ask("tools/call", json!({"name": tool, "arguments": arguments}));
        let result = &answer["result"];
        let text = result["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{tool}: {answer}"));
        let structured = &result["structuredContent"];
        assert_eq!(serde_json::from_str::<Value>(text).unwrap(), *structured, "{tool}");
        let most = arguments["max_tokens"].as_f64().unwrap_or(4_000.0);
        let tokens = text.len() as f64 / 3.5;
        assert!(tokens <= most.max(300.0), "{tool} answered {tokens} tokens of {most}: {text}");
        (result["isError"] == true, structured.clone())
    }

    #[track_caller]
    fn call(&mut self, tool: &str, arguments: Value) -> Value {
        let (failed, answer) = self.answer(tool, &arguments);
        assert!(!failed, "{tool} {arguments}: {answer}");
        answer
    }

    #[track_caller]
    fn refused(&mut self, tool: &str, arguments: Value) -> Value {
        let (failed, answer) = self.answer(tool, &arguments);
        assert!(failed, "{tool} {arguments}: {answer}");
        assert!(answer["error"]["fix"].as_str().is_some_and(|fix| !fix.is_empty()), "{answer}");
        answer["error"].clone()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
