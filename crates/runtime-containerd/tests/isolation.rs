//! What containers see and may do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod host;

use std::process::Command;

use host::{IMAGE, Node, eventually, exec, log, output, run};
use orch_runtime::{
    ContainerId, Dns, EnvVar, ExecRequest, Mount, Network, PortMapping, Propagation, Protocol, Runtime,
    RuntimeError, SandboxId, TerminalSize, User, conformance, reason,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

#[tokio::test]
async fn containers_of_a_pod_share_their_network_and_pods_reach_each_other() {
    let node = Node::start().await;
    let server = "mkdir /www && echo hello > /www/index.html && exec httpd -f -p 8080 -h /www";
    let web = run(&node, "web", server, |_, _| {}).await;
    let runtime = node.runtime();
    let pod = conformance::sandbox("web");
    let ip = runtime.ensure_sandbox(&pod).await.unwrap().ips[0];
    let mut client = conformance::container(&pod, IMAGE, &["sleep", "1000"]);
    client.id = ContainerId::of_pod("web", "client", 0);
    runtime.create_container(&client).await.unwrap();
    runtime.start_container(&client.id).await.unwrap();
    let other = run(&node, "other", "exec sleep 1000", |_, _| {}).await;
    for (id, host) in [(&client.id, "127.0.0.1".to_owned()), (&other.id, ip.to_string())] {
        let page = eventually("the page", async || {
            let (page, _, code) =
                exec(&node, id, &["wget", "-q", "-O", "-", &format!("http://{host}:8080/")]).await;
            (code == 0).then_some(page)
        });
        assert_eq!(page.await, "hello\n");
    }
    let (seen, ..) = exec(&node, &client.id, &["hostname", "-i"]).await;
    assert_eq!(seen.trim(), ip.to_string());
    let (processes, ..) = exec(&node, &client.id, &["ps", "-o", "args"]).await;
    assert!(!processes.contains("httpd"), "{processes}");
    assert!(matches!(runtime.observe().await.unwrap().containers.len(), 3), "{}", web.id);
}

#[tokio::test]
async fn a_port_of_the_host_leads_to_the_pod() {
    let node = Node::start().await;
    let host_port = { std::net::TcpListener::bind("0.0.0.0:0").unwrap().local_addr().unwrap().port() };
    let server = "mkdir /www && echo mapped > /www/index.html && exec httpd -f -p 80 -h /www";
    let web = run(&node, "mapped", server, |pod, _| {
        let protocol = Protocol::Tcp;
        pod.port_mappings = vec![PortMapping { protocol, container_port: 80, host_port, host_ip: None }];
    })
    .await;
    let address = format!("{}:{host_port}", node.host.gateway());
    eventually("the page", async || {
        let mut stream = tokio::net::TcpStream::connect(&address).await.ok()?;
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await.ok()?;
        let mut page = String::new();
        stream.read_to_string(&mut page).await.ok()?;
        page.ends_with("mapped\n").then_some(())
    })
    .await;
    let rules = || String::from_utf8(Command::new("iptables-save").output().unwrap().stdout).unwrap();
    assert!(rules().contains(&host_port.to_string()));
    node.runtime().remove_sandbox(&web.sandbox).await.unwrap();
    assert!(!rules().contains(&host_port.to_string()));
}

#[tokio::test]
async fn names_and_resolvers_are_the_pods() {
    let node = Node::start().await;
    let (_, lines) = output(
        &node,
        "named",
        "hostname; cat /etc/hostname /etc/resolv.conf; tail -n 1 /etc/hosts",
        |pod, _| {
            pod.hostname = "web-0".into();
            pod.host_aliases = vec![("10.9.9.9".parse().unwrap(), vec!["db".into(), "db.local".into()])];
            pod.dns = Some(Dns {
                servers: vec!["10.96.0.10".parse().unwrap()],
                searches: vec!["svc.cluster.local".into()],
                options: vec![],
            });
        },
    )
    .await;
    let expected =
        ["web-0", "web-0", "search svc.cluster.local", "nameserver 10.96.0.10", "10.9.9.9\tdb\tdb.local"];
    assert_eq!(lines, expected);
}

#[tokio::test]
async fn the_hosts_network_is_the_hosts() {
    let node = Node::start().await;
    let (_, lines) = output(&node, "hostnet", "readlink /proc/self/ns/net; hostname", |pod, _| {
        pod.network = Network::Host;
    })
    .await;
    let ours = std::fs::read_link("/proc/self/ns/net").unwrap();
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    assert_eq!(lines, [ours.to_str().unwrap(), name.trim()]);
    // Its ports are the host's, and those of a pod with a network of its own are not.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let runtime = node.runtime();
    runtime.connect(&SandboxId::of_pod("hostnet", 0), port).await.unwrap();
    let own = run(&node, "own-net", "exec sleep 1000", |_, _| {}).await;
    match runtime.connect(&own.sandbox, port).await {
        Err(RuntimeError::Refused { .. }) => {}
        other => panic!("{:?}", other.map(drop)),
    }
}

#[tokio::test]
async fn environment_directory_user_and_mounts_are_as_asked() {
    let node = Node::start().await;
    let data = node.dir.path().join("data");
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join("file"), "from the host\n").unwrap();
    let script = "echo $GREETING; pwd; id -u; id -g; id -G; cat /data/file; \
                  touch /data/new 2>&1; touch /etc/new 2>&1; grep -i capeff /proc/self/status; \
                  grep NoNewPrivs /proc/self/status";
    let (_, lines) = output(&node, "asked", script, |_, container| {
        container.env = vec![EnvVar { name: "GREETING".into(), value: "hi there".into() }];
        container.user = Some(User { uid: Some(0), gid: Some(7), supplemental_gids: vec![8] });
        container.security.read_only_root = true;
        container.working_dir = Some("/var/log".into());
        container.security.drop_capabilities = vec!["ALL".into()];
        container.security.add_capabilities = vec!["CHOWN".into()];
        container.security.no_new_privileges = true;
        container.mounts = vec![Mount {
            host_path: data.clone(),
            container_path: "/data".into(),
            read_only: true,
            propagation: Propagation::Private,
        }];
    })
    .await;
    let expected = [
        "hi there",
        "/var/log",
        "0",
        "7",
        "7 8",
        "from the host",
        "touch: /data/new: Read-only file system",
        "touch: /etc/new: Read-only file system",
        "CapEff:\t0000000000000001",
        "NoNewPrivs:\t1",
    ];
    assert_eq!(lines, expected);
    assert!(!data.join("new").exists());
}

