"""Two other Python clients: `lightkube`, built from Kubernetes' types, and `kr8s`, which is asynchronous and finds kinds by discovery."""

import asyncio

import kr8s
from kr8s.asyncio.objects import ConfigMap as Map, Pod as AsyncPod, new_class
from lightkube import Client
from lightkube.core.exceptions import ApiError
from lightkube.generic_resource import create_namespaced_resource
from lightkube.models.core_v1 import Container, PodSpec
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.core_v1 import ConfigMap, Namespace, Pod
from lightkube.types import PatchType

NAMESPACE = "light"
IMAGE = "registry.test/web:1"
WORKLOAD = {
    "apiVersion": "orch.dev/v1",
    "kind": "Workload",
    "metadata": {"name": "w", "namespace": NAMESPACE},
    "spec": {"replicas": 1, "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": IMAGE}]}}},
}


def meta(name, **more):
    return ObjectMeta(name=name, namespace=NAMESPACE, **more)


def lightkube():
    client = Client(field_manager="light", namespace=NAMESPACE)
    client.create(Namespace(metadata=ObjectMeta(name=NAMESPACE)))
    made = client.create(ConfigMap(metadata=meta("a", labels={"x": "y"}), data={"k": "1"}))
    made.data["k"] = "2"
    assert client.replace(made).data == {"k": "2"}
    try:
        client.replace(made)
        raise AssertionError("a stale replace succeeded")
    except ApiError as error:
        assert (error.status.code, error.status.reason) == (409, "Conflict"), error.status
    assert client.patch(ConfigMap, "a", {"data": {"m": "1"}}, patch_type=PatchType.MERGE).data == {"k": "2", "m": "1"}
    assert client.patch(ConfigMap, "a", {"data": {"m": None}}, patch_type=PatchType.STRATEGIC).data == {"k": "2"}
    change = [{"op": "replace", "path": "/data/k", "value": "3"}]
    assert client.patch(ConfigMap, "a", change, patch_type=PatchType.JSON).data == {"k": "3"}
    assert client.apply(ConfigMap(metadata=meta("a"), data={"k": "4"}), force=True).data == {"k": "4"}
    assert [item.metadata.name for item in client.list(ConfigMap, labels={"x": "y"}, chunk_size=1)] == ["a"]
    revision = client.get(ConfigMap, "a").metadata.resourceVersion
    client.create(ConfigMap(metadata=meta("b")))
    client.delete(ConfigMap, "b")
    seen = []
    for event, item in client.watch(ConfigMap, resource_version=revision):
        seen.append((event, item.metadata.name))
        if event == "DELETED":
            break
    assert seen == [("ADDED", "b"), ("DELETED", "b")], seen
    client.create(Pod(metadata=meta("p"), spec=PodSpec(containers=[Container(name="c", image=IMAGE)])))
    client.wait(Pod, "p", for_conditions=["Ready"])
    workloads = create_namespaced_resource("orch.dev", "v1", "Workload", "workloads")
    assert client.create(workloads(WORKLOAD)).spec["replicas"] == 1
    client.delete(workloads, "w")
    return client


async def deleted(api, watched):
    async for event, _ in api.watch("configmaps", namespace=NAMESPACE, label_selector="q=r"):
        if event == "ADDED":
            await watched.delete()
        if event == "DELETED":
            return


async def asynchronous():
    api = await kr8s.asyncio.api()
    assert "workloads" in [resource["name"] for resource in await api.async_api_resources()]
    made = await Map({"metadata": {"name": "kr", "namespace": NAMESPACE}, "data": {"a": "1"}})
    await made.create()
    await made.patch({"data": {"a": "2"}})
    await made.label({"q": "r"})
    await made.refresh()
    assert made.data.a == "2"
    assert [item.name async for item in api.get("configmaps", namespace=NAMESPACE, label_selector={"q": "r"})] == ["kr"]
    await asyncio.wait_for(deleted(api, made), 30)
    pod = await AsyncPod.get("p", namespace=NAMESPACE)
    assert await pod.ready()
    kind = new_class("Workload", version="orch.dev/v1", namespaced=True, scalable=True)
    workload = await kind(WORKLOAD)
    await workload.create()
    await workload.scale(2)
    await workload.refresh()
    assert workload.spec.replicas == 2
    await workload.delete()


client = lightkube()
asyncio.run(asynchronous())
client.delete(Namespace, NAMESPACE)
