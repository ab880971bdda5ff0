//! What rules that are objects say of a request: [`Policies`] asks an [`Admission`], and shows it what else there is.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::{HeaderMap, header};
use orch_api::{
    Action, Admission, AdmissionRequest, Admitted, Authorizer, Concern, Kind, Object as _, Operation, Status,
    World,
};
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::audit::{self, WITHHELD};
use crate::kinds::{KindTable, Kinds};
use crate::registry::Call;

/// Asks for what rules say of changes.
#[derive(Clone)]
pub(crate) struct Policies {
    admission: Arc<dyn Admission>,
    kinds: KindTable,
}

impl Policies {
    pub(crate) fn new(admission: Arc<dyn Admission>, kinds: KindTable) -> Self {
        Self { admission, kinds }
    }

    /// The same rules, to be changed apart from these, over another table of kinds.
    pub(crate) fn fork(&self, kinds: KindTable) -> Self {
        Self { admission: self.admission.fork(), kinds }
    }

    /// Whoever is told of the rules, and asked.
    pub(crate) fn admission(&self) -> &Arc<dyn Admission> {
        &self.admission
    }

    /// How much the requests of a kind concern any rule.
    pub(crate) fn concern(&self, kind: &Kind) -> Concern {
        self.admission.concern(kind)
    }

    /// Refuses a change that a rule forbids. `new` is none for a deletion, `old` for a creation. Costs a look at an index if
    /// no rule is about the kind.
    ///
    /// # Errors
    /// What the rule says.
    pub(crate) fn change(&self, call: &Call, new: Option<&Value>, old: Option<&Value>) -> Result<(), Status> {
        let operation = match (new, old) {
            (None, _) => Operation::Delete,
            (_, None) => Operation::Create,
            _ => Operation::Update,
        };
        if !self.concerns(call) {
            return Ok(());
        }
        match call.action().map(|subresource| (&subresource.action, &subresource.kind)) {
            // Rules see what the caller sees.
            Some((Action::Scale(scale), kind)) => {
                let (new, old) = (new.map(|new| scale.read(new)), old.map(|old| scale.read(old)));
                self.review(call, operation, kind, new.as_ref(), old.as_ref())
            }
            _ => self.review(call, operation, call.kind.kind(), new, old),
        }
    }

    /// Refuses a command that a rule forbids: what is posted to a subresource that has a kind of its own.
    ///
    /// # Errors
    /// As [`change`](Self::change).
    pub(crate) fn command(&self, call: &Call, kind: &Kind, body: &Value) -> Result<(), Status> {
        match self.concerns(call) {
            true => self.review(call, Operation::Create, kind, Some(body), None),
            false => Ok(()),
        }
    }

    /// Refuses a stream that a rule forbids. Rules see the parameters of the request as an object.
    ///
    /// # Errors
    /// As [`change`](Self::change).
    pub(crate) fn connect(&self, call: &Call) -> Result<(), Status> {
        // What is merely read, like logs, has no kind of its own.
        let Some(subresource) = call.action().filter(|known| known.kind != *call.kind.kind()) else {
            return Ok(());
        };
        if !self.concerns(call) {
            return Ok(());
        }
        let mut object = json!({"apiVersion": subresource.kind.api_version(), "kind": subresource.kind.name});
        for (name, value) in &call.params().other {
            let value: Value = match value.as_str() {
                "true" | "1" => true.into(),
                "false" | "0" => false.into(),
                text => text.into(),
            };
            match (&mut object[name], LISTS.contains(&name.as_str())) {
                (Value::Array(list), true) => list.push(value),
                (place, true) => *place = vec![value].into(),
                (place, false) => *place = value,
            }
        }
        self.review(call, Operation::Connect, &subresource.kind, Some(&object), None)
    }

    fn concerns(&self, call: &Call) -> bool {
        self.concern(call.kind.kind()) != Concern::Nothing
    }

