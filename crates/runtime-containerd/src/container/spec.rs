//! The OCI runtime specification of a container: a pure function of what is asked for and what the host can.

use std::path::Path;

use oci_spec::image::Config;
use orch_runtime::{
    ContainerSpec, Mount, Network, Propagation, Resources, RuntimeError, SandboxSpec, Security,
};
use serde_json::{Map, Value, json};

use super::{process, streams::is_interactive, user::Ids};
use crate::{namespaces, sandbox::files};

/// Makes the containers of a sandbox share one shim.
const SHIM_GROUP: &str = "io.containerd.runc.v2.group";

/// Docker's and containerd's default.
const DEFAULT_CAPABILITIES: [&str; 14] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FSETID",
    "FOWNER",
    "MKNOD",
    "NET_RAW",
    "SETGID",
    "SETUID",
    "SETFCAP",
    "SETPCAP",
    "NET_BIND_SERVICE",
    "SYS_CHROOT",
    "KILL",
    "AUDIT_WRITE",
];
const ALL_CAPABILITIES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];
const MASKED_PATHS: [&str; 9] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/sys/firmware",
];
const READONLY_PATHS: [&str; 6] =
    ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger", "/proc/scsi"];

/// All that the specification follows from.
pub(super) struct Input<'a> {
    pub(super) container: &'a ContainerSpec,
    pub(super) sandbox: &'a SandboxSpec,
    pub(super) sandbox_dir: &'a Path,
    pub(super) image: &'a Config,
    pub(super) ids: &'a Ids,
    pub(super) cgroup: &'a str,
    pub(super) oom_score_adj: Option<i32>,
    /// Of the host, for privileged containers.
    pub(super) devices: &'a [Value],
    /// Whether the host has cgroup version 2 alone.
    pub(super) unified: bool,
}

pub(super) fn runtime_spec(input: &Input<'_>) -> Result<Value, RuntimeError> {
    let Input { container, sandbox, ids, .. } = input;
    check(container)?;
    let security = &container.security;
    let capabilities = capabilities(security)?;
    let hostname = (sandbox.network == Network::Pod).then_some(sandbox.hostname.as_str());
    let mut process = json!({
        "terminal": container.terminal,
        "user": { "uid": ids.uid, "gid": ids.gid, "additionalGids": ids.groups },
        "args": process::arguments(container, input.image)?,
        "env": process::environment(container, input.image, hostname),
        "cwd": process::working_dir(container, input.image),
        "capabilities": { "bounding": capabilities, "effective": capabilities, "permitted": capabilities },
        "noNewPrivileges": security.no_new_privileges,
    });
    if let Some(score) = input.oom_score_adj {
        process["oomScoreAdj"] = score.into();
    }
    Ok(json!({
        "ociVersion": "1.0.2",
        "process": process,
        "root": { "path": "rootfs", "readonly": security.read_only_root },
        "mounts": mounts(input),
        "annotations": { SHIM_GROUP: sandbox.id.as_str() },
        "linux": linux(input),
    }))
}

fn check(container: &ContainerSpec) -> Result<(), RuntimeError> {
    for (n, mount) in container.mounts.iter().enumerate() {
        for (field, path) in [("host_path", &mount.host_path), ("container_path", &mount.container_path)] {
            if !path.is_absolute() {
                let field = format!("container.mounts[{n}].{field}");
                return Err(RuntimeError::invalid(field, format!("{} is not absolute", path.display())));
            }
        }
    }
    if let Some(dir) = container.working_dir.as_ref().filter(|dir| !dir.is_empty() && !dir.starts_with('/')) {
        return Err(RuntimeError::invalid("container.working_dir", format!("{dir:?} is not absolute")));
    }
    for (n, variable) in container.env.iter().enumerate() {
        if variable.name.is_empty() || variable.name.contains(['=', '\0']) || variable.value.contains('\0') {
            let message = format!("{:?} is not an environment variable", variable.name);
            return Err(RuntimeError::invalid(format!("container.env[{n}]"), message));
        }
    }
    if is_interactive(container) && container.log_path.is_none() {
        return Err(RuntimeError::invalid("container.log_path", "an input or a terminal needs one"));
    }
    Ok(())
}

