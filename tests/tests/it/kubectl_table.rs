//! kubectl's verbs against a live server, one row each: what it is asked, and what it must say. Every version does all of it.

use std::path::Path;

use orch_tests::{Orchd, Run, client};

use crate::kubectl_definitions::DEFINITIONS;
use crate::kubectl_identity::IDENTITY;
use crate::manifests::web;

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

pub(crate) const fn case(shows: &'static str, line: &'static str, says: &'static [&'static str]) -> Case {
    Case { shows, line, input: "", says, warns: &[], code: 0 }
}

impl Case {
    pub(crate) const fn given(self, input: &'static str) -> Self {
        Self { input, ..self }
    }

    pub(crate) const fn fails(self, warns: &'static [&'static str]) -> Self {
        Self { warns, code: 1, ..self }
    }

    pub(crate) const fn warns(self, warns: &'static [&'static str]) -> Self {
        Self { warns, ..self }
    }

    fn check(&self, orch: &Orchd, kubectl: &Path) {
        let args: Vec<&str> = self.line.split_whitespace().collect();
        // Without a document's start, older versions take what begins with a brace for JSON.
        let input = format!("---\n{}", self.input);
        let run = orch.run(kubectl, &args, &input, &[("KUBE_EDITOR", "sed -i s/size:.9/size:\\ 10/")]);
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
const WEB: &str =
    web!("{name: web, image: 'registry.test/web:1'}, {name: side, image: 'registry.test/side:1'}");
const WEB_WITHOUT_SIDE: &str = web!("{name: web, image: 'registry.test/web:2'}");

const SHIPS: &str = "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: ships.example.dev}
spec:
  group: example.dev
  scope: Namespaced
  names: {plural: ships, singular: ship, kind: Ship, shortNames: [sh]}
  versions:
    - name: v1
      served: true
      storage: true
      subresources: {status: {}, scale: {specReplicasPath: .spec.size, statusReplicasPath: .status.size}}
      additionalPrinterColumns: [{name: Size, type: integer, jsonPath: .spec.size}]
      schema:
        openAPIV3Schema:
          type: object
          properties:
            status: {type: object, x-kubernetes-preserve-unknown-fields: true}
            spec:
              type: object
              required: [size]
              properties:
                size: {type: integer, minimum: 1, description: How long it is.}
                parts: {type: array, items: {type: object, properties: {name: {type: string}}}}
";
const SHIP: &str =
    "{apiVersion: example.dev/v1, kind: Ship, metadata: {name: a}, spec: {size: 2, parts: [{name: x}]}}";
const SHIP_LONGER: &str = "{apiVersion: example.dev/v1, kind: Ship, metadata: {name: a}, spec: {size: 3}}";
const SHIP_UNKNOWN: &str = "{apiVersion: example.dev/v1, kind: Ship, metadata: {name: a}, spec: {siz: 3}}";
const PAIR: &str = "
{apiVersion: v1, kind: ConfigMap, metadata: {name: left, labels: {of: pair}}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: right, labels: {of: pair}}}
";
const ONE_OF_PAIR: &str = "{apiVersion: v1, kind: ConfigMap, metadata: {name: left, labels: {of: pair}}}";
const LIST: &str = "{apiVersion: v1, kind: List, items: [{apiVersion: v1, kind: ConfigMap, metadata: {generateName: gen-}}]}";
const RULES: &str = "
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reconciled, namespace: default}
rules: [{apiGroups: [''], resources: [pods], verbs: [get]}]
";

