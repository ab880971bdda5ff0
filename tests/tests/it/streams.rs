//! Attaching to containers and reaching their ports, with orchctl and kubectl over real containers.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::path::Path;
use std::process::Command;

use orch_tests::{Orchd, Run, Spawned, binary, kubectl_path, wait_for};
use serde_json::Value;

use crate::real::{DEADLINE, IMAGE, objects, running, start, text, workload};

/// A client in words, its program, and what it is told by its environment.
fn clients() -> [(&'static str, std::path::PathBuf, &'static str); 3] {
    [
        ("orchctl", binary("orchctl"), "true"),
        ("kubectl", kubectl_path(), "true"),
        ("kubectl over SPDY alone", kubectl_path(), "false"),
    ]
}

/// A client that goes on, whose complaints are kept.
fn client(orch: &Orchd, program: &Path, over_websockets: &str, args: &[&str]) -> Spawned {
    let mut command = Command::new("sh");
    command.args(["-c", "exec \"$0\" \"$@\" 2>\"$COMPLAINTS\""]).arg(program).args(args);
    command.env("KUBECONFIG", orch.kubeconfig()).env("HOME", orch.data_dir());
    command.env("KUBECTL_PORT_FORWARD_WEBSOCKETS", over_websockets);
    Spawned::new(command.env("COMPLAINTS", complaints(orch)))
}

fn complaints(orch: &Orchd) -> std::path::PathBuf {
    orch.data_dir().join("complaints")
}

/// The port of this machine that leads to a port of the pod.
fn local_port(forwarding: &mut Spawned, remote: u16) -> u16 {
    let line = forwarding.line_with(&format!("-> {remote}"), DEADLINE);
    let address = line.trim_start_matches("Forwarding from 127.0.0.1:");
    address.split(' ').next().unwrap().parse().unwrap_or_else(|_| panic!("{line}"))
}

/// Says everything, says that this is all, and listens to the end.
fn echoed(port: u16, said: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let (mut speaker, said) = (stream.try_clone().unwrap(), said.to_vec());
    let speaking = std::thread::spawn(move || {
        speaker.write_all(&said).unwrap();
        speaker.shutdown(Shutdown::Write).unwrap();
    });
    let mut heard = Vec::new();
    stream.read_to_end(&mut heard).unwrap();
    speaking.join().unwrap();
    heard
}

#[test]
fn ports_of_a_pod_are_reached_from_here() {
    let orch = start();
    // The page is for the pod alone; the echo listens on all its addresses.
    let script = "head -c 3000000 /dev/zero | tr '\\0' x >/www/large; \
                  httpd -p 127.0.0.1:8080 -h /www; exec nc -ll -p 7777 -e cat";
    orch.orchctl_with(&["apply", "-f", "-"], &workload("ports", 1, script)).ok();
    let pods = running(&orch, "app=ports", 1);
    let (pod, uid) = (text(&pods[0], "/metadata/name"), text(&pods[0], "/metadata/uid"));
    for (name, program, over_websockets) in clients() {
        let forward = ["port-forward", pod, ":8080", ":7777", ":9"];
        let mut forwarding = client(&orch, &program, over_websockets, &forward);
        let [page, echo, nothing] = [8080, 7777, 9].map(|port| local_port(&mut forwarding, port));
        let fetch = || {
            let url = format!("http://127.0.0.1:{page}/large");
            let retry = ["--retry", "20", "--retry-all-errors", "--retry-delay", "1"];
            Run::new(Command::new("curl").args(["--silent", "--fail"]).args(retry).arg(url), "").ok()
        };
        // Many at once, and each is whole.
        let sizes = std::thread::scope(|scope| {
            let fetches: Vec<_> = (0..6).map(|_| scope.spawn(fetch)).collect();
            fetches.into_iter().map(|fetch| fetch.join().unwrap().len()).collect::<Vec<_>>()
        });
        assert_eq!(sizes, [3_000_000; 6], "{name}");
        let said = b"0123456789abcdef".repeat(65_536);
        assert!(echoed(echo, &said) == said, "{name}");
        // Who is refused may be so before having spoken.
        let mut refused = Vec::new();
        TcpStream::connect(("127.0.0.1", nothing)).unwrap().read_to_end(&mut refused).unwrap();
        assert_eq!(refused, b"", "{name}");
        let why = format!(
            "forwarding port 9 to pod {pod}, uid {uid}: failed to connect to localhost:9 inside namespace"
        );
        wait_for(&format!("{name} to say why"), DEADLINE, || {
            let said = std::fs::read_to_string(complaints(&orch)).unwrap_or_default();
            if said.contains(&why) && said.contains("connection refused") { Ok(()) } else { Err(said) }
        });
    }
}

