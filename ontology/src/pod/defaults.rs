//! What a pod is when it does not say: Kubernetes' defaults.

use orch_api::Quantity;

use super::{
    Container, ImagePullPolicy, Pod, PodPhase, PodSecurityContext, PodSpec, PodStatus, PodTemplateSpec,
    ProjectedVolumeSource,
};

const GRACE_SECONDS: i64 = 30;
const SCHEDULER: &str = "default-scheduler";
const TERMINATION_LOG: &str = "/dev/termination-log";
const FILE_MODE: i32 = 0o644;
const TOKEN_SECONDS: i64 = 3_600;

impl Pod {
    pub(super) fn set_defaults(&mut self, old: Option<&Self>) {
        self.spec.set_defaults();
        let qos_class = Some(self.qos_class());
        match old {
            None => {
                self.status = PodStatus { phase: Some(PodPhase::Pending), qos_class, ..PodStatus::default() }
            }
            Some(_) => {
                self.status.phase.get_or_insert_default();
                self.status.qos_class = self.status.qos_class.or(qos_class);
            }
        }
    }
}

impl PodTemplateSpec {
    pub(crate) fn set_defaults(&mut self) {
        self.spec.set_defaults();
    }
}

impl PodSpec {
    pub(super) fn set_defaults(&mut self) {
        let grace_seconds = self.termination_grace_period_seconds.get_or_insert(GRACE_SECONDS);
        if *grace_seconds < 0 {
            *grace_seconds = 1;
        }
        self.security_context.get_or_insert_with(PodSecurityContext::default);
        if self.scheduler_name.is_empty() {
            SCHEDULER.clone_into(&mut self.scheduler_name);
        }
        for volume in &mut self.volumes {
            if let Some(config_map) = &mut volume.config_map {
                config_map.default_mode.get_or_insert(FILE_MODE);
            }
            if let Some(secret) = &mut volume.secret {
                secret.default_mode.get_or_insert(FILE_MODE);
            }
            if let Some(projected) = &mut volume.projected {
                projected.set_defaults();
            }
            if let Some(host_path) = &mut volume.host_path {
                host_path.path_type.get_or_insert_default();
            }
        }
        for container in self.init_containers.iter_mut().chain(&mut self.containers) {
            container.set_defaults(self.host_network);
        }
    }
}

impl ProjectedVolumeSource {
    fn set_defaults(&mut self) {
        self.default_mode.get_or_insert(FILE_MODE);
        for source in &mut self.sources {
            if let Some(token) = &mut source.service_account_token {
                token.expiration_seconds.get_or_insert(TOKEN_SECONDS);
            }
            let fields = source.downward_api.iter_mut().flat_map(|downward| &mut downward.items);
            for field in fields.filter_map(|item| item.field_ref.as_mut()) {
                if field.api_version.is_empty() {
                    "v1".clone_into(&mut field.api_version);
                }
            }
        }
    }
}

impl Container {
    fn set_defaults(&mut self, host_network: bool) {
        if self.termination_message_path.is_empty() {
            TERMINATION_LOG.clone_into(&mut self.termination_message_path);
        }
        let image = &self.image;
        self.image_pull_policy.get_or_insert_with(|| pull_policy_of(image));
        for (resource, limit) in &self.resources.limits {
            self.resources.requests.entry(resource.clone()).or_insert_with(|| Quantity::clone(limit));
        }
        for env in &mut self.env {
            let field = env.value_from.as_mut().and_then(|source| source.field_ref.as_mut());
            if let Some(field) = field.filter(|field| field.api_version.is_empty()) {
                "v1".clone_into(&mut field.api_version);
            }
        }
        for port in self.ports.iter_mut().filter(|_| host_network) {
            port.host_port.get_or_insert(port.container_port);
        }
    }
}

/// An image that may mean another one tomorrow is pulled each time.
fn pull_policy_of(image: &str) -> ImagePullPolicy {
    let (name, digest) = image.split_once('@').map_or((image, None), |(name, digest)| (name, Some(digest)));
    let tag = name.rsplit('/').next().and_then(|last| last.split_once(':')).map(|(_, tag)| tag);
    match (tag, digest) {
        (Some("latest"), _) | (None, None) => ImagePullPolicy::Always,
        _ => ImagePullPolicy::IfNotPresent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tag_decides_when_an_image_is_pulled() {
        let cases = [
            ("nginx", ImagePullPolicy::Always),
            ("nginx:latest", ImagePullPolicy::Always),
            ("localhost:5000/nginx", ImagePullPolicy::Always),
            ("localhost:5000/nginx:1.27", ImagePullPolicy::IfNotPresent),
            ("nginx:1.27", ImagePullPolicy::IfNotPresent),
            ("nginx@sha256:0123", ImagePullPolicy::IfNotPresent),
            ("nginx:latest@sha256:0123", ImagePullPolicy::Always),
        ];
        for (image, policy) in cases {
            assert_eq!(pull_policy_of(image), policy, "{image}");
        }
    }
}
