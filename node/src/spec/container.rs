//! From a container of a pod to what the runtime is asked for.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use orch_ontology::{Container, Pod, TerminationMessagePolicy, Volume, VolumeMount};
use orch_runtime::{
    ContainerId, ContainerSpec, EnvVar, Mount, Propagation, SandboxStatus, Security, Stdin, User,
};

use super::{
    env::{EnvContext, environment},
    expand::expand,
    facts::{ConfigError, NodeFacts},
    label,
    resources::resources,
};

const DEFAULT_TERMINATION_MESSAGE_PATH: &str = "/dev/termination-log";

/// One run of a container.
pub(crate) struct Run<'a> {
    pub(crate) container: &'a Container,
    pub(crate) sandbox: &'a SandboxStatus,
    pub(crate) attempt: u32,
    /// What the run after this one has to wait.
    pub(crate) restart_delay: Duration,
}

/// What the runtime is asked for. Fails while something that it refers to is missing.
pub(crate) fn container_spec(context: &EnvContext<'_>, run: &Run<'_>) -> Result<ContainerSpec, ConfigError> {
    let (pod, facts, container) = (context.pod, context.facts, run.container);
    let variables = environment(context, container)?;
    let expanded = |texts: &[String]| -> Vec<String> {
        texts.iter().map(|text| expand(text, |name| variables.get(name).cloned())).collect()
    };
    let (command, args) = (expanded(&container.command), expanded(&container.args));
    let mut labels = label::of_pod(&pod.metadata);
    labels.insert(label::CONTAINER_NAME.to_owned(), container.name.clone());
    let layout = facts.layout.as_ref();
    Ok(ContainerSpec {
        id: ContainerId::of_pod(&pod.metadata.uid, &container.name, run.attempt),
        sandbox: run.sandbox.id.clone(),
        name: container.name.clone(),
        attempt: run.attempt,
        labels,
        annotations: annotations(run),
        image: container.image.clone(),
        command,
        args,
        working_dir: Some(container.working_dir.clone()).filter(|dir| !dir.is_empty()),
        env: variables.into_iter().map(|(name, value)| EnvVar { name, value }).collect(),
        mounts: mounts(pod, facts, run)?,
        user: user(pod, container)?,
        resources: resources(pod, container, facts.memory_bytes),
        security: security(container),
        stdin: stdin(container),
        terminal: container.tty,
        log_path: layout.map(|layout| layout.log(&pod.metadata, &container.name, run.attempt)),
    })
}

fn stdin(container: &Container) -> Stdin {
    match (container.stdin, container.stdin_once) {
        (false, _) => Stdin::Empty,
        (true, false) => Stdin::Open,
        (true, true) => Stdin::Once,
    }
}

fn annotations(run: &Run<'_>) -> BTreeMap<String, String> {
    let policy = match run.container.termination_message_policy {
        TerminationMessagePolicy::File => "File",
        TerminationMessagePolicy::FallbackToLogsOnError => "FallbackToLogsOnError",
    };
    BTreeMap::from([
        (label::RESTART_DELAY_SECONDS.to_owned(), run.restart_delay.as_secs().to_string()),
        (label::SANDBOX_CREATED_AT.to_owned(), run.sandbox.created_at.to_string()),
        (label::TERMINATION_MESSAGE_POLICY.to_owned(), policy.to_owned()),
    ])
}

fn mounts(pod: &Pod, facts: &NodeFacts, run: &Run<'_>) -> Result<Vec<Mount>, ConfigError> {
    let Some(layout) = &facts.layout else { return Ok(Vec::new()) };
    let mount = |host_path: PathBuf, container_path: &str, read_only: bool| Mount {
        host_path,
        container_path: container_path.into(),
        read_only,
        propagation: Propagation::Private,
    };
    let volume_mount = |asked: &VolumeMount| {
        let volume = pod.spec.volumes.iter().find(|volume| volume.name == asked.name);
        let volume =
            volume.ok_or_else(|| ConfigError::invalid(format!("volume {:?} not found", asked.name)))?;
        let host_path = match &volume.host_path {
            Some(host_path) => PathBuf::from(&host_path.path),
            None => layout.volume(&pod.metadata.uid, &volume.name),
        };
        Ok(mount(host_path, &asked.mount_path, asked.read_only || is_always_read_only(volume)))
    };
    let container = run.container;
    let mut mounts = container.volume_mounts.iter().map(volume_mount).collect::<Result<Vec<_>, _>>()?;
    let message_path = match container.termination_message_path.as_str() {
        "" => DEFAULT_TERMINATION_MESSAGE_PATH,
        path => path,
    };
    let message = layout.termination_message(&pod.metadata.uid, &container.name, run.attempt);
    mounts.push(mount(message, message_path, false));
    Ok(mounts)
}

/// Kubernetes mounts these read-only whatever was asked.
fn is_always_read_only(volume: &Volume) -> bool {
    volume.config_map.is_some() || volume.secret.is_some() || volume.projected.is_some()
}