fn capabilities(security: &Security) -> Result<Vec<String>, RuntimeError> {
    let bare = |name: &String| {
        let upper = name.to_ascii_uppercase();
        upper.strip_prefix("CAP_").unwrap_or(&upper).to_owned()
    };
    let add: Vec<String> = security.add_capabilities.iter().map(bare).collect();
    let drop: Vec<String> = security.drop_capabilities.iter().map(bare).collect();
    if let Some(unknown) =
        add.iter().chain(&drop).find(|name| *name != "ALL" && !ALL_CAPABILITIES.contains(&name.as_str()))
    {
        return Err(RuntimeError::invalid("container.security", format!("unknown capability {unknown:?}")));
    }
    let named = |list: &[String], name: &str| list.iter().any(|other| other == name);
    let granted = |name: &&&str| {
        // The order of containerd's CRI plugin: all or none, then each added, then each dropped.
        let base = if named(&drop, "ALL") {
            false
        } else {
            named(&add, "ALL") || DEFAULT_CAPABILITIES.contains(*name)
        };
        security.privileged || ((base || named(&add, name)) && !named(&drop, name))
    };
    Ok(ALL_CAPABILITIES.iter().filter(granted).map(|name| format!("CAP_{name}")).collect())
}

fn mounts(input: &Input<'_>) -> Vec<Value> {
    let privileged = input.container.security.privileged;
    let sys = if privileged { "rw" } else { "ro" };
    let shm = namespaces::shm(input.sandbox_dir);
    let mut mounts = vec![
        mount("/proc", "proc", "proc", &["nosuid", "noexec", "nodev"]),
        mount("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        mount(
            "/dev/pts",
            "devpts",
            "devpts",
            &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        ),
        mount("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
        mount("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", sys]),
        mount("/sys/fs/cgroup", "cgroup", "cgroup", &["nosuid", "noexec", "nodev", "relatime", sys]),
        mount("/dev/shm", "bind", &shm.to_string_lossy(), &["rbind", "rprivate", "rw"]),
    ];
    for (name, path) in files::FILES {
        let source = input.sandbox_dir.join(name);
        mounts.push(mount(path, "bind", &source.to_string_lossy(), &["rbind", "rprivate", "rw"]));
    }
    let asked_for = |path: &Path| input.container.mounts.iter().any(|own| own.container_path == path);
    // Devices that are asked for as a whole come with what is mounted below them, but for the memory that the pod shares.
    let has_devices = asked_for(Path::new("/dev"));
    let replaced = |mount: &Value| {
        asked_for(destination(mount))
            || has_devices && ["devpts", "mqueue"].iter().any(|kind| mount["type"] == *kind)
    };
    mounts.retain(|mount| !replaced(mount));
    mounts.extend(input.container.mounts.iter().map(bind));
    // What is nearer to the root would hide what lies below it if it came later.
    mounts.sort_by_key(|mount| destination(mount).components().count());
    mounts
}

fn destination(mount: &Value) -> &Path {
    Path::new(mount["destination"].as_str().unwrap_or_default())
}

fn mount(destination: &str, kind: &str, source: &str, options: &[&str]) -> Value {
    json!({ "destination": destination, "type": kind, "source": source, "options": options })
}

fn bind(mount_spec: &Mount) -> Value {
    let propagation = match mount_spec.propagation {
        Propagation::Private => "rprivate",
        Propagation::HostToContainer => "rslave",
        Propagation::Bidirectional => "rshared",
    };
    let access = if mount_spec.read_only { "ro" } else { "rw" };
    let (source, target) =
        (mount_spec.host_path.to_string_lossy(), mount_spec.container_path.to_string_lossy());
    mount(&target, "bind", &source, &["rbind", propagation, access])
}