#[tokio::test]
async fn a_mount_hides_none_that_lies_below_it() {
    let node = Node::start().await;
    let mounts = ["/data/sub", "/data", "/etc"].map(|path| {
        let host_path = node.dir.path().join(path.replace('/', "-"));
        std::fs::create_dir(&host_path).unwrap();
        std::fs::write(host_path.join("file"), format!("of {path}\n")).unwrap();
        Mount { host_path, container_path: path.into(), read_only: false, propagation: Propagation::Private }
    });
    let script = "cat /data/sub/file /data/file /etc/file /etc/hostname; grep -c nameserver /etc/resolv.conf";
    let (_, lines) = output(&node, "layers", script, |pod, container| {
        pod.hostname = "layers-0".into();
        let servers = vec!["10.96.0.10".parse().unwrap()];
        pod.dns = Some(Dns { servers, searches: vec![], options: vec![] });
        container.mounts = mounts.into();
    })
    .await;
    assert_eq!(lines, ["of /data/sub", "of /data", "of /etc", "layers-0", "1"]);
}

#[tokio::test]
async fn too_much_memory_is_an_oom_kill() {
    let node = Node::start().await;
    let container =
        run(&node, "hungry", "exec dd if=/dev/zero of=/dev/null bs=200M count=1", |_, container| {
            container.resources.memory_limit_bytes = Some(32 << 20);
        })
        .await;
    let exit = conformance::exit_of(&*node.runtime(), &container.id).await;
    assert_eq!((exit.code, exit.reason.as_str()), (137, reason::OOM_KILLED));
}

