//! Other clients than kubectl, unmodified: helm, the Python and JavaScript ones. What they do is in `tests/clients/`.

use std::path::{Path, PathBuf};

use orch_tests::{Orchd, Run, client};

use crate::real::{IMAGE, start};

/// A client, the program in `tests/clients/` that drives it, and the test that runs it.
pub(crate) const PROGRAMS: [(&str, &str, &str); 4] = [
    (
        "Python `kubernetes` 37: objects, watches, dynamic and custom kinds, scale, logs, exec",
        "official.py",
        "python_s_official_client_works",
    ),
    (
        "Python `lightkube` 1.0 and `kr8s` 0.20: objects, every kind of patch, watches, conditions, scale",
        "light.py",
        "python_s_lighter_clients_work",
    ),
    (
        "JavaScript `@kubernetes/client-node` 2.0: objects, every kind of patch, informers, custom kinds, logs, exec",
        "official.mjs",
        "javascript_s_official_client_works",
    ),
    (
        "helm 3.17 and 4.3, releases in secrets and config maps: install, upgrade, rollback, list, uninstall",
        "chart",
        "helm_installs_upgrades_and_rolls_back",
    ),
];

fn program(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients").join(name)
}

fn run(orch: &Orchd, client: &Path, program_name: &str) -> Run {
    let path = program(program_name);
    let clients = orch_tests::client("");
    let environment = [("ORCH_IMAGE", IMAGE), ("ORCH_CLIENTS", clients.to_str().unwrap())];
    orch.run(client, &[path.to_str().unwrap()], "", &environment)
}

#[test]
fn python_s_official_client_works() {
    run(&start(), &client("python/bin/python"), "official.py").ok();
}

#[test]
fn python_s_lighter_clients_work() {
    run(&Orchd::simulated(1), &client("python/bin/python"), "light.py").ok();
}

#[test]
fn javascript_s_official_client_works() {
    run(&start(), &client("node/bin/node"), "official.mjs").ok();
}

#[test]
fn helm_installs_upgrades_and_rolls_back() {
    let orch = Orchd::simulated(1);
    let chart = program("chart");
    let chart = chart.to_str().unwrap();
    for version in ["helm-3", "helm-4"] {
        for driver in ["secret", "configmap"] {
            let helm = |args: &[&str]| orch.run(&client(version), args, "", &[("HELM_DRIVER", driver)]).ok();
            let title = || orch.kubectl(&["get", "configmap", "site-page", "-o", "jsonpath={.data.title}"]);
            helm(&["install", "site", chart, "--wait", "--timeout", "60s"]);
            helm(&["upgrade", "site", chart, "--set", "title=two"]);
            assert_eq!(title().ok(), "two", "{version} {driver}");
            helm(&["rollback", "site", "1"]);
            assert_eq!(title().ok(), "one", "{version} {driver}");
            let history = helm(&["history", "site"]);
            assert!(history.contains("superseded") && history.contains("Rollback to 1"), "{history}");
            assert!(helm(&["list"]).contains("page-0.1.0"), "{version} {driver}");
            helm(&["uninstall", "site", "--wait"]);
            assert!(title().fails().contains("not found"), "{version} {driver}");
            assert!(!helm(&["list"]).contains("site"), "{version} {driver}");
        }
    }
}
