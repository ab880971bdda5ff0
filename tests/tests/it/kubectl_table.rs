//! kubectl's verbs against a live server, one row each: what it is asked, and what it must say.

use orch_tests::{Orchd, Run};

/// One command line and what comes of it.
pub(crate) struct Case {
    /// What it shows, for the page.
    pub(crate) shows: &'static str,
    /// The arguments, separated by spaces.
    pub(crate) line: &'static str,
    input: &'static str,
    /// Parts of the standard output.
    says: &'static [&'static str],
    /// Parts of the standard error; a command that has none of them must succeed.
    warns: &'static [&'static str],
    code: i32,
}

const fn case(shows: &'static str, line: &'static str, says: &'static [&'static str]) -> Case {
    Case { shows, line, input: "", says, warns: &[], code: 0 }
}

impl Case {
    const fn given(self, input: &'static str) -> Self {
        Self { input, ..self }
    }

    const fn fails(self, warns: &'static [&'static str]) -> Self {
        Self { warns, code: 1, ..self }
    }

    const fn warns(self, warns: &'static [&'static str]) -> Self {
        Self { warns, ..self }
    }

    fn check(&self, orch: &Orchd) {
        let args: Vec<&str> = self.line.split_whitespace().collect();
        let run = orch.kubectl_with(&args, self.input);
        let Run { stdout, stderr, code, .. } = &run;
        assert_eq!(*code, Some(self.code), "{}\nstdout: {stdout}\nstderr: {stderr}", run.line);
        for part in self.says {
            assert!(
                stdout.contains(part),
                "{}: {part:?} is not in stdout: {stdout}\nstderr: {stderr}",
                run.line
            );
        }
        for part in self.warns {
            assert!(stderr.contains(part), "{}: {part:?} is not in stderr: {stderr}", run.line);
        }
    }
}

const PAGE: &str = "{apiVersion: v1, kind: ConfigMap, metadata: {name: page}, data: {title: one, note: x}}";
const PAGE_TWO: &str = "{apiVersion: v1, kind: ConfigMap, metadata: {name: page}, data: {title: two}}";
const PAGE_UNKNOWN: &str =
    "{apiVersion: v1, kind: ConfigMap, metadata: {name: page}, dat: {title: two}, data: {title: two}}";
const WEB: &str = "
apiVersion: orch.dev/v1
kind: Workload
metadata: {name: web}
spec:
  replicas: 2
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
        - {name: web, image: 'registry.test/web:1'}
        - {name: side, image: 'registry.test/side:1'}
";
const WEB_WITHOUT_SIDE: &str = "
apiVersion: orch.dev/v1
kind: Workload
metadata: {name: web}
spec:
  replicas: 2
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
        - {name: web, image: 'registry.test/web:2'}
";

/// What kubectl finds out before it does anything.
pub(crate) const ASKING: &[Case] = &[
    case("the versions of both ends", "version", &["Client Version: v1.", "Server Version: v1."]),
    case(
        "the administrator's kubeconfig",
        "config view --minify",
        &["current-context:", "client-certificate-data"],
    ),
    case("the group versions", "api-versions", &["coordination.k8s.io/v1", "orch.dev/v1", "\nv1\n"]),
    case(
        "the resources, by name",
        "api-resources -o name --verbs=list,watch",
        &["configmaps\n", "workloads.orch.dev\n"],
    ),
    case("their short names and kinds", "api-resources", &["cm ", "ConfigMap", "wl ", "Workload"]),
    case("a field, explained", "explain workload.spec.update.maxSurge", &["FIELD: maxSurge <integer>"]),
    case(
        "a kind with all its fields",
        "explain pod --recursive",
        &["imagePullPolicy", "terminationGracePeriodSeconds"],
    ),
    case("a field that is not there", "explain pod.spec.nothing", &[])
        .fails(&["field \"nothing\" does not exist"]),
    case("what one may do", "auth can-i create pods", &["yes"]),
    case("what one may do altogether", "auth can-i --list", &["Resources", "*.*"]),
    case("who one is", "auth whoami", &["Username"]),
];

