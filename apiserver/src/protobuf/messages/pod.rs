//! Pods, but for their volumes and status.

use super::Type::{AnyText, Bool, Flag, Int, List, Map, Message as Of, Positive, Quantity, Text, Unread};
use super::core::LOCAL_OBJECT_REFERENCE;
use super::meta::{LABEL_SELECTOR, OBJECT_META};
use super::pod_status::POD_STATUS;
use super::volume::VOLUME;
use super::{Message, f, in_place};

pub(super) static POD: Message = Message(&[
    f(1, "metadata", Of(&OBJECT_META)),
    f(2, "spec", Of(&POD_SPEC)),
    f(3, "status", Of(&POD_STATUS)),
]);
static POD_SPEC: Message = Message(&[
    f(1, "volumes", List(&Of(&VOLUME))),
    f(2, "containers", List(&Of(&CONTAINER))),
    f(3, "restartPolicy", Text),
    f(4, "terminationGracePeriodSeconds", Int),
    f(5, "activeDeadlineSeconds", Unread),
    f(6, "dnsPolicy", Text),
    f(7, "nodeSelector", Map(&Text)),
    f(8, "serviceAccountName", Text),
    f(9, "serviceAccount", Unread),
    f(10, "nodeName", Text),
    f(11, "hostNetwork", Flag),
    f(12, "hostPID", Unread),
    f(13, "hostIPC", Unread),
    f(14, "securityContext", Of(&POD_SECURITY_CONTEXT)),
    f(15, "imagePullSecrets", Unread),
    f(16, "hostname", Text),
    f(17, "subdomain", Unread),
    f(18, "affinity", Unread),
    f(19, "schedulerName", Text),
    f(20, "initContainers", List(&Of(&CONTAINER))),
    f(21, "automountServiceAccountToken", Bool),
    f(22, "tolerations", List(&Of(&TOLERATION))),
    f(23, "hostAliases", Unread),
    f(24, "priorityClassName", Unread),
    f(25, "priority", Unread),
    f(26, "dnsConfig", Unread),
    f(27, "shareProcessNamespace", Unread),
    f(28, "readinessGates", Unread),
    f(29, "runtimeClassName", Unread),
    f(30, "enableServiceLinks", Bool),
    f(31, "preemptionPolicy", Unread),
    f(32, "overhead", Unread),
    f(33, "topologySpreadConstraints", List(&Of(&TOPOLOGY_SPREAD_CONSTRAINT))),
    f(34, "ephemeralContainers", Unread),
    f(35, "setHostnameAsFQDN", Unread),
    f(36, "os", Unread),
    f(37, "hostUsers", Unread),
    f(38, "schedulingGates", Unread),
    f(39, "resourceClaims", Unread),
    f(40, "resources", Unread),
    f(41, "hostnameOverride", Unread),
    f(43, "schedulingGroup", Unread),
    f(44, "evictionResponders", Unread),
]);
pub(super) static OBJECT_FIELD_SELECTOR: Message =
    Message(&[f(1, "apiVersion", Text), f(2, "fieldPath", AnyText)]);
static CONTAINER: Message = Message(&[
    f(1, "name", AnyText),
    f(2, "image", Text),
    f(3, "command", List(&Text)),
    f(4, "args", List(&Text)),
    f(5, "workingDir", Text),
    f(6, "ports", List(&Of(&CONTAINER_PORT))),
    f(7, "env", List(&Of(&ENV_VAR))),
    f(8, "resources", Of(&RESOURCE_REQUIREMENTS)),
    f(9, "volumeMounts", List(&Of(&VOLUME_MOUNT))),
    f(10, "livenessProbe", Unread),
    f(11, "readinessProbe", Unread),
    f(12, "lifecycle", Unread),
    f(13, "terminationMessagePath", Text),
    f(14, "imagePullPolicy", Text),
    f(15, "securityContext", Of(&SECURITY_CONTEXT)),
    f(16, "stdin", Flag),
    f(17, "stdinOnce", Flag),
    f(18, "tty", Flag),
    f(19, "envFrom", List(&Of(&ENV_FROM_SOURCE))),
    f(20, "terminationMessagePolicy", Text),
    f(21, "volumeDevices", Unread),
    f(22, "startupProbe", Unread),
    f(23, "resizePolicy", Unread),
    f(24, "restartPolicy", Unread),
    f(25, "restartPolicyRules", Unread),
]);
static CONTAINER_PORT: Message = Message(&[
    f(1, "name", Text),
    f(2, "hostPort", Positive),
    f(3, "containerPort", Int),
    f(4, "protocol", Text),
    f(5, "hostIP", Text),
]);
static ENV_FROM_SOURCE: Message = Message(&[
    f(1, "prefix", Text),
    f(2, "configMapRef", Of(&CONFIG_MAP_ENV_SOURCE)),
    f(3, "secretRef", Of(&SECRET_ENV_SOURCE)),
]);
static CONFIG_MAP_ENV_SOURCE: Message =
    Message(&[in_place(1, &LOCAL_OBJECT_REFERENCE), f(2, "optional", Bool)]);
