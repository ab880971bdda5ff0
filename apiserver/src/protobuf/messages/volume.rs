//! Volumes.

use super::Type::{AnyText, Bool, Int, List, Message as Of, Quantity, Text, Unread};
use super::core::LOCAL_OBJECT_REFERENCE;
use super::pod::OBJECT_FIELD_SELECTOR;
use super::{Message, f, in_place};

pub(super) static VOLUME: Message = Message(&[f(1, "name", AnyText), in_place(2, &VOLUME_SOURCE)]);
static VOLUME_SOURCE: Message = Message(&[
    f(1, "hostPath", Of(&HOST_PATH_VOLUME_SOURCE)),
    f(2, "emptyDir", Of(&EMPTY_DIR_VOLUME_SOURCE)),
    f(3, "gcePersistentDisk", Unread),
    f(4, "awsElasticBlockStore", Unread),
    f(5, "gitRepo", Unread),
    f(6, "secret", Of(&SECRET_VOLUME_SOURCE)),
    f(7, "nfs", Unread),
    f(8, "iscsi", Unread),
    f(9, "glusterfs", Unread),
    f(10, "persistentVolumeClaim", Unread),
    f(11, "rbd", Unread),
    f(12, "flexVolume", Unread),
    f(13, "cinder", Unread),
    f(14, "cephfs", Unread),
    f(15, "flocker", Unread),
    f(16, "downwardAPI", Unread),
    f(17, "fc", Unread),
    f(18, "azureFile", Unread),
    f(19, "configMap", Of(&CONFIG_MAP_VOLUME_SOURCE)),
    f(20, "vsphereVolume", Unread),
    f(21, "quobyte", Unread),
    f(22, "azureDisk", Unread),
    f(23, "photonPersistentDisk", Unread),
    f(24, "portworxVolume", Unread),
    f(25, "scaleIO", Unread),
    f(26, "projected", Of(&PROJECTED_VOLUME_SOURCE)),
    f(27, "storageos", Unread),
    f(28, "csi", Unread),
    f(29, "ephemeral", Unread),
    f(30, "image", Unread),
]);
static HOST_PATH_VOLUME_SOURCE: Message = Message(&[f(1, "path", AnyText), f(2, "type", AnyText)]);
static EMPTY_DIR_VOLUME_SOURCE: Message =
    Message(&[f(1, "medium", Text), f(2, "sizeLimit", Quantity), f(3, "mode", Unread)]);
static SECRET_VOLUME_SOURCE: Message = Message(&[
    f(1, "secretName", Text),
    f(2, "items", List(&Of(&KEY_TO_PATH))),
    f(3, "defaultMode", Int),
    f(4, "optional", Bool),
    f(5, "defaultUser", Unread),
]);
static KEY_TO_PATH: Message =
    Message(&[f(1, "key", AnyText), f(2, "path", AnyText), f(3, "mode", Int), f(4, "user", Unread)]);
static CONFIG_MAP_VOLUME_SOURCE: Message = Message(&[
    in_place(1, &LOCAL_OBJECT_REFERENCE),
    f(2, "items", List(&Of(&KEY_TO_PATH))),
    f(3, "defaultMode", Int),
    f(4, "optional", Bool),
    f(5, "defaultUser", Unread),
]);
static PROJECTED_VOLUME_SOURCE: Message = Message(&[
    f(1, "sources", List(&Of(&VOLUME_PROJECTION))),
    f(2, "defaultMode", Int),
    f(3, "defaultUser", Unread),
]);
static VOLUME_PROJECTION: Message = Message(&[
    f(1, "secret", Of(&SECRET_PROJECTION)),
    f(2, "downwardAPI", Of(&DOWNWARD_API_PROJECTION)),
    f(3, "configMap", Of(&CONFIG_MAP_PROJECTION)),
    f(4, "serviceAccountToken", Of(&SERVICE_ACCOUNT_TOKEN_PROJECTION)),
    f(5, "clusterTrustBundle", Unread),
    f(6, "podCertificate", Unread),
]);
static SECRET_PROJECTION: Message = Message(&[
    in_place(1, &LOCAL_OBJECT_REFERENCE),
    f(2, "items", List(&Of(&KEY_TO_PATH))),
    f(4, "optional", Bool),
]);
static DOWNWARD_API_PROJECTION: Message = Message(&[f(1, "items", List(&Of(&DOWNWARD_API_VOLUME_FILE)))]);
static DOWNWARD_API_VOLUME_FILE: Message = Message(&[
    f(1, "path", AnyText),
    f(2, "fieldRef", Of(&OBJECT_FIELD_SELECTOR)),
    f(3, "resourceFieldRef", Unread),
    f(4, "mode", Int),
    f(5, "user", Unread),
]);
static CONFIG_MAP_PROJECTION: Message = Message(&[
    in_place(1, &LOCAL_OBJECT_REFERENCE),
    f(2, "items", List(&Of(&KEY_TO_PATH))),
    f(4, "optional", Bool),
]);
static SERVICE_ACCOUNT_TOKEN_PROJECTION: Message = Message(&[
    f(1, "audience", Text),
    f(2, "expirationSeconds", Int),
    f(3, "path", AnyText),
    f(4, "user", Unread),
]);
