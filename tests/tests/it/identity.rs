//! Who is who: certificates that are asked for, and what a pod finds of its own identity.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use orch_tests::{Orchd, Run, kubectl_path, wait_for};
use orch_transport::{CertificateRequest, Credentials, kubeconfig};
use serde_json::Value;

use crate::real::{DEADLINE, is_ready, objects, running, start, text, workload};

const MOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// As somebody else, by a kubeconfig.
fn as_user(kubeconfig: &Path, args: &[&str]) -> Run {
    let home = kubeconfig.parent().unwrap();
    Run::new(Command::new(kubectl_path()).args(args).env("KUBECONFIG", kubeconfig).env("HOME", home), "")
}

fn ask(orch: &Orchd, name: &str, signer: &str) -> CertificateRequest {
    let asked = CertificateRequest::new(name, &["dev", "ops", "on-call"]).unwrap();
    let request = STANDARD.encode(&asked.request_pem);
    let manifest = format!(
        "{{apiVersion: certificates.k8s.io/v1, kind: CertificateSigningRequest, metadata: {{name: {name}}}, spec: \
         {{request: {request}, signerName: {signer}, expirationSeconds: 86400, usages: [digital signature, client auth]}}}}"
    );
    orch.kubectl_with(&["create", "-f", "-"], &manifest).ok();
    asked
}

fn server_of(orch: &Orchd) -> (String, String) {
    let part = |path: &str| orch.kubectl(&["config", "view", "--raw", "-o", path]).ok();
    let authority = part("jsonpath={.clusters[0].cluster.certificate-authority-data}");
    let authority = String::from_utf8(STANDARD.decode(authority).unwrap()).unwrap();
    (part("jsonpath={.clusters[0].cluster.server}"), authority)
}

#[test]
fn certificates_are_asked_for_decided_and_used_with_kubectl() {
    let orch = Orchd::simulated(1);
    let client = "kubernetes.io/kube-apiserver-client";
    let asked = ask(&orch, "jane", client);
    let listed = orch.kubectl(&["get", "csr"]).ok();
    for part in
        ["SIGNERNAME", "REQUESTOR", "REQUESTEDDURATION", "jane", client, "orch-admin", "24h", "Pending"]
    {
        assert!(listed.contains(part), "{part}: {listed}");
    }
    let approved = orch.kubectl(&["certificate", "approve", "jane"]).ok();
    assert!(approved.contains("certificatesigningrequest.certificates.k8s.io/jane approved"), "{approved}");
    let pem = wait_for("the certificate", DEADLINE, || {
        let found = orch.kubectl(&["get", "csr", "jane", "-o", "jsonpath={.status.certificate}"]).ok();
        if found.is_empty() { Err(orch.kubectl(&["get", "csr"]).stdout) } else { Ok(found) }
    });
    let certificate_pem = String::from_utf8(STANDARD.decode(pem).unwrap()).unwrap();
    assert!(orch.kubectl(&["get", "csr", "jane"]).ok().contains("Approved,Issued"));
    let (server, authority) = server_of(&orch);
    let credentials = Credentials { certificate_pem, key_pem: asked.key_pem };
    let file = orch.data_dir().join("jane.kubeconfig");
    std::fs::write(&file, kubeconfig(&server, &authority, "jane", &credentials)).unwrap();
    let who = as_user(&file, &["auth", "whoami", "-o", "json"]).ok();
    let who: Value = serde_json::from_str(&who).unwrap();
    assert_eq!(who["status"]["userInfo"]["username"], "jane");
    let groups = serde_json::json!(["dev", "ops", "on-call", "system:authenticated"]);
    assert_eq!(who["status"]["userInfo"]["groups"], groups);

    ask(&orch, "joe", client);
    orch.kubectl(&["certificate", "deny", "joe"]).ok();
    assert!(orch.kubectl(&["get", "csr", "joe"]).ok().contains("Denied"));
    // What a node's signer never signs fails, approved or not.
    ask(&orch, "jack", "kubernetes.io/kube-apiserver-client-kubelet");
    orch.kubectl(&["certificate", "approve", "jack"]).ok();
    wait_for("the failure", DEADLINE, || {
        let listed = orch.kubectl(&["get", "csr", "jack"]).ok();
        if listed.contains("Approved,Failed") { Ok(()) } else { Err(listed) }
    });
}

