//! `/etc/hosts`, `/etc/hostname` and `/etc/resolv.conf` of a sandbox, shared by its containers.

use std::{fs, io, net::IpAddr, path::Path};

use orch_runtime::{Dns, Network, SandboxSpec};

/// Names in the sandbox's directory and where containers see them.
pub(crate) const FILES: [(&str, &str); 3] =
    [("hosts", "/etc/hosts"), ("hostname", "/etc/hostname"), ("resolv.conf", "/etc/resolv.conf")];

pub(super) fn write(dir: &Path, spec: &SandboxSpec, ips: &[IpAddr]) -> io::Result<()> {
    let host = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let (hosts, hostname) = match spec.network {
        Network::Pod => (pod_hosts(spec, ips), format!("{}\n", spec.hostname)),
        Network::Host => (host("/etc/hosts") + &aliases(spec), host("/proc/sys/kernel/hostname")),
    };
    let resolv = spec.dns.as_ref().map_or_else(|| host("/etc/resolv.conf"), resolv_conf);
    fs::create_dir_all(dir)?;
    fs::write(dir.join("hosts"), hosts)?;
    fs::write(dir.join("hostname"), hostname)?;
    fs::write(dir.join("resolv.conf"), resolv)
}

/// What kubelet writes.
fn pod_hosts(spec: &SandboxSpec, ips: &[IpAddr]) -> String {
    let mut text = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n\
                    fe00::0\tip6-localnet\nfe00::0\tip6-mcastprefix\nfe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n"
        .to_owned();
    for ip in ips {
        text += &format!("{ip}\t{}\n", spec.hostname);
    }
    text + &aliases(spec)
}

fn aliases(spec: &SandboxSpec) -> String {
    spec.host_aliases.iter().map(|(ip, names)| format!("{ip}\t{}\n", names.join("\t"))).collect()
}

fn resolv_conf(dns: &Dns) -> String {
    let mut text = String::new();
    if !dns.searches.is_empty() {
        text += &format!("search {}\n", dns.searches.join(" "));
    }
    text.extend(dns.servers.iter().map(|server| format!("nameserver {server}\n")));
    if !dns.options.is_empty() {
        text += &format!("options {}\n", dns.options.join(" "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolv_conf_has_the_lines_that_are_asked_for() {
        let dns = Dns {
            servers: vec!["10.96.0.10".parse().unwrap()],
            searches: vec!["default.svc.cluster.local".into(), "svc.cluster.local".into()],
            options: vec!["ndots:5".into()],
        };
        let expected =
            "search default.svc.cluster.local svc.cluster.local\nnameserver 10.96.0.10\noptions ndots:5\n";
        assert_eq!(resolv_conf(&dns), expected);
        assert_eq!(resolv_conf(&Dns::default()), "");
    }
}