#[test]
fn a_port_forward_ends_with_its_way_and_refuses_what_does_not_run() {
    let mut orch = start();
    let named = workload("named", 1, "exec httpd -f -p 8080 -h /bin");
    let named = named.replace(
        "          command:",
        "          ports: [{name: http, containerPort: 8080}]\n          command:",
    );
    orch.orchctl_with(&["apply", "-f", "-"], &named).ok();
    running(&orch, "app=named", 1);
    let forward = ["port-forward", "workload/named", ":http"];
    let mut forwarding = client(&orch, &binary("orchctl"), "true", &forward);
    local_port(&mut forwarding, 8080);
    let unnamed = orch.orchctl(&["port-forward", "workload/named", ":https"]).fails();
    assert!(
        unnamed.contains("has no port named \"https\"") && unnamed.contains("its ports are: http"),
        "{unnamed}"
    );
    orch.kill();
    wait_for("the end to be told", DEADLINE, || {
        let said = std::fs::read_to_string(complaints(&orch)).unwrap_or_default();
        if said.contains("error: lost connection to pod named-") { Ok(()) } else { Err(said) }
    });
    orch.start_again();

    let stuck = workload("stuck", 1, "true").replace(IMAGE, "localhost:1/none:1");
    orch.orchctl_with(&["apply", "-f", "-"], &stuck).ok();
    let pod = wait_for("a pod", DEADLINE, || {
        let pods = objects(&orch, &["pods", "-l", "app=stuck"]);
        pods.first().map(|pod| text(pod, "/metadata/name").to_owned()).ok_or_else(|| "none".to_owned())
    });
    for refused in [
        orch.orchctl(&["port-forward", &pod, "80"]).fails(),
        orch.kubectl(&["port-forward", &pod, ":80"]).fails(),
        orch.orchctl(&["attach", &pod]).fails(),
    ] {
        assert!(refused.contains("is not running"), "{refused}");
    }
}

#[test]
fn what_a_container_writes_is_seen_as_it_comes_and_no_line_is_lost() {
    let mut orch = start();
    let script = "i=0; while :; do echo $i; i=$((i+1)); sleep 0.05; done";
    orch.orchctl_with(&["apply", "-f", "-"], &workload("counts", 1, script)).ok();
    let pods = running(&orch, "app=counts", 1);
    let pod = text(&pods[0], "/metadata/name").to_owned();
    let counted = |orch: &Orchd| {
        for mut attached in
            [orch.orchctl_spawn(&["attach", "workload/counts"]), orch.kubectl_spawn(&["attach", &pod])]
        {
            let first: usize = attached.line_with("", DEADLINE).parse().unwrap();
            for next in first + 1..first + 20 {
                assert_eq!(attached.line_with("", DEADLINE), next.to_string());
            }
        }
    };
    counted(&orch);
    orch.kill();
    orch.start_again();
    running(&orch, "app=counts", 1);
    counted(&orch);
    let log = orch.orchctl(&["logs", &pod]).ok();
    let numbers: Vec<usize> = log.lines().map(|line| line.parse().unwrap()).collect();
    assert!(numbers.len() > 40 && numbers.iter().copied().eq(0..numbers.len()), "{numbers:?}");
    let refused = orch.orchctl(&["attach", "-i", &pod]).fails();
    assert!(refused.contains("has no standard input") && refused.contains("`stdin: true`"), "{refused}");
}