fn user(pod: &Pod, container: &Container) -> Result<Option<User>, ConfigError> {
    let (of_pod, of_container) = (pod.spec.security_context.as_ref(), container.security_context.as_ref());
    let uid = of_container.and_then(|c| c.run_as_user).or(of_pod.and_then(|c| c.run_as_user));
    let gid = of_container.and_then(|c| c.run_as_group).or(of_pod.and_then(|c| c.run_as_group));
    let id = |id: Option<i64>| {
        id.map(|id| {
            u32::try_from(id).map_err(|_| ConfigError::invalid(format!("{id} is not a user or group id")))
        })
        .transpose()
    };
    let user = User { uid: id(uid)?, gid: id(gid)?, supplemental_gids: Vec::new() };
    Ok((uid.is_some() || gid.is_some()).then_some(user))
}

fn security(container: &Container) -> Security {
    let Some(asked) = &container.security_context else { return Security::default() };
    let capabilities = asked.capabilities.clone().unwrap_or_default();
    Security {
        privileged: asked.privileged == Some(true),
        add_capabilities: capabilities.add,
        drop_capabilities: capabilities.drop,
        no_new_privileges: asked.allow_privilege_escalation == Some(false),
        read_only_root: asked.read_only_root_filesystem == Some(true),
        seccomp: None,
    }
}

#[cfg(test)]
mod tests {
    use orch_runtime::SandboxState;
    use serde_json::json;

    use super::*;
    use crate::{
        spec::facts::Sources,
        testing::{at, facts, pod, sandbox},
    };

    fn spec_of(pod: &Pod) -> Result<ContainerSpec, ConfigError> {
        let (facts, sources) = (facts(), Sources::default());
        let context = EnvContext { pod, facts: &facts, sources: &sources, pod_ips: &[] };
        let sandbox = sandbox(SandboxState::Ready);
        let delay = Duration::from_secs(20);
        let run =
            Run { container: &pod.spec.containers[0], sandbox: &sandbox, attempt: 2, restart_delay: delay };
        container_spec(&context, &run)
    }

    #[test]
    fn everything_that_was_asked_for_is_passed_on() {
        let mut pod = pod("web");
        pod.spec.volumes = serde_json::from_value(json!([
            {"name": "data", "emptyDir": {}}, {"name": "config", "configMap": {"name": "c"}},
            {"name": "host", "hostPath": {"path": "/srv"}},
        ]))
        .unwrap();
        pod.spec.containers[0] = serde_json::from_value(json!({
            "name": "main", "image": "busybox", "command": ["sh", "-c", "echo $(WHO) $$(WHO)"], "args": ["$(WHO)"],
            "stdin": true, "stdinOnce": true, "tty": true,
            "workingDir": "/tmp", "env": [{"name": "WHO", "value": "me"}],
            "volumeMounts": [
                {"name": "data", "mountPath": "/data"}, {"name": "config", "mountPath": "/etc/app"},
                {"name": "host", "mountPath": "/host", "readOnly": true},
            ],
            "securityContext": {"runAsUser": 1000, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}},
        }))
        .unwrap();
        let spec = spec_of(&pod).unwrap();
        assert_eq!(spec.id.as_str(), "uid-web-main-2");
        assert_eq!(spec.command, ["sh", "-c", "echo me $(WHO)"]);
        assert_eq!(spec.args, ["me"]);
        assert_eq!((spec.stdin, spec.terminal), (Stdin::Once, true));
        let mounts: Vec<_> = spec
            .mounts
            .iter()
            .map(|m| (m.host_path.to_str().unwrap(), m.container_path.to_str().unwrap(), m.read_only))
            .collect();
        assert_eq!(
            mounts,
            [
                ("/data/pods/uid-web/volumes/data", "/data", false),
                ("/data/pods/uid-web/volumes/config", "/etc/app", true),
                ("/srv", "/host", true),
                ("/data/pods/uid-web/containers/main/2.message", "/dev/termination-log", false),
            ]
        );
        assert_eq!(spec.user, Some(User { uid: Some(1000), gid: None, supplemental_gids: vec![] }));
        assert!(spec.security.read_only_root && !spec.security.privileged);
        assert_eq!(spec.log_path.unwrap(), PathBuf::from("/data/logs/default_web_uid-web/main/2.log"));
        assert_eq!(spec.annotations[label::RESTART_DELAY_SECONDS], "20");
        assert_eq!(spec.annotations[label::SANDBOX_CREATED_AT], at(0).to_string());
    }

    #[test]
    fn a_mount_of_no_volume_and_an_odd_user_are_refused() {
        let mut pod = pod("web");
        pod.spec.containers[0].volume_mounts = vec![VolumeMount { name: "x".into(), ..Default::default() }];
        assert_eq!(spec_of(&pod), Err(ConfigError::invalid("volume \"x\" not found")));
        pod.spec.containers[0].volume_mounts.clear();
        pod.spec.containers[0].security_context = serde_json::from_value(json!({"runAsUser": -1})).unwrap();
        assert!(spec_of(&pod).is_err());
    }
}
