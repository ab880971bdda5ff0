//! Pod networks, by CNI plugins (the specification is containernetworking/cni's SPEC.md 1.0.0).
//!
//! A network is a list of plugins. Adding runs each with the result of the one before; deleting runs them backwards. Deleting uses
//! the configuration that adding used, kept with the sandbox, so a changed configuration leaks nothing.

mod masquerade;
mod plugin;

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
};

use orch_runtime::{PodIdentity, PortMapping, Protocol, RuntimeError, SandboxId, SandboxSpec};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use self::plugin::{Call, Invocation};

/// How pods are connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkConfig {
    /// Which plugins do it.
    pub plugins: NetworkPlugins,
    /// Directories with plugin executables, in order.
    pub plugin_dirs: Vec<PathBuf>,
}

/// Which plugins connect pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NetworkPlugins {
    /// A Linux bridge, addresses from a range, host ports, and one masquerading rule for what leaves the node.
    Bridge {
        /// Name of the bridge; made if it does not exist. At most 15 characters.
        bridge: String,
        /// This node's addresses, as in `10.88.0.0/16`; the first is the bridge's own.
        pod_cidr: String,
    },
    /// Any list an administrator wrote: the path of a `.conflist`.
    Conflist(PathBuf),
}

impl NetworkConfig {
    /// A bridge, with plugins from the usual directories.
    pub fn bridge(bridge: impl Into<String>, pod_cidr: impl Into<String>) -> Self {
        Self {
            plugins: NetworkPlugins::Bridge { bridge: bridge.into(), pod_cidr: pod_cidr.into() },
            plugin_dirs: vec!["/opt/cni/bin".into(), "/usr/lib/cni".into()],
        }
    }
}

/// The network that new sandboxes join.
pub(crate) struct Network {
    conflist: Conflist,
    plugin_dirs: Vec<PathBuf>,
}

/// A sandbox's membership, kept as long as the sandbox.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Attachment {
    conflist: Conflist,
    /// The last plugin's result; `None` until all have succeeded.
    result: Option<Value>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Conflist {
    cni_version: String,
    name: String,
    plugins: Vec<Value>,
}

impl Network {
    /// Reads and prepares what all sandboxes share. Asks the kernel for one masquerading rule, so it needs root.
    pub(crate) async fn prepare(config: &NetworkConfig, state_dir: &Path) -> Result<Self, RuntimeError> {
        let conflist = match &config.plugins {
            NetworkPlugins::Bridge { bridge, pod_cidr } => {
                masquerade::ensure(bridge, pod_cidr).await?;
                bridge_conflist(bridge, pod_cidr, state_dir)
            }
            NetworkPlugins::Conflist(path) => {
                let invalid = |error: String| {
                    RuntimeError::invalid("network.conflist", format!("{}: {error}", path.display()))
                };
                let text = std::fs::read(path).map_err(|error| invalid(error.to_string()))?;
                serde_json::from_slice(&text).map_err(|error| invalid(error.to_string()))?
            }
        };
        Ok(Self { conflist, plugin_dirs: config.plugin_dirs.clone() })
    }

    /// Removes what [`prepare`](Self::prepare) and the bridge plugin made for all sandboxes: the rule and the bridge. What an
    /// administrator's own plugins made stays. Can be repeated.
    pub(crate) async fn remove(config: &NetworkConfig) -> Result<(), RuntimeError> {
        let NetworkPlugins::Bridge { bridge, .. } = &config.plugins else { return Ok(()) };
        masquerade::remove(bridge).await?;
        if !Path::new("/sys/class/net").join(bridge).exists() {
            return Ok(());
        }
        let failed = |error: String| RuntimeError::failed(format!("remove the bridge {bridge}"), error);
        let deleted = tokio::process::Command::new("ip").args(["link", "delete", bridge]).output().await;
        match deleted {
            Ok(output) if output.status.success() => Ok(()),
            Ok(output) => Err(failed(String::from_utf8_lossy(&output.stderr).into_owned())),
            Err(error) => Err(failed(error.to_string())),
        }
    }

    /// What must be kept before [`attach`](Self::attach), so that an interrupted one can be undone.
    pub(crate) fn intent(&self) -> Attachment {
        Attachment { conflist: self.conflist.clone(), result: None }
    }

    /// Gives the network namespace its interfaces and addresses.
    pub(crate) async fn attach(&self, spec: &SandboxSpec, netns: &Path) -> Result<Attachment, RuntimeError> {
        let call = Call { id: &spec.id, pod: &spec.pod, netns: Some(netns), plugin_dirs: &self.plugin_dirs };
        let (result, ()) = tokio::try_join!(self.add_all(&call, &spec.port_mappings), loopback(&call))?;
        Ok(Attachment { conflist: self.conflist.clone(), result: Some(result) })
    }

    async fn add_all(&self, call: &Call<'_>, ports: &[PortMapping]) -> Result<Value, RuntimeError> {
        let mut previous = None;
        for plugin in &self.conflist.plugins {
            // portmap without ports only repeats the previous result: a process less for most pods.
            if plugin["type"] == "portmap" && ports.is_empty() && previous.is_some() {
                continue;
            }
            let config = self.conflist.config_of(plugin, previous.as_ref(), ports);
            previous = Some(call.run(Invocation::Add, plugin, &config).await?);
        }
        previous.ok_or_else(|| RuntimeError::invalid("network.conflist", "it lists no plugin"))
    }

