//! From requests and limits to cgroups and quality of service, with kubelet's arithmetic.

use orch_ontology::{Container, Pod, QosClass, ResourceList};
use orch_runtime::Resources;

use super::references::all_containers;

const SHARES_A_CPU: i64 = 1024;
const SHARES: std::ops::RangeInclusive<i64> = 2..=262_144;
const PERIOD_MICROS: i64 = 100_000;
const LEAST_QUOTA_MICROS: i64 = 1000;

/// The cgroup limits of a container.
pub(crate) fn resources(pod: &Pod, container: &Container, node_memory_bytes: i64) -> Resources {
    let limit = milli_cpu(&container.resources.limits);
    // What is not requested is taken from the limit.
    let request = milli_cpu(&container.resources.requests).or(limit).unwrap_or(0);
    let shares = (request.saturating_mul(SHARES_A_CPU) / 1000).clamp(*SHARES.start(), *SHARES.end());
    let quota = limit
        .filter(|milli| *milli > 0)
        .map(|milli| (milli.saturating_mul(PERIOD_MICROS) / 1000).max(LEAST_QUOTA_MICROS));
    Resources {
        cpu_shares: Some(shares.unsigned_abs()),
        cpu_quota_micros: quota,
        cpu_period_micros: quota.map(|_| PERIOD_MICROS.unsigned_abs()),
        memory_limit_bytes: memory(&container.resources.limits).filter(|bytes| *bytes > 0),
        pids_limit: None,
        oom_score_adj: Some(oom_score_adj(qos_class(pod), container, node_memory_bytes)),
    }
}

/// How a pod fares when the node runs out of memory: as the server said, or as it would say.
pub(crate) fn qos_class(pod: &Pod) -> QosClass {
    if let Some(class) = pod.status.qos_class {
        return class;
    }
    let asks = |container: &Container| {
        let lists = [&container.resources.requests, &container.resources.limits];
        lists.iter().any(|list| milli_cpu(list).unwrap_or(0) > 0 || memory(list).unwrap_or(0) > 0)
    };
    let is_guaranteed = |container: &Container| {
        let (requests, limits) = (&container.resources.requests, &container.resources.limits);
        ["cpu", "memory"].iter().all(|resource| match (requests.get(*resource), limits.get(*resource)) {
            (request, Some(limit)) => !limit.is_zero() && request.is_none_or(|request| request == limit),
            _ => false,
        })
    };
    if !all_containers(&pod.spec).any(asks) {
        QosClass::BestEffort
    } else if all_containers(&pod.spec).all(is_guaranteed) {
        QosClass::Guaranteed
    } else {
        QosClass::Burstable
    }
}

fn oom_score_adj(class: QosClass, container: &Container, node_memory_bytes: i64) -> i32 {
    match class {
        QosClass::Guaranteed => -997,
        QosClass::BestEffort => 1000,
        QosClass::Burstable => {
            let request =
                memory(&container.resources.requests).or(memory(&container.resources.limits)).unwrap_or(0);
            let share = i128::from(request) * 1000 / i128::from(node_memory_bytes.max(1));
            i32::try_from((1000 - share).clamp(2, 999)).unwrap_or(999)
        }
    }
}

fn milli_cpu(list: &ResourceList) -> Option<i64> {
    list.get("cpu").map(|quantity| quantity.milli())
}

fn memory(list: &ResourceList) -> Option<i64> {
    list.get("memory").map(|quantity| quantity.value())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod_of(resources: serde_json::Value) -> Pod {
        serde_json::from_value(json!({"spec": {"containers": [{"name": "main", "resources": resources}]}}))
            .unwrap()
    }

    #[test]
    fn requests_and_limits_become_cgroup_values() {
        for (asked, shares, quota, memory) in [
            (json!({}), 2, None, None),
            (json!({"requests": {"cpu": "250m"}}), 256, None, None),
            (json!({"limits": {"cpu": "1500m", "memory": "64Mi"}}), 1536, Some(150_000), Some(64 << 20)),
            (json!({"requests": {"cpu": "1m"}, "limits": {"cpu": "5m"}}), 2, Some(1000), None),
            (json!({"requests": {"cpu": "1000"}}), 262_144, None, None),
        ] {
            let pod = pod_of(asked.clone());
            let given = resources(&pod, &pod.spec.containers[0], 1 << 30);
            let expected = (Some(shares), quota, memory);
            assert_eq!(
                (given.cpu_shares, given.cpu_quota_micros, given.memory_limit_bytes),
                expected,
                "{asked}"
            );
            assert_eq!(given.cpu_period_micros, quota.map(|_| 100_000), "{asked}");
        }
    }

    #[test]
    fn quality_of_service_decides_who_is_killed_first() {
        for (asked, class, score) in [
            (json!({}), QosClass::BestEffort, 1000),
            (json!({"limits": {"cpu": "1", "memory": "1Gi"}}), QosClass::Guaranteed, -997),
            (json!({"requests": {"memory": "256Mi"}}), QosClass::Burstable, 750),
            (json!({"requests": {"memory": "2Gi"}}), QosClass::Burstable, 2),
            (
                json!({"requests": {"cpu": "1"}, "limits": {"cpu": "1", "memory": "1"}}),
                QosClass::Guaranteed,
                -997,
            ),
        ] {
            let pod = pod_of(asked.clone());
            assert_eq!(qos_class(&pod), class, "{asked}");
            let given = resources(&pod, &pod.spec.containers[0], 1 << 30);
            assert_eq!(given.oom_score_adj, Some(score), "{asked}");
        }
    }
}
