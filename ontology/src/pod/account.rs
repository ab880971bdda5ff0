//! Who a pod acts as: its service account, and the volume in which its containers find a token of it.

use orch_api::{Prerequisite, Resource as _};
use serde::Deserialize as _;
use serde_json::Value;

use super::{
    ConfigMapProjection, DownwardApiProjection, DownwardApiVolumeFile, KeyToPath, ObjectFieldSelector, Pod,
    ProjectedVolumeSource, ServiceAccountTokenProjection, Volume, VolumeMount, VolumeProjection,
};
use crate::ServiceAccount;

/// The account of pods that name none. Every namespace has one.
const DEFAULT: &str = "default";
/// Where containers find the token, `ca.crt` and `namespace`: where every client library looks.
const MOUNT_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// As kubelet asks for them: an hour, and a few seconds by which such tokens can be told from others.
const TOKEN_SECONDS: i64 = 3_607;
/// How much of a pod's uid stands in the volume's name.
const SUFFIX_LENGTH: usize = 5;

/// A pod is made only where its service account is.
pub(super) const PREREQUISITE: Prerequisite =
    Prerequisite { kind: ServiceAccount::KIND, called: "service account", name: account_name, complete };

fn account_name(pod: &Value) -> String {
    let given = pod.pointer("/spec/serviceAccountName").and_then(Value::as_str);
    given.filter(|name| !name.is_empty()).unwrap_or(DEFAULT).to_owned()
}

fn complete(object: &mut Value, account: &Value) {
    let (Ok(mut pod), Ok(account)) = (Pod::deserialize(&*object), ServiceAccount::deserialize(account))
    else {
        return;
    };
    pod.act_as(&account);
    if let Ok(completed) = serde_json::to_value(&pod) {
        *object = completed;
    }
}

impl Pod {
    /// Names the account, and mounts a token of it unless the pod, or else the account, does not want that.
    fn act_as(&mut self, account: &ServiceAccount) {
        self.spec.service_account_name = account.metadata.name.as_str().into();
        let wanted = self.spec.automount_service_account_token.or(account.automount_service_account_token);
        if wanted == Some(false) {
            return;
        }
        let uid = self.metadata.uid.as_bytes();
        let suffix = uid.get(uid.len().saturating_sub(SUFFIX_LENGTH)..).unwrap_or_default();
        let name = format!("kube-api-access-{}", String::from_utf8_lossy(suffix));
        let mut is_mounted = false;
        for container in self.spec.init_containers.iter_mut().chain(&mut self.spec.containers) {
            if container.volume_mounts.iter().any(|mount| mount.mount_path == MOUNT_PATH) {
                continue;
            }
            is_mounted = true;
            container.volume_mounts.push(VolumeMount {
                name: name.clone(),
                mount_path: MOUNT_PATH.to_owned(),
                read_only: true,
            });
        }
        if is_mounted {
            self.spec.volumes.push(access_volume(name));
        }
    }
}

/// A token, the authority's certificate, and the namespace, as files.
fn access_volume(name: String) -> Volume {
    let token = ServiceAccountTokenProjection {
        expiration_seconds: Some(TOKEN_SECONDS),
        path: "token".to_owned(),
        ..ServiceAccountTokenProjection::default()
    };
    let authority = ConfigMapProjection {
        name: ServiceAccount::ROOT_AUTHORITY.into(),
        items: vec![KeyToPath { key: "ca.crt".to_owned(), path: "ca.crt".to_owned(), mode: None }],
        optional: None,
    };
    let field =
        ObjectFieldSelector { api_version: "v1".to_owned(), field_path: "metadata.namespace".to_owned() };
    let namespace =
        DownwardApiVolumeFile { path: "namespace".to_owned(), field_ref: Some(field), mode: None };
    let sources = vec![
        VolumeProjection { service_account_token: Some(token), ..VolumeProjection::default() },
        VolumeProjection { config_map: Some(authority), ..VolumeProjection::default() },
        VolumeProjection {
            downward_api: Some(DownwardApiProjection { items: vec![namespace] }),
            ..VolumeProjection::default()
        },
    ];
    let projected = Some(ProjectedVolumeSource { sources, default_mode: None });
    Volume { name, projected, ..Volume::default() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn completed(spec: Value, account: Value) -> Value {
        let mut pod = json!({
            "metadata": {"name": "web", "uid": "1b4e28ba-2fa1-11d2-883f-0016d3cca427"},
            "spec": {"containers": [{"name": "main", "image": "busybox"}]},
        });
        orch_api::patch::merge_patch(&pod, &json!({"spec": spec})).map(|merged| pod = merged).unwrap();
        let mut account = account;
        account["metadata"] = json!({"name": account_name(&pod)});
        complete(&mut pod, &account);
        pod["spec"].take()
    }

    #[test]
    fn a_pod_finds_a_token_where_client_libraries_look() {
        let spec = completed(json!({}), json!({}));
        assert_eq!(spec["serviceAccountName"], "default");
        let mount = json!([{"name": "kube-api-access-ca427", "mountPath": MOUNT_PATH, "readOnly": true}]);
        assert_eq!(spec["containers"][0]["volumeMounts"], mount);
        let sources = json!([
            {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
            {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
            {"downwardAPI": {"items": [{
                "path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"},
            }]}},
        ]);
        let volume = json!([{"name": "kube-api-access-ca427", "projected": {"sources": sources}}]);
        assert_eq!(spec["volumes"], volume);
    }

    #[test]
    fn the_pod_says_whether_it_wants_a_token_and_else_its_account() {
        let no = json!({"automountServiceAccountToken": false});
        let yes = json!({"automountServiceAccountToken": true});
        for (pod, account, mounted) in [
            (json!({}), no.clone(), false),
            (yes.clone(), no.clone(), true),
            (no.clone(), yes, false),
            (no, json!({}), false),
        ] {
            let spec = completed(pod.clone(), account.clone());
            assert_eq!(spec["volumes"].is_array(), mounted, "{pod} {account}");
        }
    }

    #[test]
    fn what_is_mounted_there_already_is_left_alone() {
        let own = json!({
            "serviceAccountName": "robot",
            "volumes": [{"name": "own", "emptyDir": {}}],
            "containers": [{"name": "main", "image": "b", "volumeMounts": [{"name": "own", "mountPath": MOUNT_PATH}]}],
        });
        let spec = completed(own, json!({}));
        assert_eq!(spec["serviceAccountName"], "robot");
        assert_eq!(spec["volumes"], json!([{"name": "own", "emptyDir": {}}]));
    }
}
