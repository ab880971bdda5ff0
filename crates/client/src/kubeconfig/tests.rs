use super::*;

fn parse(text: &str) -> Kubeconfig {
    Kubeconfig::parse(text, Path::new("/home/me/.kube/config")).unwrap()
}

fn connect(text: &str) -> Result<Connection, String> {
    parse(text).connection(&Overrides::default()).map_err(|error| error.to_string())
}

const ADMIN: &str = "
apiVersion: v1
kind: Config
current-context: orch
preferences: {}
clusters:
- name: orch
  cluster: {server: 'https://127.0.0.1:7443/', certificate-authority-data: Q0E=}
users:
- name: admin
  user: {client-certificate-data: Q0VSVA==, client-key-data: S0VZ}
contexts:
- name: orch
  context: {cluster: orch, user: admin, namespace: shop}
- name: other
  context: {cluster: orch}
";

#[test]
fn a_context_comes_down_to_a_connection() {
    let connection = connect(ADMIN).unwrap();
    assert_eq!(connection.server, "https://127.0.0.1:7443");
    assert_eq!(connection.tls.authority.as_deref(), Some(&b"CA"[..]));
    assert_eq!(connection.tls.identity, Some((b"CERT".to_vec(), b"KEY".to_vec())));
    assert_eq!(connection.namespace, "shop");
}

#[test]
fn overrides_win_over_the_file() {
    let overrides = Overrides {
        context: Some("other".into()),
        server: Some("https://[::1]:9".into()),
        namespace: Some("here".into()),
    };
    let connection = parse(ADMIN).connection(&overrides).unwrap();
    assert_eq!((connection.server.as_str(), connection.namespace.as_str()), ("https://[::1]:9", "here"));
    assert_eq!(connection.tls.identity, None);
}

#[test]
fn of_several_files_the_first_to_name_something_wins() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let file = directory.path().join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, text).unwrap();
        file
    };
    let one =
        write("one", "current-context: b\ncontexts: [{name: a, context: {cluster: first}}]\nusers: null\n");
    let two = write(
        "sub/two",
        "current-context: a
contexts: [{name: a, context: {cluster: second}}, {name: b, context: {cluster: c, user: u}}]
clusters: [{name: c, cluster: {server: 'https://c', certificate-authority: ca.pem}}]
users: [{name: u, user: {tokenFile: ../token}}]",
    );
    write("sub/ca.pem", "PEM");
    let missing = directory.path().join("missing");
    let paths = KubeconfigPaths {
        environment: vec![missing, one.clone(), two.clone()],
        ..KubeconfigPaths::default()
    };
    let config = Kubeconfig::load(&paths).unwrap();
    assert_eq!(config.files, [one, two]);
    assert_eq!(
        config.contexts().map(|[name, cluster, ..]| (name, cluster)).collect::<Vec<_>>(),
        [("a", "first"), ("b", "c")]
    );

    let connection = config.connection(&Overrides::default()).unwrap();
    assert_eq!(connection.tls.authority.as_deref(), Some(&b"PEM"[..]), "relative to its own file");
    let Credentials::TokenFile(file) = connection.credentials else { panic!("{connection:?}") };
    assert_eq!(file, directory.path().join("sub/../token"));
}

#[test]
fn places_are_tried_in_order() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str| directory.path().join(name);
    let all = KubeconfigPaths {
        explicit: None,
        environment: vec![file("env")],
        home: Some(file("home")),
        fallback: Some(file("fallback")),
    };
    let unset = KubeconfigPaths { environment: Vec::new(), ..all.clone() };
    let error = unset.existing().unwrap_err();
    assert!(matches!(&error, ConfigError::NotFound { tried } if tried.len() == 2), "{error}");
    assert!(error.hint().unwrap().contains("orchd up"));
    for name in ["fallback", "home"] {
        std::fs::write(file(name), "").unwrap();
        assert_eq!(unset.existing().unwrap(), [file(name)]);
    }
    let error = all.existing().unwrap_err();
    assert!(matches!(&error, ConfigError::NotFound { tried } if *tried == [file("env")]), "{error}");
    std::fs::write(file("env"), "").unwrap();
    assert_eq!(all.existing().unwrap(), [file("env")]);
    let explicit = KubeconfigPaths { explicit: Some(file("absent")), ..all };
    let error = Kubeconfig::load(&explicit).unwrap_err();
    assert!(error.to_string().starts_with("cannot read") && error.to_string().ends_with("absent"), "{error}");
}