/// Objects of compiled kinds, from create to delete.
pub(crate) const OBJECTS: &[Case] = &[
    case("a namespace (protobuf)", "create namespace shop", &["namespace/shop created"]),
    case("a config map (protobuf)", "create configmap made --from-literal=a=b", &["configmap/made created"]),
    case(
        "a secret (protobuf)",
        "create secret generic key --from-literal=p=hunter2",
        &["secret/key created"],
    ),
    case("a service account (protobuf)", "create serviceaccount bot", &["serviceaccount/bot created"]),
    case("what is there already", "create configmap made", &[])
        .fails(&["configmaps \"made\" already exists"]),
    case("a dry run on the server", "create configmap dry --dry-run=server", &["created (server dry run)"]),
    case("which stored nothing", "get configmap dry", &[]).fails(&["configmaps \"dry\" not found"]),
    case("apply on the client: new", "apply -f -", &["configmap/page created"]).given(PAGE),
    case("apply on the client: the same", "apply -f -", &["configmap/page unchanged"]).given(PAGE),
    case("a difference, with exit code 1", "diff -f -", &["-  title: one", "+  title: two"])
        .given(PAGE_TWO)
        .fails(&[]),
    case("apply on the client: changed", "apply -f -", &["configmap/page configured"]).given(PAGE_TWO),
    case("what was left out is gone", "get configmap page -o jsonpath={.data}", &["{\"title\":\"two\"}"]),
    case("no difference", "diff -f -", &[]).given(PAGE_TWO),
    case("an unknown field is refused", "apply -f -", &[])
        .given(PAGE_UNKNOWN)
        .fails(&["unknown field \"dat\""]),
    case("or told", "apply --validate=warn -f -", &["page"])
        .given(PAGE_UNKNOWN)
        .warns(&["Warning: unknown field \"dat\""]),
    case("apply moves to the server", "apply --server-side -f -", &["configmap/page serverside-applied"])
        .given(PAGE_TWO),
    case("others conflict", "apply --server-side --field-manager=other -f -", &[])
        .given(PAGE)
        .fails(&["conflict with \"kubectl\"", ".data.title"]),
    case(
        "unless forced",
        "apply --server-side --field-manager=other --force-conflicts -f -",
        &["serverside-applied"],
    )
    .given(PAGE),
    case(
        "a merge patch",
        "patch configmap page --type=merge -p {\"data\":{\"m\":\"1\"}}",
        &["configmap/page patched"],
    ),
    case(
        "a JSON patch",
        "patch configmap page --type=json -p [{\"op\":\"remove\",\"path\":\"/data/m\"}]",
        &["patched"],
    ),
    case(
        "a strategic merge patch",
        "patch configmap page -p {\"data\":{\"s\":\"1\"}}",
        &["configmap/page patched"],
    ),
    case(
        "a patch that changes nothing",
        "patch configmap page -p {\"data\":{\"s\":\"1\"}}",
        &["(no change)"],
    ),
    case("a label", "label configmap page tier=front", &["configmap/page labeled"]),
    case("a label changed without leave", "label configmap page tier=back", &[])
        .fails(&["'tier' already has a value (front)"]),
    case("a label changed", "label configmap page tier=back --overwrite", &["configmap/page labeled"]),
    case("an annotation", "annotate configmap page note=x", &["configmap/page annotated"]),
    case("replace", "replace -f -", &["configmap/page replaced"]).given(PAGE),
    case("replace what is not there", "replace -n shop -f -", &[])
        .given(PAGE)
        .fails(&["configmaps \"page\" not found"]),
    case(
        "a condition on a value",
        "wait configmap page --for=jsonpath={.data.title}=one --timeout=20s",
        &["condition met"],
    ),
    case("a list", "get configmaps", &["NAME", "DATA", "AGE", "page"]),
    case("a list by label, with labels", "get configmap -l app!=x --show-labels", &["LABELS", "page"]),
    case(
        "a list by field",
        "get configmaps --field-selector=metadata.name=page -o name",
        &["configmap/page\n"],
    ),
    case("lists of several kinds", "get configmaps,secrets -o name", &["configmap/made", "secret/key"]),
    case(
        "a list in pages, sorted",
        "get configmaps --chunk-size=1 --sort-by=.metadata.name -o name",
        &["made\nconfigmap/page"],
    ),
    case("an object as YAML", "get configmap page -o yaml", &["kind: ConfigMap", "  title: one"]),
    case("columns of one's own", "get cm page -o custom-columns=T:.data.title", &["T\none"]),
    case("a path as it is", "get --raw /api/v1/namespaces/default/configmaps/page", &["\"title\":\"one\""]),
    case("a description", "describe configmap page", &["Name:         page", "title:\n----\none"]),
    case("a namespace described", "describe namespace shop", &["Status:       Active"]),
    case("an object that is not there", "delete configmap none", &[])
        .fails(&["configmaps \"none\" not found"]),
    case("which may be", "delete configmap none --ignore-not-found", &[]),
    case("delete by label", "delete configmaps -l tier=none", &["No resources found"]),
    case(
        "delete, and wait until it is gone",
        "delete configmap page made",
        &["configmap \"page\" deleted", "\"made\" deleted"],
    ),
    case("a namespace that is needed", "delete namespace default", &[])
        .fails(&["this namespace may not be deleted"]),
    case(
        "a namespace with what is in it",
        "delete namespace shop --timeout=60s",
        &["namespace \"shop\" deleted"],
    ),
];

