"""The official Python client, `kubernetes`: typed, dynamic and custom objects, watches, logs and exec."""

import os
import time

from kubernetes import client, config, dynamic, watch
from kubernetes.client.rest import ApiException
from kubernetes.stream import stream

NAMESPACE = "python"
MAPS = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": "4"}}
GROUP = "py.example.dev"
BOATS = (GROUP, "v1", NAMESPACE, "boats")
DEFINITION = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": f"boats.{GROUP}"},
    "spec": {
        "group": GROUP,
        "scope": "Namespaced",
        "names": {"plural": "boats", "singular": "boat", "kind": "Boat"},
        "versions": [{
            "name": "v1",
            "served": True,
            "storage": True,
            "subresources": {
                "status": {},
                "scale": {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"},
            },
            "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                "spec": {"type": "object", "properties": {"size": {"type": "integer"}, "replicas": {"type": "integer"}}},
                "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
            }}},
        }],
    },
}

config.load_kube_config()
core = client.CoreV1Api()


def fails(code, call, *args, **kwargs):
    try:
        call(*args, **kwargs)
    except ApiException as error:
        assert error.status == code, error
        return
    raise AssertionError(f"{call.__name__} succeeded")


def until(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "waited too long"


def config_maps():
    made = core.create_namespaced_config_map(NAMESPACE, {"metadata": {"name": "a", "labels": {"x": "y"}}, "data": {"k": "1"}})
    fails(409, core.create_namespaced_config_map, NAMESPACE, {"metadata": {"name": "a"}})
    fails(404, core.read_namespaced_config_map, "none", NAMESPACE)
    made.data["k"] = "2"
    assert core.replace_namespaced_config_map("a", NAMESPACE, made).data == {"k": "2"}
    fails(409, core.replace_namespaced_config_map, "a", NAMESPACE, made)
    assert core.patch_namespaced_config_map("a", NAMESPACE, {"data": {"s": "1"}}).data == {"k": "2", "s": "1"}
    patched = core.patch_namespaced_config_map("a", NAMESPACE, [{"op": "remove", "path": "/data/s"}])
    assert patched.data == {"k": "2"}
    page = core.list_namespaced_config_map(NAMESPACE, label_selector="x=y", limit=1)
    assert [item.metadata.name for item in page.items] == ["a"]
    dry = core.create_namespaced_config_map(NAMESPACE, {"metadata": {"name": "dry"}}, dry_run="All")
    fails(404, core.read_namespaced_config_map, dry.metadata.name, NAMESPACE)


def watches():
    revision = core.list_namespaced_config_map(NAMESPACE).metadata.resource_version
    core.create_namespaced_config_map(NAMESPACE, {"metadata": {"name": "b"}})
    core.delete_namespaced_config_map("b", NAMESPACE)
    seen, follow = [], watch.Watch()
    for event in follow.stream(core.list_namespaced_config_map, NAMESPACE, resource_version=revision, timeout_seconds=30):
        seen.append((event["type"], event["object"].metadata.name))
        if event["type"] == "DELETED":
            follow.stop()
    assert seen == [("ADDED", "b"), ("DELETED", "b")], seen


def dynamic_client():
    maps = dynamic.DynamicClient(client.ApiClient()).resources.get(api_version="v1", kind="ConfigMap")
    applied = maps.server_side_apply(MAPS, name="a", namespace=NAMESPACE, field_manager="python", force_conflicts=True)
    assert applied.data.to_dict() == {"k": "4"}
    managers = {entry["manager"] for entry in applied.metadata.managedFields}
    assert "python" in managers, managers


def custom_objects():
    definitions, custom = client.ApiextensionsV1Api(), client.CustomObjectsApi()
    name = DEFINITION["metadata"]["name"]
    definitions.create_custom_resource_definition(DEFINITION)
    until(lambda: any(
        condition.type == "Established" and condition.status == "True"
        for condition in definitions.read_custom_resource_definition(name).status.conditions or []
    ))
    boat = {"apiVersion": f"{GROUP}/v1", "kind": "Boat", "metadata": {"name": "b"}, "spec": {"size": 1, "replicas": 1}}
    assert custom.create_namespaced_custom_object(*BOATS, boat)["metadata"]["generation"] == 1
    assert custom.patch_namespaced_custom_object(*BOATS, "b", {"spec": {"size": 2}})["spec"]["size"] == 2
    assert custom.patch_namespaced_custom_object_status(*BOATS, "b", {"status": {"ok": True}})["status"] == {"ok": True}
    assert custom.patch_namespaced_custom_object_scale(*BOATS, "b", {"spec": {"replicas": 3}})["spec"] == {"replicas": 3}
    boats = dynamic.DynamicClient(client.ApiClient()).resources.get(api_version=f"{GROUP}/v1", kind="Boat")
    assert boats.get(name="b", namespace=NAMESPACE).spec.replicas == 3
    fails(422, custom.patch_namespaced_custom_object, *BOATS, "b", {"spec": {"size": "large"}})
    assert custom.delete_namespaced_custom_object(*BOATS, "b")["status"] == "Success"
    assert custom.list_namespaced_custom_object(*BOATS)["items"] == []
    definitions.delete_custom_resource_definition(name)


def pods():
    script = "echo started; exec sleep 3600"
    container = {"name": "main", "image": os.environ["ORCH_IMAGE"], "command": ["sh", "-c", script]}
    core.create_namespaced_pod(NAMESPACE, {"metadata": {"name": "p"}, "spec": {"containers": [container]}})
    for event in watch.Watch().stream(core.list_namespaced_pod, NAMESPACE, timeout_seconds=60):
        if event["object"].status.phase == "Running":
            break
    until(lambda: core.read_namespaced_pod_log("p", NAMESPACE) == "started\n")
    said = stream(core.connect_get_namespaced_pod_exec, "p", NAMESPACE, command=["echo", "hello"],
                  stdout=True, stderr=True, stdin=False, tty=False)
    assert said == "hello\n", said
    core.delete_namespaced_pod("p", NAMESPACE, grace_period_seconds=0)


core.create_namespace({"metadata": {"name": NAMESPACE}})
assert "orch.dev" in [group.name for group in client.ApisApi().get_api_versions().groups]
review = {"spec": {"resourceAttributes": {"verb": "get", "resource": "pods"}}}
assert client.AuthorizationV1Api().create_self_subject_access_review(review).status.allowed
config_maps()
watches()
dynamic_client()
custom_objects()
pods()
core.delete_namespace(NAMESPACE)
until(lambda: NAMESPACE not in [item.metadata.name for item in core.list_namespace().items])
