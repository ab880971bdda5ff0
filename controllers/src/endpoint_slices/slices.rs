//! From the endpoints wanted and the slices there are to the fewest writes. Pure.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use orch_api::{Metadata, Resource as _};
use orch_controller_runtime::{Note, Write};
use orch_ontology::{AddressType, Endpoint, EndpointPort, EndpointSlice, Service, labels};

use super::endpoints::{Endpoints, wanted};
use super::{MANAGED_BY, MAX_ENDPOINTS, World};

/// A slice as it should be, and as it is unless it is new.
struct Draft<'a> {
    old: Option<&'a EndpointSlice>,
    ports: Vec<EndpointPort>,
    endpoints: Vec<Endpoint>,
}

/// The writes after which the slices say what is wanted.
pub(super) fn plan(world: &World) -> Vec<Write> {
    let mut wanted = wanted(world);
    let mut present: BTreeMap<Vec<EndpointPort>, Vec<&EndpointSlice>> = BTreeMap::new();
    for slice in &world.slices {
        let mut ports = slice.ports.clone();
        ports.sort();
        present.entry(ports.clone()).or_default().push(slice);
        wanted.entry(ports).or_default();
    }
    let mut drafts = Vec::new();
    for (ports, endpoints) in wanted {
        let slices = present.remove(&ports).unwrap_or_default();
        drafts.extend(fill(&ports, endpoints, slices));
    }
    let (mut kept, empty): (Vec<_>, Vec<_>) =
        drafts.into_iter().partition(|draft| !draft.endpoints.is_empty());
    let mut empty: Vec<_> = empty.into_iter().filter_map(|draft| draft.old).collect();
    recycle(&mut kept, &mut empty);
    let writes = kept.iter().filter_map(|draft| draft.write(&world.service));
    writes.chain(empty.into_iter().map(Write::delete)).map(|write| told(&world.service, write)).collect()
}

/// Deletes the slices that there are.
pub(super) fn delete_all(world: &World) -> Vec<Write> {
    world.slices.iter().map(Write::delete).collect()
}

/// Endpoints stay where they are. New ones go where something changes anyway, then into slices of their own, and the rest into
/// the fullest slice that has room for it.
fn fill<'a>(ports: &[EndpointPort], mut wanted: Endpoints, slices: Vec<&'a EndpointSlice>) -> Vec<Draft<'a>> {
    let mut drafts: Vec<_> = slices.into_iter().map(|slice| Draft::keep(slice, &mut wanted)).collect();
    let mut new: Vec<Endpoint> = wanted.into_values().collect();
    drafts.sort_by_key(|draft| Reverse(draft.endpoints.len()));
    for draft in drafts.iter_mut().filter(|draft| draft.is_changed()) {
        let room = MAX_ENDPOINTS.saturating_sub(draft.endpoints.len()).min(new.len());
        draft.endpoints.extend(new.drain(..room));
    }
    while !new.is_empty() {
        let rest = new.split_off(new.len().min(MAX_ENDPOINTS));
        let fits = |draft: &&mut Draft<'_>| draft.endpoints.len() + new.len() <= MAX_ENDPOINTS;
        match drafts.iter_mut().find(fits) {
            Some(draft) => draft.endpoints.append(&mut new),
            None => drafts.push(Draft { old: None, ports: ports.to_vec(), endpoints: new }),
        }
        new = rest;
    }
    drafts
}

/// Slices that would go become those that would come. One stays even if there are no endpoints: it says that this is known.
fn recycle<'a>(drafts: &mut Vec<Draft<'a>>, empty: &mut Vec<&'a EndpointSlice>) {
    if drafts.is_empty() {
        drafts.push(Draft { old: None, ports: Vec::new(), endpoints: Vec::new() });
        // The last one is taken: one that says so already, if there is any.
        empty.sort_by_key(|slice| slice.ports.is_empty() && slice.endpoints.is_empty());
    }
    for draft in drafts.iter_mut().filter(|draft| draft.old.is_none()) {
        draft.old = empty.pop();
    }
}

impl<'a> Draft<'a> {
    /// A slice with those of its endpoints that are still wanted, as they are now; these are taken from `wanted`.
    fn keep(slice: &'a EndpointSlice, wanted: &mut Endpoints) -> Self {
        let target = |endpoint: &Endpoint| endpoint.target_ref.as_ref().map(|target| target.uid.clone());
        let uids = slice.endpoints.iter().filter_map(target);
        let endpoints = uids.filter_map(|uid| wanted.remove(&uid)).collect();
        Self { old: Some(slice), ports: slice.ports.clone(), endpoints }
    }

    fn is_changed(&self) -> bool {
        self.old.is_none_or(|old| old.endpoints != self.endpoints)
    }

    fn write(&self, service: &Service) -> Option<Write> {
        let labels = labels_of(service);
        let Some(old) = self.old else { return Some(self.create(service, labels)) };
        let mut new = old.clone();
        (new.endpoints, new.ports) = (self.endpoints.clone(), self.ports.clone());
        new.metadata.labels = labels;
        (new != *old).then(|| Write::update(&new))
    }

    fn create(&self, service: &Service, labels: BTreeMap<String, String>) -> Write {
        let metadata = Metadata {
            generate_name: Some(format!("{}-", service.metadata.name)),
            namespace: service.metadata.namespace.clone(),
            labels,
            owner_references: vec![service.owner_reference()],
            ..Metadata::default()
        };
        let (endpoints, ports) = (self.endpoints.clone(), self.ports.clone());
        let address_type = AddressType::IPv4;
        Write::create(&EndpointSlice { metadata, address_type, endpoints, ports, ..Default::default() })
    }
}

/// The service's own, and those by which slices are found.
fn labels_of(service: &Service) -> BTreeMap<String, String> {
    let own = [labels::SERVICE_NAME, labels::ENDPOINT_SLICE_MANAGED_BY, labels::HEADLESS_SERVICE];
    let mut all = service.metadata.labels.clone();
    all.retain(|key, _| !own.contains(&key.as_str()));
    all.insert(labels::SERVICE_NAME.to_owned(), service.metadata.name.clone());
    all.insert(labels::ENDPOINT_SLICE_MANAGED_BY.to_owned(), MANAGED_BY.to_owned());
    if service.is_headless() {
        all.insert(labels::HEADLESS_SERVICE.to_owned(), String::new());
    }
    all
}

fn told(service: &Service, write: Write) -> Write {
    let (namespace, name) = (service.metadata.namespace(), &service.metadata.name);
    let message = format!("Error updating Endpoint Slices for Service {namespace}/{name}");
    write.on_failure(Note::warning(service, "FailedToUpdateEndpointSlices", message))
}