#[test]
fn a_file_that_cannot_be_looked_at_is_told_of() {
    let directory = tempfile::tempdir().unwrap();
    // Below a file there is nothing to look at, not even for root.
    std::fs::write(directory.path().join("file"), "").unwrap();
    let closed = directory.path().join("file/config");
    let paths = KubeconfigPaths { home: Some(closed.clone()), ..KubeconfigPaths::default() };
    assert_eq!(paths.existing().unwrap(), std::slice::from_ref(&closed));
    let error = Kubeconfig::load(&paths).unwrap_err();
    assert_eq!(error.to_string(), format!("cannot read {}", closed.display()));
}

#[test]
fn a_token_file_wins_over_a_token() {
    let text =
        ADMIN.replace("client-certificate-data: Q0VSVA==, client-key-data: S0VZ", "token: t, tokenFile: f");
    let credentials = connect(&text).unwrap().credentials;
    assert!(matches!(&credentials, Credentials::TokenFile(file) if file.ends_with("f")), "{credentials:?}");
}

#[test]
fn errors_name_file_and_field() {
    let with_user =
        |user: &str| ADMIN.replace("{client-certificate-data: Q0VSVA==, client-key-data: S0VZ}", user);
    let config = "/home/me/.kube/config";
    for (text, expected) in [
        (
            with_user("{exec: {command: aws}}"),
            "users[admin].user.exec: credential plugins are not supported; use a client certificate, token or tokenFile",
        ),
        (
            with_user("{client-certificate-data: Q0VSVA==}"),
            "users[admin].user.client-key: is missing beside client-certificate",
        ),
        (
            ADMIN.replace("'https://127.0.0.1:7443/'", "127.0.0.1"),
            "clusters[orch].cluster.server: \"127.0.0.1\" is not an address such as https://127.0.0.1:7443",
        ),
        (
            ADMIN.replace("Q0E=", "Q0E=, insecure-skip-tls-verify: true"),
            "clusters[orch].cluster.insecure-skip-tls-verify: cannot be true beside a certificate-authority: \
             leave one of them out",
        ),
    ] {
        assert_eq!(connect(&text).unwrap_err(), format!("{config}: {expected}"));
    }
    let not_base64 = connect(&ADMIN.replace("Q0E=", "'?'")).unwrap_err();
    assert!(
        not_base64.starts_with(&format!(
            "{config}: clusters[orch].cluster.certificate-authority-data: is not base64"
        ))
    );
    let missing = connect(&with_user("{client-certificate: me.crt, client-key: me.key}")).unwrap_err();
    assert_eq!(missing, "cannot read /home/me/.kube/me.crt (named by users[admin].user.client-certificate)");
    let undefined = connect(&ADMIN.replace("user: admin,", "user: root,")).unwrap_err();
    assert_eq!(undefined, "user \"root\" is not defined in /home/me/.kube/config");
    let no_context = connect(&ADMIN.replace("current-context: orch", "")).unwrap_err();
    assert_eq!(no_context, "no context is chosen: `current-context` is not set in /home/me/.kube/config");
}

#[test]
fn what_is_not_a_kubeconfig_is_refused_with_its_position() {
    let error = Kubeconfig::parse("clusters:\n- nam: x\n", Path::new("k")).unwrap_err().to_string();
    assert!(error.starts_with("k is not a valid kubeconfig: ") && error.contains("line 2"), "{error}");
}

#[test]
fn secrets_are_not_printed() {
    let config = parse(&ADMIN.replace("client-key-data: S0VZ", "client-key-data: S0VZ, token: s3cret"));
    let printed = format!("{config:?} {:?}", config.connection(&Overrides::default()).unwrap());
    assert!(!printed.contains("s3cret") && !printed.contains("S0VZ"), "{printed}");
}