#[tokio::test]
async fn limits_reach_the_kernel() {
    let node = Node::start().await;
    let script = "while true; do sleep 1000 & done 2>&1";
    let container = run(&node, "limited", script, |_, container| {
        container.resources.pids_limit = Some(12);
        container.resources.cpu_quota_micros = Some(50_000);
        container.resources.cpu_shares = Some(512);
        container.resources.oom_score_adj = Some(-999);
    })
    .await;
    let path = container.log_path.unwrap();
    let refused = async || log(&path).into_iter().find(|line| line.contains("can't fork"));
    eventually("a fork is refused", refused).await;
}

#[tokio::test]
async fn exec_keeps_its_streams_apart_and_ends_with_its_owner() {
    let node = Node::start().await;
    let container = run(&node, "exec", "exec sleep 1000", |_, _| {}).await;
    let both = exec(&node, &container.id, &["sh", "-c", "echo out; echo err >&2; kill -9 $$"]).await;
    assert_eq!(both, ("out\n".into(), "err\n".into(), 137));
    let command = ["sleep", "4711"].map(str::to_owned).to_vec();
    let session =
        node.runtime().exec(&container.id, ExecRequest { command, ..ExecRequest::default() }).await.unwrap();
    let is_there = async || exec(&node, &container.id, &["ps", "-o", "args"]).await.0.contains("sleep 4711");
    assert!(is_there().await);
    drop(session);
    eventually("the process is gone", async || (!is_there().await).then_some(())).await;
    let left = node.dir.path().join("state/exec");
    eventually("its FIFOs are gone", async || (std::fs::read_dir(&left).unwrap().count() == 0).then_some(()))
        .await;
}

#[tokio::test]
async fn exec_on_a_terminal_has_its_size() {
    let node = Node::start().await;
    let container = run(&node, "terminal", "exec sleep 1000", |_, _| {}).await;
    let script = "stty size; read -r line; stty size; echo got $line";
    let request = ExecRequest {
        command: ["sh", "-c", script].map(str::to_owned).to_vec(),
        stdin: true,
        terminal: Some(TerminalSize { columns: 80, rows: 24 }),
    };
    let mut session = node.runtime().exec(&container.id, request).await.unwrap();
    let resize = session.resize.take().unwrap();
    let mut text = String::new();
    let mut part = [0; 256];
    while !text.contains('\n') {
        let n = session.stdout.read(&mut part).await.unwrap();
        text += std::str::from_utf8(&part[..n]).unwrap();
    }
    resize.send(TerminalSize { columns: 132, rows: 43 }).await.unwrap();
    let resized = eventually("the new size", async || {
        let (size, ..) = exec(&node, &container.id, &["sh", "-c", "stty size < /dev/pts/0"]).await;
        (size.trim() == "43 132").then_some(())
    });
    resized.await;
    let mut stdin = session.stdin.take().unwrap();
    stdin.write_all(b"word\n").await.unwrap();
    session.stdout.read_to_string(&mut text).await.unwrap();
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    assert_eq!(lines, ["24 80", "word", "43 132", "got word"]);
    assert_eq!(session.exit.await.unwrap(), 0);
}

#[tokio::test]
async fn long_lines_and_both_streams_are_in_the_log() {
    let node = Node::start().await;
    let script = "head -c 40000 /dev/zero | tr '\\0' x; echo; echo oops >&2; sleep 0.05";
    let (exit, lines) = output(&node, "long", script, |_, _| {}).await;
    assert_eq!(exit.code, 0);
    let lengths: Vec<usize> = lines.iter().filter(|line| line.starts_with('x')).map(String::len).collect();
    assert_eq!(lengths, [16 << 10, 16 << 10, 40_000 - (32 << 10)]);
    let raw = std::fs::read_to_string(node.dir.path().join("long.log")).unwrap();
    assert_eq!(raw.matches(" stdout P x").count(), 2);
    assert!(raw.contains(" stderr F oops\n"));
    assert!(log(&node.dir.path().join("nothing")).is_empty());
    assert!(
        exit.finished_at.duration_since(exit.started_at.unwrap()) > jiff::SignedDuration::from_millis(40)
    );
}