fn linux(input: &Input<'_>) -> Value {
    let Input { container, sandbox, sandbox_dir, .. } = input;
    let shared = |kind: &&str| {
        let name = if *kind == "net" { "network" } else { kind };
        json!({ "type": name, "path": namespaces::path(sandbox_dir, kind) })
    };
    let mut kinds: Vec<Value> = vec![json!({ "type": "pid" }), json!({ "type": "mount" })];
    // With version 1 the cgroup mount shows only the container's own; with version 2 this does.
    if input.unified && !container.security.privileged {
        kinds.push(json!({ "type": "cgroup" }));
    }
    kinds.extend(namespaces::kinds(sandbox.network).iter().map(shared));
    let mut linux = json!({
        "cgroupsPath": input.cgroup,
        "namespaces": kinds,
        "resources": resources(&container.resources, container.security.privileged),
    });
    if container.security.privileged {
        linux["devices"] = input.devices.into();
    } else {
        linux["maskedPaths"] = json!(MASKED_PATHS);
        linux["readonlyPaths"] = json!(READONLY_PATHS);
        if let Some(seccomp) = &container.security.seccomp {
            linux["seccomp"] = seccomp.clone();
        }
    }
    let strongest = container.mounts.iter().map(|mount| mount.propagation).max_by_key(|p| *p as u8);
    match strongest {
        Some(Propagation::Bidirectional) => linux["rootfsPropagation"] = "rshared".into(),
        Some(Propagation::HostToContainer) => linux["rootfsPropagation"] = "rslave".into(),
        Some(Propagation::Private) | None => {}
    }
    linux
}

fn resources(limits: &Resources, privileged: bool) -> Value {
    const DEFAULT_PERIOD_MICROS: u64 = 100_000;
    let mut cpu = Map::new();
    if let Some(shares) = limits.cpu_shares {
        cpu.insert("shares".into(), shares.clamp(2, 262_144).into());
    }
    if let Some(quota) = limits.cpu_quota_micros {
        cpu.insert("quota".into(), quota.into());
        cpu.insert("period".into(), limits.cpu_period_micros.unwrap_or(DEFAULT_PERIOD_MICROS).into());
    }
    // Nothing is allowed but what the OCI runtime always allows: null, zero, random, tty, …
    let mut resources = json!({ "devices": [{ "allow": privileged, "access": "rwm" }] });
    if !cpu.is_empty() {
        resources["cpu"] = cpu.into();
    }
    if let Some(limit) = limits.memory_limit_bytes {
        resources["memory"] = json!({ "limit": limit });
    }
    if let Some(limit) = limits.pids_limit {
        resources["pids"] = json!({ "limit": limit });
    }
    resources
}

#[cfg(test)]
mod tests {
    use orch_runtime::conformance;

    use super::*;

    fn spec(change: impl FnOnce(&mut ContainerSpec, &mut SandboxSpec)) -> Result<Value, RuntimeError> {
        let mut sandbox = conformance::sandbox("pod");
        let mut container = conformance::container(&sandbox, "image", &["run"]);
        change(&mut container, &mut sandbox);
        runtime_spec(&Input {
            container: &container,
            sandbox: &sandbox,
            sandbox_dir: Path::new("/state/pod-0"),
            image: &Config::default(),
            ids: &Ids::default(),
            cgroup: "/orch/pod-0/c",
            oom_score_adj: None,
            devices: &[],
            unified: false,
        })
    }

    fn capabilities_of(add: &[&str], drop: &[&str]) -> Vec<String> {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let security =
            Security { add_capabilities: names(add), drop_capabilities: names(drop), ..Security::default() };
        capabilities(&security).unwrap()
    }

    #[test]
    fn the_default_is_what_docker_gives() {
        let spec = spec(|_, _| {}).unwrap();
        assert_eq!(spec["process"]["capabilities"]["bounding"].as_array().unwrap().len(), 14);
        assert_eq!(spec["linux"]["maskedPaths"].as_array().unwrap().len(), 9);
        assert_eq!(spec["linux"]["resources"]["devices"], json!([{ "allow": false, "access": "rwm" }]));
        assert_eq!(
            spec["linux"]["namespaces"][2],
            json!({ "type": "network", "path": "/state/pod-0/ns/net" })
        );
    }

