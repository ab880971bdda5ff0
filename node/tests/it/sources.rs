//! ConfigMaps and Secrets that pods refer to.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use orch_api::Api;
use orch_node::remove_data;
use orch_ontology::{ConfigMap, Secret, ServiceAccount};
use serde_json::json;

use crate::cluster::{Cluster, eventually, state};

#[tokio::test(flavor = "multi_thread")]
async fn a_container_waits_for_the_config_map_that_it_needs() {
    let cluster = Cluster::start().await;
    let _agent = cluster.agent();
    let env =
        json!([{"name": "GREETING", "valueFrom": {"configMapKeyRef": {"name": "texts", "key": "greeting"}}}]);
    let main = json!({"command": ["sh", "-c", "echo $(GREETING) ; sleep 1000"], "env": env});
    let pod = cluster.pod("web", main).await;
    let waiting = cluster.until("web", "waiting", |pod| state(pod) == "CreateContainerConfigError").await;
    let why = waiting.status.container_statuses[0].state.waiting.as_ref().unwrap();
    assert_eq!(why.message, "configmap \"texts\" not found");
    let texts = json!({"metadata": {"name": "texts", "namespace": "default"}, "data": {"greeting": "hello"}});
    cluster.create::<ConfigMap>(texts).await;
    cluster.until_running("web").await;
    let log = cluster.data_dir().join(format!("logs/default_web_{}/main/0.log", pod.metadata.uid));
    assert!(std::fs::read_to_string(log).unwrap().contains("stdout F hello"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_config_map_volume_follows_the_object() {
    let cluster = Cluster::start().await;
    let _agent = cluster.agent();
    let volumes = json!({"volumes": [{"name": "v", "configMap": {"name": "texts"}}]});
    let mounts = json!({"volumeMounts": [{"name": "v", "mountPath": "/texts"}]});
    let pod = cluster.pod_with("web", mounts, volumes).await;
    let texts = json!({"metadata": {"name": "texts", "namespace": "default"}, "data": {"greeting": "hello"}});
    let mut texts: ConfigMap = cluster.create(texts).await;
    cluster.until_running("web").await;
    let file = cluster.data_dir().join(format!("pods/{}/volumes/v/greeting", pod.metadata.uid));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "hello");
    texts.data = [("greeting".to_owned(), "good bye".to_owned())].into();
    Api::all(cluster.client.clone()).update(&texts).await.unwrap();
    eventually("the file changes", || async {
        (std::fs::read_to_string(&file).unwrap() == "good bye").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_finds_a_token_of_its_account_once_there_is_an_authority_to_trust() {
    let cluster = Cluster::start().await;
    let _agent = cluster.agent();
    let account = json!({"metadata": {"name": "robot", "namespace": "default"}});
    cluster.create::<ServiceAccount>(account).await;
    let pod = cluster.pod_with("web", json!({}), json!({"serviceAccountName": "robot"})).await;
    cluster.until("web", "waiting", |pod| state(pod) == "ContainerCreating").await;
    let authority = json!({
        "metadata": {"name": "kube-root-ca.crt", "namespace": "default"}, "data": {"ca.crt": "a certificate"},
    });
    cluster.create::<ConfigMap>(authority).await;
    cluster.until_running("web").await;
    let volume =
        cluster.data_dir().join(format!("pods/{}/volumes/{}", pod.metadata.uid, pod.spec.volumes[0].name));
    let file = |name: &str| std::fs::read_to_string(volume.join(name)).unwrap();
    assert_eq!((file("ca.crt").as_str(), file("namespace").as_str()), ("a certificate", "default"));
    let claims = file("token").split('.').nth(1).map(|part| URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
    let claims: serde_json::Value = serde_json::from_slice(&claims).unwrap();
    assert_eq!(claims["sub"], "system:serviceaccount:default:robot");
    assert_eq!(claims["kubernetes.io"]["pod"]["uid"], pod.metadata.uid.as_str());
    cluster.delete("web").await;
    cluster.until_gone("web").await;
    eventually("the token is gone", || async { (!volume.exists()).then_some(()) }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_volume_is_in_memory_and_goes_with_the_pod() {
    let cluster = Cluster::start().await;
    let _agent = cluster.agent();
    let secret = json!({"metadata": {"name": "keys", "namespace": "default"}, "data": {"key": "c2VjcmV0"}});
    cluster.create::<Secret>(secret).await;
    let volumes = json!({"volumes": [{"name": "v", "secret": {"secretName": "keys", "defaultMode": 0o400}}]});
    let pod = cluster.pod_with("web", json!({}), volumes).await;
    cluster.until_running("web").await;
    let directory = cluster.data_dir().join(format!("pods/{}/volumes/v", pod.metadata.uid));
    assert_eq!(std::fs::read_to_string(directory.join("key")).unwrap(), "secret");
    let is_mounted = || {
        let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        table.lines().any(|line| line.contains(directory.to_str().unwrap()) && line.contains(" tmpfs "))
    };
    assert!(is_mounted());
    cluster.delete("web").await;
    cluster.until_gone("web").await;
    assert!(!is_mounted() && !directory.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_agent_left_is_removed_without_it() {
    let cluster = Cluster::start().await;
    let agent = cluster.agent();
    let volumes = json!({"volumes": [{"name": "v", "emptyDir": {"medium": "Memory"}}]});
    cluster.pod_with("web", json!({}), volumes).await;
    cluster.until_running("web").await;
    agent.stop().await;
    remove_data(&cluster.data_dir()).unwrap();
    assert!(!cluster.data_dir().exists());
    let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!table.contains(cluster.data_dir().to_str().unwrap()));
    remove_data(&cluster.data_dir()).unwrap();
}