fn phase(orch: &Orchd, pod: &str, wanted: &str) -> Value {
    wait_for(&format!("{pod} to be {wanted}"), DEADLINE, || {
        let pod = objects(orch, &["pod", pod]).remove(0);
        if text(&pod, "/status/phase") == wanted { Ok(pod) } else { Err(format!("{:#}", pod["status"])) }
    })
}

#[test]
fn a_container_reads_what_is_said_once() {
    let orch = start();
    let input = "x".repeat(1 << 20);
    for (name, client) in [("by-orchctl", binary("orchctl")), ("by-kubectl", kubectl_path())] {
        let manifest = format!(
            "{{apiVersion: v1, kind: Pod, metadata: {{name: {name}}}, spec: {{restartPolicy: Never, containers: [{{name: main, \
             image: {IMAGE:?}, command: [sh, -c, 'wc -c; echo over >&2'], stdin: true, stdinOnce: true}}]}}}}"
        );
        orch.orchctl_with(&["apply", "-f", "-"], &manifest).ok();
        phase(&orch, name, "Running");
        let attached = orch.run(&client, &["attach", "-i", name], &input, &[]);
        assert_eq!(attached.code, Some(0), "{attached:?}");
        assert!(attached.stdout.contains("1048576\n") && attached.stderr.contains("over\n"), "{attached:?}");
        phase(&orch, name, "Succeeded");
        // The two streams are apart: which line comes first is not said.
        let log = orch.orchctl(&["logs", name]).ok();
        assert_eq!(log.lines().collect::<BTreeSet<_>>(), BTreeSet::from(["1048576", "over"]), "{log}");
    }
}

#[test]
fn a_shell_is_run_on_this_terminal() {
    let orch = start();
    let run = format!("run shell -it --image={IMAGE} --image-pull-policy=IfNotPresent --restart=Never -- sh");
    let typed =
        "until [ \"$(stty size)\" = \"30 100\" ]; do sleep 0.1; done; echo $((6 * 7)) sized; exit 5\n";
    let line = format!("stty rows 30 cols 100; {} {run}", kubectl_path().display());
    let mut terminal = Command::new("script");
    terminal.args(["-qec", &line, "/dev/null"]).env("KUBECONFIG", orch.kubeconfig());
    let ran = Run::new(terminal.env("HOME", orch.data_dir()), typed);
    assert_eq!(ran.code, Some(5), "{}\n{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("42 sized\r\n"), "{:?}", ran.stdout);
    let pod = phase(&orch, "shell", "Failed");
    let exit = pod.pointer("/status/containerStatuses/0/state/terminated/exitCode");
    assert_eq!(exit.and_then(Value::as_i64), Some(5));

    // A terminal is left and joined again, as it was.
    let manifest = format!(
        "{{apiVersion: v1, kind: Pod, metadata: {{name: stays}}, spec: {{containers: [{{name: main, image: {IMAGE:?}, \
         command: [sh], stdin: true, tty: true}}]}}}}"
    );
    orch.orchctl_with(&["apply", "-f", "-"], &manifest).ok();
    phase(&orch, "stays", "Running");
    orch.orchctl_with(&["attach", "-i", "stays"], "kept=1; touch /tmp/said\n").ok();
    wait_for("what was typed to be done", DEADLINE, || {
        let seen = orch.orchctl(&["exec", "stays", "--", "ls", "/tmp"]).ok();
        if seen.contains("said") { Ok(()) } else { Err(seen) }
    });
    let mut attached = orch.orchctl_spawn(&["attach", "stays"]);
    wait_for("an answer", DEADLINE, || {
        orch.orchctl_with(&["attach", "-i", "stays"], "echo $((kept + 41)) >/tmp/answer\n").ok();
        let answer = orch.orchctl(&["exec", "stays", "--", "sh", "-c", "cat /tmp/answer 2>&1"]);
        if answer.stdout.trim() == "42" { Ok(()) } else { Err(answer.stdout) }
    });
    // What was typed before it was attached it does not see.
    wait_for("what is typed to be seen", DEADLINE, || {
        orch.orchctl_with(&["attach", "-i", "stays"], "echo $((kept + 41)) >/tmp/answer\n").ok();
        if attached.has_line_with("kept + 41") { Ok(()) } else { Err("not yet".to_owned()) }
    });
}
