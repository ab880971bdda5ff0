//! What is filled in.

use super::{
    IpFamily, IpFamilyPolicy, Service, ServicePort, ServiceSpec, ServiceStatus, ServiceType, SessionAffinity,
    TrafficPolicy,
};
use crate::IntOrString;

impl Service {
    pub(super) fn set_defaults(&mut self, old: Option<&Self>) {
        if old.is_none() {
            self.status = ServiceStatus::default();
        }
        self.spec.set_defaults(old.map(|old| &old.spec));
    }
}

impl ServiceSpec {
    fn set_defaults(&mut self, old: Option<&Self>) {
        let service_type = *self.service_type.get_or_insert_default();
        self.session_affinity.get_or_insert(SessionAffinity::None);
        self.ports.iter_mut().for_each(ServicePort::set_defaults);
        if service_type == ServiceType::ExternalName {
            self.leave_cluster(old);
            return;
        }
        self.keep_address(old);
        self.internal_traffic_policy.get_or_insert(TrafficPolicy::Cluster);
        if !self.cluster_ip.is_empty() {
            if self.ip_families.is_empty() {
                self.ip_families.push(IpFamily::IPv4);
            }
            self.ip_family_policy.get_or_insert(IpFamilyPolicy::SingleStack);
        }
    }

    /// An address is kept by updates that don't mention it, and the two ways to say it agree.
    fn keep_address(&mut self, old: Option<&Self>) {
        if let Some(old) = old.filter(|old| old.service_type() == self.service_type())
            && self.cluster_ip.is_empty()
            && self.cluster_ips.is_empty()
        {
            (self.cluster_ip, self.cluster_ips) = (old.cluster_ip.clone(), old.cluster_ips.clone());
        }
        match (self.cluster_ip.is_empty(), self.cluster_ips.first()) {
            (false, None) => self.cluster_ips = vec![self.cluster_ip.clone()],
            (true, Some(first)) => self.cluster_ip = first.clone(),
            _ => {}
        }
    }

    /// A service that becomes a name for something elsewhere loses what the server had filled in for the cluster.
    fn leave_cluster(&mut self, old: Option<&Self>) {
        let Some(old) = old.filter(|old| old.service_type() != ServiceType::ExternalName) else { return };
        if (&self.cluster_ip, &self.cluster_ips) == (&old.cluster_ip, &old.cluster_ips) {
            (self.cluster_ip, self.cluster_ips) = Default::default();
        }
        if self.ip_families == old.ip_families && self.ip_family_policy == old.ip_family_policy {
            (self.ip_families, self.ip_family_policy) = Default::default();
        }
        if self.internal_traffic_policy == old.internal_traffic_policy {
            self.internal_traffic_policy = None;
        }
    }
}

impl ServicePort {
    fn set_defaults(&mut self) {
        let unset = match &self.target_port {
            None | Some(IntOrString::Int(0)) => true,
            Some(IntOrString::String(name)) => name.is_empty(),
            Some(IntOrString::Int(_)) => false,
        };
        if unset {
            self.target_port = Some(IntOrString::Int(self.port));
        }
    }
}