/// What kubectl finds out before it does anything.
pub(crate) const ASKING: &[Case] = &[
    case("the versions of both ends", "version", &["Client Version: v1.", "Server Version: v1."]),
    case("where the server is", "cluster-info", &["Kubernetes control plane", "is running at"]),
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
    case("what another may do", "auth can-i delete pods --as=bob", &["no"]).fails(&[]),
    case("the contexts", "config get-contexts -o name", &["orch"]),
    case(
        "another namespace by default",
        "config set-context --current --namespace=kube-system",
        &["modified"],
    ),
    case("which is there", "config view --minify -o jsonpath={..namespace}", &["kube-system"]),
    case("and the first again", "config set-context --current --namespace=default", &["modified"]),
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
    case(
        "a role",
        "create role reader --verb=get,list --resource=pods",
        &["role.rbac.authorization.k8s.io/reader"],
    ),
    case("its binding", "create rolebinding reads --role=reader --serviceaccount=default:bot", &["created"]),
    case("which counts", "auth can-i list pods --as=system:serviceaccount:default:bot", &["yes"]),
    case(
        "one of a role that is not there",
        "create rolebinding loose --role=nobody --user=jane",
        &["created"],
    )
    .warns(&["Warning: roleRef.name: role \"nobody\" does not exist"]),
    case("rules to be brought about", "auth reconcile -f -", &["reconciled reconciled"]).given(RULES),
    case("a token", "create token bot --duration=10m", &["eyJ"]),
    case("several objects as a list, checked by /openapi/v2", "create -f -", &["configmap/gen-"]).given(LIST),
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
    case("what was applied last", "apply view-last-applied configmap/page", &["title: two"]),
    case("two that belong together", "apply -l of=pair -f -", &["left created", "right created"]).given(PAIR),
    case(
        "of which one is left out, and pruned",
        "apply --prune -l of=pair --prune-allowlist=core/v1/ConfigMap -f -",
        &["configmap/left unchanged", "configmap/right pruned"],
    )
    .given(ONE_OF_PAIR),
    case("what is said to be applied last", "apply set-last-applied -f -", &["configmap/left"])
        .given(ONE_OF_PAIR),
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

/// A kind that is defined first: nothing knows it before.
pub(crate) const CUSTOM: &[Case] = &[
    case(
        "a definition",
        "apply -f -",
        &["customresourcedefinition.apiextensions.k8s.io/ships.example.dev created"],
    )
    .given(SHIPS),
    case("served at once", "wait crd/ships.example.dev --for=condition=Established --timeout=20s", &["met"]),
    case("discovered", "api-resources --api-group=example.dev", &["ships", "sh", "Ship"]),
    case("explained", "explain ship.spec.size", &["FIELD: size <integer>", "How long it is."]),
    case("with all its fields", "explain ship --recursive", &["parts\t<[]Object>"]),
    case("apply on the client: new", "apply -f -", &["ship.example.dev/a created"]).given(SHIP),
    case("apply on the client: the same", "apply -f -", &["ship.example.dev/a unchanged"]).given(SHIP),
    case("a difference, with exit code 1", "diff -f -", &["-  size: 2", "+  size: 3"])
        .given(SHIP_LONGER)
        .fails(&[]),
    case("apply on the client: changed", "apply -f -", &["ship.example.dev/a configured"]).given(SHIP_LONGER),
    case("what was left out is gone", "get ship a -o jsonpath={.spec}", &["{\"size\":3}"]),
    case("an unknown field is refused", "apply -f -", &[])
        .given(SHIP_UNKNOWN)
        .fails(&["unknown field \"spec.siz\""]),
    case("apply moves to the server", "apply --server-side -f -", &["serverside-applied"]).given(SHIP_LONGER),
    case("its own columns", "get sh", &["SIZE", "a      3"]),
    case("a strategic merge patch is not for it", "patch ship a -p {\"spec\":{\"size\":9}}", &[])
        .fails(&["application/strategic-merge-patch+json is not supported by example.dev/v1, Kind=Ship"]),
    case("a merge patch", "patch ship a --type=merge -p {\"spec\":{\"size\":9}}", &["patched"]),
    case("an invalid one", "patch ship a --type=merge -p {\"spec\":{\"size\":0}}", &[])
        .fails(&["spec.size in body should be greater than or equal to 1"]),
    case(
        "its status",
        "patch ship a --type=merge --subresource=status -p {\"status\":{\"size\":9}}",
        &["patched"],
    ),
    case("an editor", "edit ship a", &["ship.example.dev/a edited"]),
    case("edited it", "get ship a -o jsonpath={.spec.size}", &["10"]),
    case("scale", "scale ship a --replicas=4", &["ship.example.dev/a scaled"]),
    case("replace", "replace -f -", &["ship.example.dev/a replaced"]).given(SHIP),
    case("delete and create", "replace --force -f -", &["\"a\" deleted", "ship.example.dev/a replaced"])
        .given(SHIP),
    case("a description", "describe ship a", &["Name:         a", "Kind:         Ship"]),
    case(
        "delete the definition",
        "delete crd ships.example.dev --timeout=60s",
        &["\"ships.example.dev\" deleted"],
    ),
    case("and its objects are gone", "get ships", &[]).fails(&["the server"]),
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
    case("a node that takes no more pods", "cordon sim-0000", &["node/sim-0000 cordoned"]),
    case("a node emptied", "drain sim-0000 --force --timeout=60s", &["node/sim-0000 drained"]),
    case("and used again", "uncordon sim-0000", &["node/sim-0000 uncordoned"]),
    case("a pod", "run seen --image=registry.test/seen:1", &["pod/seen created"]),
    case(
        "a copy of it, with tools (protobuf)",
        "debug seen --copy-to=copied --container=tools --image=registry.test/tools:1 --share-processes=false",
        &[],
    ),
    case("which has both", "get pod copied -o jsonpath={.spec.containers[*].name}", &["seen tools"]),
    case("tools put into it", "debug seen --image=registry.test/tools:1", &[])
        .fails(&["ephemeral containers are disabled for this cluster"]),
    case("a node to look into", "debug node/sim-0001 --image=registry.test/tools:1", &[])
        .fails(&["unknown field \"spec.host"]),
    case("what pods use", "top pods", &[]).fails(&["Metrics API not available"]),
    case("both deleted", "delete pod seen copied --now --timeout=60s", &["\"seen\"", "\"copied\""]),
    case("a taint", "taint nodes sim-0000 k=v:NoSchedule", &["node/sim-0000 tainted"]),
    case("taken off", "taint nodes sim-0000 k-", &["node/sim-0000 untainted"]),
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

/// The tables with their headings.
pub(crate) const TABLES: [(&str, &[Case]); 6] = [
    ("Asking", ASKING),
    ("Objects", OBJECTS),
    ("Custom kinds", CUSTOM),
    ("Workloads", WORKLOADS),
    ("Kinds and rules of one's own", DEFINITIONS),
    ("Identity", IDENTITY),
];

/// The versions of kubectl, and the tests that drive them.
pub(crate) const VERSIONS: [(&str, &str); 6] = [
    ("1.32", "kubectl_1_32"),
    ("1.33", "kubectl_1_33"),
    ("1.34", "kubectl_1_34"),
    ("1.35", "kubectl_1_35"),
    ("1.36", "kubectl_1_36"),
    ("1.37", "kubectl_1_37"),
];

fn run(version: &str) {
    let kubectl = client(&format!("kubectl-{version}"));
    let orch = Orchd::simulated(2);
    let said = orch.run(&kubectl, &["version", "--client"], "", &[]).ok();
    assert!(said.contains(&format!("v{version}.")), "{said}");
    for (_, cases) in TABLES {
        cases.iter().for_each(|case| case.check(&orch, &kubectl));
    }
}

#[test]
fn kubectl_1_32() {
    run("1.32");
}

#[test]
fn kubectl_1_33() {
    run("1.33");
}

#[test]
fn kubectl_1_34() {
    run("1.34");
}

#[test]
fn kubectl_1_35() {
    run("1.35");
}

#[test]
fn kubectl_1_36() {
    run("1.36");
}

#[test]
fn kubectl_1_37() {
    run("1.37");
}
