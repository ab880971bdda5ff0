//! The grammar of the API: what every kind of object shares, whatever it is about.
//!
//! Here are metadata, [`Resource`] and [`KindEntry`], relations ([`Ref`], [`Selector`], [`Owns`]), schemas, server-side
//! apply, patches, selectors, quantities, [`Status`] errors, watch events, and the two seams that need no more than
//! these: [`Client`] and [`Clock`].
//!
//! It names no kind, does no I/O and knows no async runtime. Everything in it is a pure function of its arguments.
//!
//! Start reading at [`Resource`] (a kind as a type), then [`KindEntry`] (a kind with its type erased), [`Request`] (one
//! call) and [`Client`] (a way to send it).
#![deny(missing_docs)]

mod admission;
mod age;
mod authorization;
mod client;
mod condition;
mod depth;
mod entry;
mod field_change;
mod field_error;
mod foresight;
mod form;
mod graph;
mod intern;
mod json_path;
mod kind;
mod metadata;
mod object;
mod relation;
mod request;
mod resource;
mod scale;
mod status;
mod target;
mod time;
mod watch;
mod words;

pub mod apply;
pub mod fields;
pub mod labels;
pub mod names;
pub mod patch;
pub mod plan;
pub mod quantity;
pub mod schema;

pub use admission::{Admission, AdmissionRequest, AdmitAll, Admitted, Concern, Operation, World};
pub use age::{age, human_duration};
pub use authorization::{
    Acknowledge, AllowAll, Asked, Attributes, Authorizer, Change, Decision, Followed, MASTERS,
    ResourceAttributes, Rights, Subject,
};
pub use client::{Api, Client, List, WatchStream, watch_states};
pub use condition::{Condition, ConditionStatus, Conditions, TypedCondition};
pub use depth::{MAX_DEPTH, is_deeper};
pub use entry::{
    Action, Admit, Backend, Cell, Column, Custom, Defines, Definition, KindEntry, Subresource, TokenBinding,
};
pub use field_change::{FieldChange, field_changes};
pub use field_error::{FieldError, FieldErrorKind, FieldPath};
pub use fields::FieldQuery;
pub use foresight::{Drain, Foreseen, Foresight, NoForesight, Scene, TouchedObject, View};
pub use form::Form;
pub use graph::{Found, KindNode, RelationEdge, RelationGraph};
pub use intern::{intern, intern_all};
pub use json_path::JsonPath;
pub use kind::{Kind, NameSyntax, Scope, api_version, split_api_version};
pub use labels::{LabelQuery, LabelSelector};
pub use metadata::{ListMeta, ManagedFieldsEntry, Metadata, OwnerReference};
pub use object::Object;
pub use quantity::Quantity;
pub use relation::{MatchLabels, OneOf, Owns, Ref, References, Referent, RelationVerb, RunsOn, Selector};
pub use request::{
    Body, FieldValidation, MediaType, Params, Patch, Propagation, Request, Verb, VersionMatch, parse_dry_run,
};
pub use resource::{ApiVersion, Deletion, KindName, Prerequisite, Resource};
pub use scale::{Scale, SelectorOf};
pub use schema::{Schema, SchemaError};
pub use status::{Reason, Status, StatusCause, StatusDetails, StatusMetadata};
pub use target::Target;
pub use time::{Clock, MicroTime, Time};
pub use watch::{Event, EventType, INITIAL_EVENTS_END, WatchEvent};
pub use words::{MAX_MANAGER_BYTES, MAX_REASON_BYTES, as_words, check_words};
