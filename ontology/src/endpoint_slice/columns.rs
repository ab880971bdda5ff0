//! What `get endpointslices` prints.

use orch_api::Column;
use serde::Deserialize as _;
use serde_json::Value;

use super::EndpointSlice;

/// How many ports and addresses are shown.
const SHOWN: usize = 3;

pub(super) fn columns() -> Vec<Column> {
    vec![
        Column::object_name(),
        Column::at("AddressType", "What sort of addresses the endpoints have.", "/addressType"),
        Column::new("Ports", "The ports of every endpoint.", cell(EndpointSlice::ports)),
        Column::new("Endpoints", "Addresses of the endpoints.", cell(EndpointSlice::addresses)),
        Column::age(),
    ]
}

fn cell(text: fn(&EndpointSlice) -> String) -> impl Fn(&Value, jiff::Timestamp) -> Value {
    move |object, _| EndpointSlice::deserialize(object).map_or(Value::Null, |slice| text(&slice).into())
}

impl EndpointSlice {
    fn ports(&self) -> String {
        let number = |port: &super::EndpointPort| match (port.port, &port.name) {
            (Some(number), _) => number.to_string(),
            (None, Some(name)) => name.clone(),
            (None, None) => "*".to_owned(),
        };
        some(self.ports.iter().map(number).collect())
    }

    fn addresses(&self) -> String {
        some(self.endpoints.iter().flat_map(|endpoint| endpoint.addresses.clone()).collect())
    }
}

/// The first few, and how many more there are.
fn some(texts: Vec<String>) -> String {
    match texts.len() {
        0 => "<unset>".to_owned(),
        1..=SHOWN => texts.join(","),
        many => format!("{} + {} more...", texts[..SHOWN].join(","), many - SHOWN),
    }
}
