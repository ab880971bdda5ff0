//! What leaves the node carries the node's address: one nftables rule for the whole range, instead of the bridge plugin's
//! several iptables rules (and processes) for each pod.

use std::process::Stdio;

use orch_runtime::RuntimeError;
use tokio::{io::AsyncWriteExt as _, process::Command};

/// Makes the rule; replaces the one of the same bridge.
pub(super) async fn ensure(bridge: &str, pod_cidr: &str) -> Result<(), RuntimeError> {
    let address = |cidr: &str| {
        cidr.split_once('/').is_some_and(|(ip, bits)| {
            ip.parse::<std::net::Ipv4Addr>().is_ok() && bits.parse::<u8>().is_ok_and(|bits| bits <= 30)
        })
    };
    if !address(pod_cidr) {
        return Err(RuntimeError::invalid(
            "network.podCIDR",
            format!("{pod_cidr:?} is not like 10.88.0.0/16"),
        ));
    }
    if bridge.is_empty()
        || bridge.len() > 15
        || !bridge.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    {
        return Err(RuntimeError::invalid("network.bridge", format!("{bridge:?} is not an interface name")));
    }
    run(&ruleset(bridge, pod_cidr)).await
}

/// Takes the rule away; it may be gone.
pub(super) async fn remove(bridge: &str) -> Result<(), RuntimeError> {
    let table = table(bridge);
    run(&format!("table {table} {{}}\ndelete table {table}\n")).await
}

fn table(bridge: &str) -> String {
    format!("ip orch_{}", bridge.replace('-', "_"))
}

fn ruleset(bridge: &str, pod_cidr: &str) -> String {
    let table = table(bridge);
    format!(
        "table {table} {{}}\ndelete table {table}\ntable {table} {{\n  chain postrouting {{\n    \
         type nat hook postrouting priority srcnat; policy accept;\n    \
         ip saddr {pod_cidr} ip daddr != {pod_cidr} ip daddr != 224.0.0.0/4 masquerade\n  }}\n}}\n"
    )
}

async fn run(ruleset: &str) -> Result<(), RuntimeError> {
    let failed = |error: String| RuntimeError::failed("change the masquerading rule with nft", error);
    let mut child = Command::new("nft")
        .args(["-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(ruleset.as_bytes()).await.map_err(|error| failed(error.to_string()))?;
    }
    let output = child.wait_with_output().await.map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        Ok(())
    } else {
        Err(failed(String::from_utf8_lossy(&output.stderr).into_owned()))
    }
}