static SECRET_ENV_SOURCE: Message = Message(&[in_place(1, &LOCAL_OBJECT_REFERENCE), f(2, "optional", Bool)]);
static ENV_VAR: Message =
    Message(&[f(1, "name", AnyText), f(2, "value", Text), f(3, "valueFrom", Of(&ENV_VAR_SOURCE))]);
static ENV_VAR_SOURCE: Message = Message(&[
    f(1, "fieldRef", Of(&OBJECT_FIELD_SELECTOR)),
    f(2, "resourceFieldRef", Unread),
    f(3, "configMapKeyRef", Of(&CONFIG_MAP_KEY_SELECTOR)),
    f(4, "secretKeyRef", Of(&SECRET_KEY_SELECTOR)),
    f(5, "fileKeyRef", Unread),
]);
static CONFIG_MAP_KEY_SELECTOR: Message =
    Message(&[in_place(1, &LOCAL_OBJECT_REFERENCE), f(2, "key", AnyText), f(3, "optional", Bool)]);
static SECRET_KEY_SELECTOR: Message =
    Message(&[in_place(1, &LOCAL_OBJECT_REFERENCE), f(2, "key", AnyText), f(3, "optional", Bool)]);
static RESOURCE_REQUIREMENTS: Message =
    Message(&[f(1, "limits", Map(&Quantity)), f(2, "requests", Map(&Quantity)), f(3, "claims", Unread)]);
static VOLUME_MOUNT: Message = Message(&[
    f(1, "name", AnyText),
    f(2, "readOnly", Flag),
    f(3, "mountPath", AnyText),
    f(4, "subPath", Unread),
    f(5, "mountPropagation", Unread),
    f(6, "subPathExpr", Unread),
    f(7, "recursiveReadOnly", Unread),
    f(8, "bindMountOptions", Unread),
]);
static SECURITY_CONTEXT: Message = Message(&[
    f(1, "capabilities", Of(&CAPABILITIES)),
    f(2, "privileged", Bool),
    f(3, "seLinuxOptions", Unread),
    f(4, "runAsUser", Int),
    f(5, "runAsNonRoot", Unread),
    f(6, "readOnlyRootFilesystem", Bool),
    f(7, "allowPrivilegeEscalation", Bool),
    f(8, "runAsGroup", Int),
    f(9, "procMount", Unread),
    f(10, "windowsOptions", Unread),
    f(11, "seccompProfile", Unread),
    f(12, "appArmorProfile", Unread),
]);
static CAPABILITIES: Message = Message(&[f(1, "add", List(&Text)), f(2, "drop", List(&Text))]);
static POD_SECURITY_CONTEXT: Message = Message(&[
    f(1, "seLinuxOptions", Unread),
    f(2, "runAsUser", Int),
    f(3, "runAsNonRoot", Unread),
    f(4, "supplementalGroups", Unread),
    f(5, "fsGroup", Unread),
    f(6, "runAsGroup", Int),
    f(7, "sysctls", Unread),
    f(8, "windowsOptions", Unread),
    f(9, "fsGroupChangePolicy", Unread),
    f(10, "seccompProfile", Unread),
    f(11, "appArmorProfile", Unread),
    f(12, "supplementalGroupsPolicy", Unread),
    f(13, "seLinuxChangePolicy", Unread),
]);
static TOLERATION: Message = Message(&[
    f(1, "key", Text),
    f(2, "operator", Text),
    f(3, "value", Text),
    f(4, "effect", Text),
    f(5, "tolerationSeconds", Int),
]);
static TOPOLOGY_SPREAD_CONSTRAINT: Message = Message(&[
    f(1, "maxSkew", Int),
    f(2, "topologyKey", AnyText),
    f(3, "whenUnsatisfiable", AnyText),
    f(4, "labelSelector", Of(&LABEL_SELECTOR)),
    f(5, "minDomains", Unread),
    f(6, "nodeAffinityPolicy", Unread),
    f(7, "nodeTaintsPolicy", Unread),
    f(8, "matchLabelKeys", Unread),
]);