#[test]
fn a_user_is_made_with_one_command() {
    let orch = Orchd::simulated(1);
    let file = orch.data_dir().join("jane.kubeconfig");
    let path = file.to_string_lossy().into_owned();
    let create = ["user", "create", "jane", "--group", "dev", "--valid-for", "30d", "--output", &path];
    let created = orch.orchctl(&create).ok();
    assert!(created.contains("created"), "{created}");
    let who = as_user(&file, &["auth", "whoami"]).ok();
    assert!(who.contains("jane") && who.contains("dev"), "{who}");
    assert!(as_user(&file, &["get", "pods"]).fails().contains(r#"User "jane" cannot list resource "pods""#));
    let again = orch.orchctl(&create).fails();
    assert!(again.contains("exists already"), "{again}");
    let short = ["user", "create", "joe", "--valid-for", "5m", "--output", "/nonexistent/joe"];
    assert!(orch.orchctl(&short).fails().contains("may not specify a duration less than 600 seconds"));
}

#[test]
fn the_key_of_tokens_is_rotated_under_a_running_server() {
    let mut orch = Orchd::simulated(1);
    let data_dir = orch.data_dir().to_string_lossy().into_owned();
    let token = |orch: &Orchd| orch.kubectl(&["create", "token", "default"]).ok().trim().to_owned();
    let is_good = |orch: &Orchd, token: &str| {
        let (server, _) = server_of(orch);
        let authority = orch.data_dir().join("pki/ca.crt");
        let mut kubectl = Command::new(kubectl_path());
        let args = ["auth", "whoami", "--kubeconfig", "/dev/null", "--server", &server, "--token", token];
        kubectl.args(args).arg("--certificate-authority").arg(authority).env("HOME", orch.data_dir());
        Run::new(&mut kubectl, "").code == Some(0)
    };
    let keys = |orch: &Orchd| -> usize {
        let keys: Value =
            serde_json::from_str(&orch.kubectl(&["get", "--raw", "/openid/v1/jwks"]).ok()).unwrap();
        keys["keys"].as_array().unwrap().len()
    };
    let old = token(&orch);
    assert!(is_good(&orch, &old));
    orch.orchd(&["token-key", "rotate", "--data-dir", &data_dir]).ok();
    wait_for("both keys", DEADLINE, || if keys(&orch) == 2 { Ok(()) } else { Err("one".into()) });
    let new = token(&orch);
    assert!(is_good(&orch, &old) && is_good(&orch, &new));
    orch.stop();
    orch.start_again();
    assert!(is_good(&orch, &old) && is_good(&orch, &new), "after a restart");
    orch.orchd(&["token-key", "forget", "--data-dir", &data_dir]).ok();
    wait_for("one key", DEADLINE, || if keys(&orch) == 1 { Ok(()) } else { Err("two".into()) });
    assert!(!is_good(&orch, &old) && is_good(&orch, &new));
}

/// The pid of a pod's first container, whose network is the pod's.
fn pid_of(orch: &Orchd, pod: &Value) -> String {
    let id =
        text(pod, "/status/containerStatuses/0/containerID").trim_start_matches("containerd://").to_owned();
    let socket = orch.data_dir().join("containerd/containerd.sock");
    let mut list = Command::new("ctr");
    let tasks = Run::new(list.arg("--address").arg(socket).args(["-n", "orch", "task", "ls"]), "").ok();
    let line = tasks.lines().find(|line| line.starts_with(&id)).unwrap_or_else(|| panic!("{id}:\n{tasks}"));
    line.split_whitespace().nth(1).unwrap().to_owned()
}

/// Asks who the bearer of a token is; from a process's network, if one is given.
fn whoami(url: &str, authority: &Path, token: &str, pid: Option<&str>) -> (String, Value) {
    let url = format!("{url}/apis/authentication.k8s.io/v1/selfsubjectreviews");
    let authorization = format!("Authorization: Bearer {token}");
    let mut command = match pid {
        Some(pid) => {
            let mut enter = Command::new("nsenter");
            enter.args(["--net", "--target", pid, "curl"]);
            enter
        }
        None => Command::new("curl"),
    };
    command.args(["--silent", "--show-error", "--write-out", "\n%{http_code}", "--data", "{}"]);
    command.args(["--header", "Content-Type: application/json", "--header", &authorization]).arg("--cacert");
    let answer = Run::new(command.arg(authority).arg(url), "").ok();
    let (body, code) = answer.rsplit_once('\n').unwrap();
    (code.to_owned(), serde_json::from_str(body).unwrap())
}

#[test]
fn a_pod_finds_a_token_that_is_its_own_and_ends_with_it() {
    let orch = start();
    orch.orchctl_with(&["apply", "-f", "-"], &workload("robot", 1, "exec sleep 3600")).ok();
    let pod = running(&orch, "app=robot", 1).remove(0);
    let name = text(&pod, "/metadata/name").to_owned();
    assert_eq!(text(&pod, "/spec/serviceAccountName"), "default");
    let inside = |args: &[&str]| orch.orchctl(&[&["exec", &name, "--"], args].concat()).ok();
    assert_eq!(inside(&["cat", &format!("{MOUNT}/namespace")]), "default");
    let (token, authority) =
        (inside(&["cat", &format!("{MOUNT}/token")]), inside(&["cat", &format!("{MOUNT}/ca.crt")]));
    let file = orch.data_dir().join("seen-ca.crt");
    std::fs::write(&file, authority).unwrap();
    let variables = inside(&["env"]);
    let variable = |name: &str| {
        let found = variables.lines().find_map(|line| line.strip_prefix(&format!("{name}=")));
        found.unwrap_or_else(|| panic!("{name}: {variables}")).to_owned()
    };
    let url =
        format!("https://{}:{}", variable("KUBERNETES_SERVICE_HOST"), variable("KUBERNETES_SERVICE_PORT"));
    let (code, review) = whoami(&url, &file, &token, Some(&pid_of(&orch, &pod)));
    assert_eq!(code, "201", "{review}");
    let user = &review["status"]["userInfo"];
    assert_eq!(user["username"], "system:serviceaccount:default:default");
    assert_eq!(user["extra"]["authentication.kubernetes.io/pod-name"][0], name.as_str());
    let read_only =
        orch.orchctl(&["exec", &name, "--", "sh", "-c", &format!("echo x > {MOUNT}/token")]).fails();
    assert!(read_only.contains("Read-only"), "{read_only}");

    let (server, _) = server_of(&orch);
    assert_eq!(whoami(&server, &file, &token, None).0, "201");
    orch.orchctl(&["delete", "workload", "robot"]).ok();
    orch.kubectl(&["wait", "pod", &name, "--for=delete", "--timeout=60s"]).ok();
    assert_eq!(whoami(&server, &file, &token, None).0, "401");
}

#[test]
fn a_pod_that_wants_no_token_has_none_and_one_without_an_account_is_not_made() {
    let orch = start();
    let pod = |name: &str, more: &str| {
        format!(
            "{{apiVersion: v1, kind: Pod, metadata: {{name: {name}}}, spec: {{{more}, terminationGracePeriodSeconds: 1, \
             containers: [{{name: main, image: {}, command: [sleep, '3600']}}]}}}}",
            crate::real::IMAGE
        )
    };
    orch.kubectl_with(&["create", "-f", "-"], &pod("plain", "automountServiceAccountToken: false")).ok();
    wait_for("the pod", Duration::from_secs(60), || {
        let pod = objects(&orch, &["pod", "plain"]).remove(0);
        if is_ready(&pod) { Ok(()) } else { Err(format!("{:#}", pod["status"])) }
    });
    orch.orchctl(&["exec", "plain", "--", "sh", "-c", &format!("test ! -e {MOUNT}")]).ok();
    let refused =
        orch.kubectl_with(&["create", "-f", "-"], &pod("none", "serviceAccountName: nobody")).fails();
    let why = r#"pods "none" is forbidden: error looking up service account default/nobody: serviceaccount "nobody" not found"#;
    assert!(refused.contains(why), "{refused}");
}