    fn review(
        &self,
        call: &Call,
        operation: Operation,
        object_kind: &Kind,
        object: Option<&Value>,
        old: Option<&Value>,
    ) -> Result<(), Status> {
        let kind = call.kind.kind();
        let name = match call.name() {
            "" => object.map(|object| object.name()).unwrap_or_default(),
            name => name,
        };
        let request = AdmissionRequest {
            operation,
            kind,
            subresource: call.subresource().unwrap_or_default(),
            object_kind,
            namespace: call.namespace().unwrap_or_default(),
            name,
            object,
            old,
            user: call.identity.user_info().into(),
            dry_run: call.params().dry_run,
        };
        let world = Surroundings { kinds: self.kinds.now(), authorizer: call.authorizer.clone() };
        let mut said = Admitted::default();
        let outcome = self.admission.review(&request, &world, &mut said);
        if audit::is_sensitive(&world.kinds, &call.request) {
            // It may quote the object.
            said.annotations.values_mut().for_each(|text| WITHHELD.clone_into(text));
        }
        call.notices.add(said);
        outcome
    }
}

/// Parameters of streams that are lists, however many there are.
const LISTS: [&str; 1] = ["command"];

/// What else there is at the moment of a request.
struct Surroundings {
    kinds: Arc<Kinds>,
    authorizer: Arc<dyn Authorizer>,
}

impl World for Surroundings {
    fn object(&self, kind: &Kind, namespace: &str, name: &str) -> Option<Value> {
        let served = self.kinds.of(kind)?;
        let namespace = Some(namespace).filter(|_| kind.is_namespaced());
        let object = served.window.get(&served.key(namespace, name).ok()?)?;
        object.value().ok()
    }

    fn objects(&self, kind: &Kind, namespace: &str) -> Vec<Value> {
        let namespace = Some(namespace).filter(|_| kind.is_namespaced());
        let Some(served) = self.kinds.of(kind) else { return Vec::new() };
        let Ok(prefix) = served.prefix(namespace) else { return Vec::new() };
        let inside = served.window.below(&prefix).into_iter();
        inside.filter_map(|object| object.value().ok()).collect()
    }

    fn kind(&self, api_version: &str, name: &str) -> Option<Kind> {
        self.kinds.named(api_version, name).map(|served| *served.kind())
    }

    fn other_versions(&self, kind: &Kind) -> Vec<Kind> {
        let versions = self.kinds.versions(kind).iter().map(|served| *served.kind());
        versions.filter(|other| other.version != kind.version).collect()
    }

    fn authorizer(&self) -> Arc<dyn Authorizer> {
        self.authorizer.clone()
    }
}

/// What has been said about a request on its way: warnings for the caller, annotations for the audit record.
#[derive(Default)]
pub(crate) struct Notices(Mutex<Admitted>);

impl Notices {
    /// Adds what is new.
    fn add(&self, admitted: Admitted) {
        self.warn(admitted.warnings);
        self.annotate(admitted.annotations);
    }

    /// Adds to the audit record.
    pub(crate) fn annotate(&self, annotations: BTreeMap<String, String>) {
        self.0.lock().annotations.extend(annotations);
    }

    /// Warns the caller.
    pub(crate) fn warn(&self, warnings: impl IntoIterator<Item = String>) {
        let mut all = self.0.lock();
        for warning in warnings {
            if !all.warnings.contains(&warning) {
                all.warnings.push(warning);
            }
        }
    }

    /// The warnings for the caller.
    pub(crate) fn warnings(&self) -> Vec<String> {
        self.0.lock().warnings.clone()
    }

    /// The annotations for the audit record.
    pub(crate) fn annotations(&self) -> BTreeMap<String, String> {
        self.0.lock().annotations.clone()
    }

    /// Writes the warnings as headers.
    pub(crate) fn write(&self, headers: &mut HeaderMap) {
        for warning in crate::respond::warnings(&self.0.lock().warnings) {
            headers.append(header::WARNING, warning);
        }
    }
}