    /// Takes back what [`attach`](Self::attach) gave, also after a reboot (then without a namespace). Can be repeated.
    pub(crate) async fn detach(
        &self,
        attachment: &Attachment,
        spec: &SandboxSpec,
        netns: Option<&Path>,
    ) -> Result<(), RuntimeError> {
        let call = Call { id: &spec.id, pod: &spec.pod, netns, plugin_dirs: &self.plugin_dirs };
        for plugin in attachment.conflist.plugins.iter().rev() {
            if plugin["type"] == "portmap"
                && spec.port_mappings.is_empty()
                && attachment.conflist.plugins.len() > 1
            {
                continue;
            }
            let config =
                attachment.conflist.config_of(plugin, attachment.result.as_ref(), &spec.port_mappings);
            call.run(Invocation::Del, plugin, &config).await?;
        }
        Ok(())
    }
}

impl Attachment {
    pub(crate) fn is_complete(&self) -> bool {
        self.result.is_some()
    }

    /// The sandbox's addresses, in the plugins' order.
    pub(crate) fn ips(&self) -> Vec<IpAddr> {
        let entries = self.result.as_ref().and_then(|result| result["ips"].as_array()).into_iter().flatten();
        let addresses = entries.filter_map(|entry| entry["address"].as_str());
        addresses.filter_map(|address| address.split('/').next()?.parse().ok()).collect()
    }
}

impl Conflist {
    /// One plugin's configuration, with what the specification says a runtime adds.
    fn config_of(&self, plugin: &Value, previous: Option<&Value>, ports: &[PortMapping]) -> Value {
        let mut config = plugin.clone();
        config["cniVersion"] = self.cni_version.clone().into();
        config["name"] = self.name.clone().into();
        if let Some(previous) = previous {
            config["prevResult"] = previous.clone();
        }
        if plugin["capabilities"]["portMappings"] == true && !ports.is_empty() {
            config["runtimeConfig"] =
                json!({ "portMappings": ports.iter().map(port_mapping).collect::<Vec<_>>() });
        }
        if let Some(config) = config.as_object_mut() {
            config.remove("capabilities");
        }
        config
    }
}

fn port_mapping(port: &PortMapping) -> Value {
    let protocol = match port.protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
        Protocol::Sctp => "sctp",
    };
    let mut mapping =
        json!({ "hostPort": port.host_port, "containerPort": port.container_port, "protocol": protocol });
    if let Some(ip) = port.host_ip {
        mapping["hostIP"] = ip.to_string().into();
    }
    mapping
}

async fn loopback(call: &Call<'_>) -> Result<(), RuntimeError> {
    let plugin = json!({ "type": "loopback" });
    let config = json!({ "cniVersion": "1.0.0", "name": "lo", "type": "loopback" });
    call.run(Invocation::AddLoopback, &plugin, &config).await.map(drop)
}

fn bridge_conflist(bridge: &str, pod_cidr: &str, state_dir: &Path) -> Conflist {
    Conflist {
        cni_version: "1.0.0".into(),
        name: bridge.into(),
        plugins: vec![
            json!({
                "type": "bridge",
                "bridge": bridge,
                "isGateway": true,
                "hairpinMode": true,
                "ipam": {
                    "type": "host-local",
                    "dataDir": state_dir.join("ipam"),
                    "ranges": [[{ "subnet": pod_cidr }]],
                    "routes": [{ "dst": "0.0.0.0/0" }],
                },
            }),
            json!({ "type": "portmap", "capabilities": { "portMappings": true } }),
        ],
    }
}

/// The error of a sandbox's network.
fn network_error(id: &SandboxId, message: impl Into<String>) -> RuntimeError {
    RuntimeError::Network { id: id.to_string(), message: message.into() }
}

/// The `CNI_ARGS` that Kubernetes' runtimes pass and plugins know.
fn pod_arguments(id: &SandboxId, pod: &PodIdentity) -> String {
    format!(
        "IgnoreUnknown=1;K8S_POD_NAMESPACE={};K8S_POD_NAME={};K8S_POD_INFRA_CONTAINER_ID={id};K8S_POD_UID={}",
        pod.namespace, pod.name, pod.uid
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugin_gets_the_previous_result_and_the_ports_it_can_map() {
        let conflist = bridge_conflist("orch0", "10.1.0.0/24", Path::new("/state"));
        let previous = json!({ "ips": [{ "address": "10.1.0.2/24" }] });
        let port =
            PortMapping { protocol: Protocol::Udp, container_port: 53, host_port: 5353, host_ip: None };
        let bridge = conflist.config_of(&conflist.plugins[0], None, std::slice::from_ref(&port));
        assert_eq!((&bridge["name"], &bridge["runtimeConfig"]), (&json!("orch0"), &Value::Null));
        let portmap = conflist.config_of(&conflist.plugins[1], Some(&previous), &[port]);
        assert_eq!(portmap["prevResult"], previous);
        assert_eq!(
            portmap["runtimeConfig"]["portMappings"],
            json!([{ "hostPort": 5353, "containerPort": 53, "protocol": "udp" }])
        );
        let attachment = Attachment { conflist, result: Some(previous) };
        assert_eq!(attachment.ips(), ["10.1.0.2".parse::<IpAddr>().unwrap()]);
    }
}
