// The official JavaScript client, @kubernetes/client-node: typed, generic and custom objects, an informer, logs and exec.

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { Writable } from 'node:stream';
import { pathToFileURL } from 'node:url';

const require = createRequire(`${process.env.ORCH_CLIENTS}/`);
const k8s = await import(pathToFileURL(require.resolve('@kubernetes/client-node')));

const namespace = 'javascript';
const group = 'js.example.dev';
const kc = new k8s.KubeConfig();
kc.loadFromDefault();
const core = kc.makeApiClient(k8s.CoreV1Api);
const typed = (type) => k8s.setHeaderOptions('Content-Type', type);

async function until(condition) {
  const deadline = Date.now() + 30_000;
  while (!(await condition())) assert(Date.now() < deadline, 'waited too long');
}

async function configMaps() {
  const made = await core.createNamespacedConfigMap({ namespace, body: { metadata: { name: 'a', labels: { x: 'y' } }, data: { k: '1' } } });
  assert(made.metadata.creationTimestamp instanceof Date);
  const replaced = await core.replaceNamespacedConfigMap({ name: 'a', namespace, body: { ...made, data: { k: '2' } } });
  assert.deepEqual(replaced.data, { k: '2' });
  await assert.rejects(core.replaceNamespacedConfigMap({ name: 'a', namespace, body: made }), { code: 409 });
  const change = [{ op: 'add', path: '/data/j', value: '1' }];
  const patched = await core.patchNamespacedConfigMap({ name: 'a', namespace, body: change }, typed(k8s.PatchStrategy.JsonPatch));
  assert.deepEqual(patched.data, { j: '1', k: '2' });
  const list = await core.listNamespacedConfigMap({ namespace, labelSelector: 'x=y', limit: 1 });
  assert.deepEqual(list.items.map((item) => item.metadata.name), ['a']);
}

async function genericObjects() {
  const objects = k8s.KubernetesObjectApi.makeApiClient(kc);
  const about = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a', namespace } };
  assert.deepEqual((await objects.read(about)).data, { j: '1', k: '2' });
  const patch = (data, type, force) => objects.patch({ ...about, data }, undefined, undefined, 'javascript', force, type);
  assert.deepEqual((await patch({ j: null }, k8s.PatchStrategy.MergePatch)).data, { k: '2' });
  assert.deepEqual((await patch({ s: '1' }, k8s.PatchStrategy.StrategicMergePatch)).data, { k: '2', s: '1' });
  assert.deepEqual((await patch({ k: '3' }, k8s.PatchStrategy.ServerSideApply, true)).data, { k: '3', s: '1' });
}

async function informers() {
  const informer = k8s.makeInformer(kc, `/api/v1/namespaces/${namespace}/configmaps`, () => core.listNamespacedConfigMap({ namespace }));
  const seen = [];
  const gone = new Promise((resolve) => informer.on('delete', resolve));
  for (const event of ['add', 'update', 'delete']) informer.on(event, (item) => seen.push(`${event} ${item.metadata.name}`));
  const ours = (line) => !line.endsWith(' kube-root-ca.crt');
  await informer.start();
  await core.createNamespacedConfigMap({ namespace, body: { metadata: { name: 'b' } } });
  await core.deleteNamespacedConfigMap({ name: 'b', namespace });
  await gone;
  await informer.stop();
  assert.deepEqual(seen.filter(ours), ['add a', 'add b', 'delete b']);
}

async function customObjects() {
  const definitions = kc.makeApiClient(k8s.ApiextensionsV1Api);
  const custom = kc.makeApiClient(k8s.CustomObjectsApi);
  const name = `boats.${group}`;
  const schema = { type: 'object', properties: { spec: { type: 'object', properties: { size: { type: 'integer' } } } } };
  await definitions.createCustomResourceDefinition({ body: { metadata: { name }, spec: {
    group, scope: 'Namespaced', names: { plural: 'boats', singular: 'boat', kind: 'Boat' },
    versions: [{ name: 'v1', served: true, storage: true, schema: { openAPIV3Schema: schema } }],
  } } });
  await until(async () => {
    const { status } = await definitions.readCustomResourceDefinition({ name });
    return status?.conditions?.some((condition) => condition.type === 'Established' && condition.status === 'True');
  });
  const at = { group, version: 'v1', namespace, plural: 'boats' };
  const boat = { apiVersion: `${group}/v1`, kind: 'Boat', metadata: { name: 'x' }, spec: { size: 1 } };
  assert.deepEqual((await custom.createNamespacedCustomObject({ ...at, body: boat })).spec, { size: 1 });
  const change = { ...at, name: 'x', body: { spec: { size: 2 } } };
  assert.deepEqual((await custom.patchNamespacedCustomObject(change, typed(k8s.PatchStrategy.MergePatch))).spec, { size: 2 });
  assert.equal((await custom.listNamespacedCustomObject(at)).items.length, 1);
  assert.equal((await custom.deleteNamespacedCustomObject({ ...at, name: 'x' })).status, 'Success');
  await definitions.deleteCustomResourceDefinition({ name });
}

async function exec(command) {
  let said = '';
  const out = new Writable({ write: (chunk, _, next) => { said += chunk; next(); } });
  const status = await new Promise((resolve, reject) => {
    new k8s.Exec(kc).exec(namespace, 'p', 'main', command, out, out, null, false, resolve).catch(reject);
  });
  return [said, status.status];
}

async function pods() {
  const main = { name: 'main', image: process.env.ORCH_IMAGE, command: ['sh', '-c', 'echo started; exec sleep 3600'] };
  await core.createNamespacedPod({ namespace, body: { metadata: { name: 'p' }, spec: { containers: [main] } } });
  await until(async () => (await core.readNamespacedPod({ name: 'p', namespace })).status.phase === 'Running');
  await until(async () => (await core.readNamespacedPodLog({ name: 'p', namespace })) === 'started\n');
  assert.deepEqual(await exec(['echo', 'hello']), ['hello\n', 'Success']);
  await core.deleteNamespacedPod({ name: 'p', namespace, gracePeriodSeconds: 0 });
}

await core.createNamespace({ body: { metadata: { name: namespace } } });
await configMaps();
await genericObjects();
await informers();
await customObjects();
await pods();
const gone = await core.deleteNamespace({ name: namespace });
assert.equal(gone.status.phase, 'Terminating');
