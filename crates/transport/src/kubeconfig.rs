//! The text of a kubeconfig, as kubectl and every Kubernetes client read it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::Credentials;

/// A kubeconfig with one cluster and one context, called after Orch, and one user of this name; certificates are embedded.
///
/// `server_url` is such as `https://127.0.0.1:6443`. The text contains the private key: store it with mode 0600.
pub fn kubeconfig(server_url: &str, authority_pem: &str, name: &str, user: &Credentials) -> String {
    // JSON is YAML: quoted, any name is itself.
    let name = quoted(name);
    let encode = |pem: &str| STANDARD.encode(pem);
    format!(
        "apiVersion: v1\n\
         kind: Config\n\
         clusters:\n\
         - name: orch\n  cluster:\n    server: {server_url}\n    certificate-authority-data: {}\n\
         users:\n\
         - name: {name}\n  user:\n    client-certificate-data: {}\n    client-key-data: {}\n\
         contexts:\n\
         - name: orch\n  context:\n    cluster: orch\n    user: {name}\n\
         current-context: orch\n",
        encode(authority_pem),
        encode(&user.certificate_pem),
        encode(&user.key_pem),
    )
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""))
}