    #[test]
    fn capabilities_are_dropped_and_then_added() {
        assert_eq!(capabilities_of(&["net_bind_service"], &["ALL"]), ["CAP_NET_BIND_SERVICE"]);
        assert_eq!(capabilities_of(&["CAP_NET_ADMIN"], &[]).len(), 15);
        assert_eq!(capabilities_of(&["ALL"], &["SYS_ADMIN"]).len(), 40);
        assert!(spec(|c, _| c.security.add_capabilities = vec!["FLY".into()]).is_err());
    }

    #[test]
    fn limits_are_in_the_kernels_units() {
        let spec = spec(|container, _| {
            container.resources = Resources {
                cpu_shares: Some(1),
                cpu_quota_micros: Some(50_000),
                memory_limit_bytes: Some(64 << 20),
                pids_limit: Some(10),
                ..Resources::default()
            };
        })
        .unwrap();
        let resources = &spec["linux"]["resources"];
        assert_eq!(resources["cpu"], json!({ "shares": 2, "quota": 50_000, "period": 100_000 }));
        assert_eq!(
            (&resources["memory"], &resources["pids"]),
            (&json!({"limit": 67_108_864}), &json!({"limit": 10}))
        );
    }

    #[test]
    fn a_mount_replaces_the_runtimes_own() {
        let spec = spec(|container, _| {
            container.mounts = vec![Mount {
                host_path: "/pods/hosts".into(),
                container_path: "/etc/hosts".into(),
                read_only: true,
                propagation: Propagation::HostToContainer,
            }];
        })
        .unwrap();
        let mounts = spec["mounts"].as_array().unwrap();
        let hosts: Vec<&Value> = mounts.iter().filter(|mount| mount["destination"] == "/etc/hosts").collect();
        assert_eq!(hosts, [&mount("/etc/hosts", "bind", "/pods/hosts", &["rbind", "rslave", "ro"])]);
        assert_eq!(spec["linux"]["rootfsPropagation"], "rslave");
    }

    #[test]
    fn a_mount_hides_none_that_lies_below_it() {
        let spec = spec(|container, _| {
            container.mounts = ["/data/sub", "/data", "/etc", "/dev", "/data/sub/deep", "/var"]
                .map(|path| Mount {
                    host_path: "/volume".into(),
                    container_path: path.into(),
                    read_only: false,
                    propagation: Propagation::Private,
                })
                .into();
        })
        .unwrap();
        let order: Vec<&str> = spec["mounts"]
            .as_array()
            .unwrap()
            .iter()
            .map(|mount| mount["destination"].as_str().unwrap())
            .collect();
        let at = |path: &str| order.iter().position(|other| *other == path).unwrap();
        assert!(at("/data") < at("/data/sub") && at("/data/sub") < at("/data/sub/deep"), "{order:?}");
        assert!(at("/etc") < at("/etc/hosts") && at("/etc") < at("/etc/resolv.conf"), "{order:?}");
        assert!(at("/dev") < at("/dev/shm") && !order.contains(&"/dev/pts"), "{order:?}");
        assert!(
            at("/data") < at("/etc") && at("/etc") < at("/var"),
            "{order:?} is not in the order asked for"
        );
    }

    #[test]
    fn with_the_hosts_network_only_ipc_is_shared_by_the_pod() {
        let spec = spec(|_, sandbox| sandbox.network = Network::Host).unwrap();
        let kinds: Vec<&Value> =
            spec["linux"]["namespaces"].as_array().unwrap().iter().map(|n| &n["type"]).collect();
        assert_eq!(kinds, ["pid", "mount", "ipc"]);
    }

    #[test]
    fn relative_paths_are_refused_by_name() {
        let error = spec(|container, _| {
            container.mounts = vec![Mount {
                host_path: "data".into(),
                container_path: "/data".into(),
                read_only: false,
                propagation: Propagation::Private,
            }];
        });
        assert_eq!(
            error.unwrap_err().to_string(),
            "invalid container.mounts[0].host_path: data is not absolute"
        );
    }
}