/// A kind that kubectl was not compiled with, and what acts on it.
pub(crate) const WORKLOADS: &[Case] = &[
    case("apply on the client", "apply -f -", &["workload.orch.dev/web created"]).given(WEB),
    case("and again", "apply -f -", &["workload.orch.dev/web unchanged"]).given(WEB),
    case("pods come", "wait pod -l app=web --for=create --timeout=60s", &["condition met"]),
    case("and are ready", "wait pod -l app=web --for=condition=Ready --timeout=60s", &["condition met"]),
    case("its columns", "get workloads", &["READY", "UP-TO-DATE", "AVAILABLE", "web"]),
    case("what is of category all", "get all", &["workload.orch.dev/web"]),
    case("its numbers", "get workload web --subresource=scale -o jsonpath={.spec.replicas}", &["2"]),
    case("scale", "scale workload/web --replicas=3", &["workload.orch.dev/web scaled"]),
    case("scale from another number", "scale workload/web --current-replicas=9 --replicas=1", &[])
        .fails(&["Expected replicas to be 9"]),
    case(
        "a patch of the scale",
        "patch workload web --subresource=scale --type=merge -p {\"spec\":{\"replicas\":2}}",
        &["patched"],
    ),
    case(
        "a patch of the status",
        "patch workload web --subresource=status --type=merge -p {\"status\":{}}",
        &["web"],
    ),
    case(
        "a strategic merge by container",
        "patch workload web -p \
        {\"spec\":{\"template\":{\"spec\":{\"containers\":[{\"name\":\"side\",\"image\":\"registry.test/side:2\"}]}}}}",
        &["patched"],
    ),
    case("a container taken out by apply", "apply -f -", &["workload.orch.dev/web configured"])
        .given(WEB_WITHOUT_SIDE),
    case(
        "is gone, the other changed",
        "get workload web -o jsonpath={.spec.template.spec.containers[*].image}",
        &["registry.test/web:2"],
    ),
    case("a description", "describe workload web", &["Name:         web", "Kind:         Workload"]),
    case("a node described", "describe nodes", &["Conditions:", "Ready"]),
    case("nodes that take pods", "get nodes --field-selector=spec.unschedulable=false -o name", &["node/"]),
    case("what happened", "events", &["LAST SEEN", "Scheduled"]),
    case("events as objects", "get events -o name", &["event/"]),
    case("delete, and leave its pods", "delete workload web --cascade=orphan", &["\"web\" deleted"]),
    case("which are there", "get pods -l app=web -o name", &["pod/"]),
    case("delete them at once", "delete pods -l app=web --now --timeout=60s", &["deleted"]),
    case("make it again", "apply -f -", &["workload.orch.dev/web created"]).given(WEB),
    case("pods come again", "wait pod -l app=web --for=create --timeout=60s", &["condition met"]),
    case(
        "delete the pods first",
        "delete workload web --cascade=foreground --timeout=60s",
        &["\"web\" deleted"],
    ),
    case("they are gone", "get pods -l app=web", &[]).warns(&["No resources found"]),
    case("make it once more", "create -f -", &["workload.orch.dev/web created"]).given(WEB),
    case(
        "delete it, then its pods",
        "delete workload web --cascade=background --timeout=60s",
        &["\"web\" deleted"],
    ),
    case("they go too", "wait pod -l app=web --for=delete --timeout=60s", &[]),
];

/// The tables with their headings and the tests that run them.
pub(crate) const TABLES: [(&str, &str, &[Case]); 3] = [
    ("Asking", "kubectl_asks", ASKING),
    ("Objects", "kubectl_handles_objects", OBJECTS),
    ("Workloads", "kubectl_handles_workloads", WORKLOADS),
];

fn run(cases: &[Case]) {
    let orch = Orchd::simulated(2);
    cases.iter().for_each(|case| case.check(&orch));
}

#[test]
fn kubectl_asks() {
    run(ASKING);
}

#[test]
fn kubectl_handles_objects() {
    run(OBJECTS);
}

#[test]
fn kubectl_handles_workloads() {
    run(WORKLOADS);
}
