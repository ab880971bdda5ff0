//! Kinds and rules that users bring, through kubectl: rows for the table of `kubectl_table.rs`.

use crate::kubectl_table::{Case, case};

const LANTERNS: &str = "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: lanterns.lights.example.com}
spec:
  group: lights.example.com
  scope: Namespaced
  names: {plural: lanterns, singular: lantern, kind: Lantern, shortNames: [lan], categories: [lights]}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        required: [spec]
        properties:
          spec:
            type: object
            required: [lumens]
            x-kubernetes-validations:
            - {rule: 'self.lumens <= self.limit', messageExpression: '''at most '' + string(self.limit)', fieldPath: .lumens}
            properties:
              lumens: {type: integer, minimum: 1, description: How bright it is.}
              limit: {type: integer, default: 100}
              colour: {type: string, enum: [white, amber]}
              replicas: {type: integer, default: 1}
          status:
            type: object
            properties:
              replicas: {type: integer}
              selector: {type: string}
    selectableFields: [{jsonPath: .spec.colour}]
    subresources:
      status: {}
      scale: {specReplicasPath: .spec.replicas, statusReplicasPath: .status.replicas, labelSelectorPath: .status.selector}
    additionalPrinterColumns:
    - {name: Lumens, type: integer, jsonPath: .spec.lumens}
    - {name: Colour, type: string, jsonPath: .spec.colour, priority: 1}
    - {name: Made, type: date, jsonPath: .metadata.creationTimestamp}
  - name: v1beta1
    served: true
    storage: false
    deprecated: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
";
const PORCH: &str = "{apiVersion: lights.example.com/v1, kind: Lantern, metadata: {name: porch}, spec: {lumens: 40, colour: amber}}";
const BRIGHT: &str =
    "{apiVersion: lights.example.com/v1, kind: Lantern, metadata: {name: bright}, spec: {lumens: 400}}";
const GREEN: &str = "{apiVersion: lights.example.com/v1, kind: Lantern, metadata: {name: green}, spec: {lumens: 1, colour: green}}";
const TORN: &str = "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: torn.lights.example.com}
spec:
  group: lights.example.com
  scope: Namespaced
  names: {plural: torn, kind: Torn}
  versions:
  - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, properties: {spec: {properties: {}}}}}}
";
const POLICY: &str = "
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: no-amber}
spec:
  matchConstraints:
    resourceRules:
    - {apiGroups: [lights.example.com], apiVersions: ['*'], operations: [CREATE, UPDATE], resources: [lanterns]}
  validations:
  - {expression: 'object.spec.?colour.orValue(\"white\") != \"amber\"', message: no amber here}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: no-amber}
spec: {policyName: no-amber, validationActions: [Deny]}
";

/// A kind that users define, and a rule for its objects.
pub(crate) const DEFINITIONS: &[Case] = &[
    case("a definition", "create -f -", &["customresourcedefinition.apiextensions.k8s.io/lanterns.lights.example.com created"])
        .given(LANTERNS),
    case("is established", "wait crd/lanterns.lights.example.com --for=condition=Established --timeout=60s", &["condition met"]),
    case("a schema that is not structural", "create -f -", &[])
        .given(TORN)
        .fails(&["spec.versions[0].schema.openAPIV3Schema.properties[spec].type: Required value: must not be empty for specified object fields"]),
    case("its names", "api-resources --api-group=lights.example.com", &["lanterns", "lan ", "Lantern"]),
    case("its fields, explained", "explain lantern.spec.lumens", &["FIELD: lumens <integer>", "How bright it is."]),
    case("an object", "apply -f -", &["lantern.lights.example.com/porch created"]).given(PORCH),
    case("a rule in CEL", "apply -f -", &[])
        .given(BRIGHT)
        .fails(&["spec.lumens: Invalid value", "at most 100"]),
    case("a value that is not listed", "apply -f -", &[])
        .given(GREEN)
        .fails(&["spec.colour: Unsupported value: \"green\": supported values: \"white\", \"amber\""]),
    case("its columns", "get lan", &["NAME", "LUMENS", "MADE", "porch", "40"]),
    case("all of them", "get lanterns -o wide", &["COLOUR", "amber"]),
    case("what is of its category", "get lights -o name", &["lantern.lights.example.com/porch"]),
    case("by a field", "get lan --field-selector=spec.colour=amber -o name", &["porch"]),
    case("a deprecated version", "get lanterns.v1beta1.lights.example.com -o name", &["porch"])
        .warns(&["Warning: lights.example.com/v1beta1 Lantern is deprecated"]),
    case("a default", "get lan porch -o jsonpath={.spec.limit}", &["100"]),
    case("a patch", "patch lan porch --type=merge -p {\"spec\":{\"lumens\":50}}", &["patched"]),
    case("scale", "scale lan/porch --replicas=3", &["lantern.lights.example.com/porch scaled"]),
    case("what scale says", "get lan porch -o jsonpath={.spec.replicas}", &["3"]),
    case("a rule for everybody", "apply -f -", &["validatingadmissionpolicy.admissionregistration.k8s.io/no-amber created", "validatingadmissionpolicybinding"])
        .given(POLICY),
    case("which is kept", "label lan porch a=b", &[]).fails(&[
        "The lanterns \"porch\" is invalid: : ValidatingAdmissionPolicy 'no-amber' with binding 'no-amber' denied request: no amber here",
    ]),
    case("and has been checked", "wait validatingadmissionpolicy no-amber --for=jsonpath={.status.observedGeneration}=1 --timeout=20s", &["condition met"]),
    case("policies", "get validatingadmissionpolicies", &["VALIDATIONS", "PARAMKIND", "no-amber", "<unset>"]),
    case("the definition goes, and what it defined", "delete crd lanterns.lights.example.com --timeout=60s", &["deleted"]),
    case("it is gone", "get crd lanterns.lights.example.com", &[])
        .fails(&["customresourcedefinitions.apiextensions.k8s.io \"lanterns.lights.example.com\" not found"]),
];
