//! `docs/compatibility.md`: what of Kubernetes' API is served, each with the test that shows it. Run with `BLESS=1` to write it.

use std::fmt::Write as _;
use std::path::Path;

use crate::clients::PROGRAMS;
use crate::kubectl_table::{TABLES, VERSIONS};

/// What kube-rs does, and the test in `tests/tests/kube_rs/` that shows it, as `file::test`.
const KUBE_RS: &[Row] = &[
    (
        "typed objects: every verb, every kind of patch, apply, conflicts, dry run",
        "objects::objects_are_made_changed_applied_and_deleted",
    ),
    (
        "pages, watches from a revision, `deletecollection`",
        "objects::collections_are_paged_watched_and_deleted",
    ),
    (
        "discovery, plain and aggregated; dynamic objects",
        "objects::kinds_are_discovered_and_used_without_their_types",
    ),
    (
        "`status` and `scale` of a kind that is derived from a Rust type",
        "objects::status_and_scale_are_apart_from_the_object",
    ),
    ("conditions waited for, eviction", "objects::a_pod_is_waited_for_and_evicted"),
    ("ports forwarded, containers attached to", "objects::ports_are_forwarded_and_containers_attached_to"),
    (
        "reflectors on lists and on streaming lists",
        "operator::a_reflector_s_store_follows_lists_and_streaming_lists",
    ),
    (
        "a `Recorder`, which writes `events.k8s.io/v1` with series",
        "operator::a_recorder_s_events_are_those_that_kubectl_shows",
    ),
    (
        "a `Controller` with owned objects and a finalizer",
        "operator::a_controller_reconciles_what_it_owns_and_cleans_up",
    ),
];

/// What kubectl and orchctl do with containers that really run, and the test in `streams.rs` that shows it.
const STREAMS: &[Row] = &[
    (
        "`port-forward`, inside WebSockets and over SPDY alone: to what listens on the pod's own address only, many at once, each \
         direction to its end, refusals in kubelet's words",
        "ports_of_a_pod_are_reached_from_here",
    ),
    (
        "`port-forward` to what does not run is refused; the end of the way is told",
        "a_port_forward_ends_with_its_way_and_refuses_what_does_not_run",
    ),
    (
        "`attach`: what a container writes, also after the agent was killed, and no line of its log is lost",
        "what_a_container_writes_is_seen_as_it_comes_and_no_line_is_lost",
    ),
    ("`attach -i` with `stdin` and `stdinOnce`: input to its end", "a_container_reads_what_is_said_once"),
    ("`run -it`, and a terminal that is left and joined again", "a_shell_is_run_on_this_terminal"),
];

/// A part of the wire: what is served, and the test in `apiserver/tests/it/` that shows it, as `file::test`.
type Row = (&'static str, &'static str);

const WRITES: &[Row] = &[
    (
        "`POST`: uid, creationTimestamp, generation and managedFields are the server's",
        "writes::a_new_object_gets_its_identity_from_the_server",
    ),
    ("`generateName`", "writes::generated_names_are_unique"),
    (
        "`PUT` with and without `resourceVersion`; 409 when stale",
        "writes::an_update_states_what_it_believes_or_overwrites",
    ),
    (
        "`PATCH` as JSON patch, merge patch, strategic merge patch",
        "writes::patches_of_every_kind_change_what_they_say",
    ),
    (
        "server-side apply: ownership, conflicts, `force`, removal of what is left out",
        "writes::applying_makes_merges_and_refuses_to_take_what_others_own",
    ),
    ("apply: shared ownership", "applies::what_several_own_goes_with_the_last_of_them"),
    ("apply: of a status", "applies::a_status_that_is_applied_is_its_applier_s"),
    (
        "apply: list items by key, atomic values",
        "applies::list_items_are_owned_by_key_and_atomic_values_whole",
    ),
    ("`null` in maps of strings is the empty string", "applies::null_in_a_map_is_the_empty_string"),
    (
        "apply: beside updates; `managedFields` cleared",
        "applies::updates_and_applies_of_one_manager_are_apart",
    ),
    (
        "apply: migration from client-side apply's annotation",
        "applies::what_kubectl_applied_on_the_client_moves_over_without_conflicts",
    ),
    ("apply in YAML, and by many at once", "writes::applying_yaml_and_applying_at_once_both_work"),
    (
        "a write that changes nothing has no new revision",
        "writes::a_write_that_changes_nothing_writes_nothing",
    ),
    (
        "write-only fields (`stringData`) applied again change nothing",
        "writes::applying_a_secret_s_texts_again_changes_nothing",
    ),
    ("`dryRun=All` runs the whole pipeline", "writes::a_dry_run_does_everything_but_write"),
    (
        "`fieldValidation` Strict, Warn (`Warning: 299`), Ignore: unknown fields",
        "writes::unknown_fields_are_refused_told_or_ignored_as_asked",
    ),
    (
        "the same: fields given twice, in JSON and YAML, for every kind of write",
        "writes::repeated_fields_are_refused_told_or_ignored_as_asked",
    ),
    (
        "`fieldManager`: from `User-Agent` if absent; at most 128 printable bytes",
        "writes::managers_have_names_that_can_be_printed",
    ),
    (
        "422 with every cause; 400 for values of the wrong type",
        "writes::what_is_not_valid_is_refused_with_every_cause",
    ),
    ("400 for bodies that do not fit the path", "writes::what_does_not_fit_the_path_is_a_bad_request"),
    ("concurrent patches are all kept", "writes::concurrent_patches_are_all_kept"),
];

const SUBRESOURCES: &[Row] = &[
    ("`status` apart from the object", "writes::spec_and_status_are_written_apart"),
    (
        "`scale`: get, update, patch of an `autoscaling/v1` Scale",
        "subresources::a_workload_is_scaled_by_its_scale",
    ),
    ("`scale`: apply, with ownership of the number", "subresources::applying_a_scale_takes_only_the_number"),
    (
        "`scale`: validation, unknown fields, dry run",
        "subresources::scaling_is_checked_and_a_dry_run_scales_nothing",
    ),
    ("`binding`", "writes::binding_a_pod_is_a_command_on_it"),
    ("405 for verbs that a subresource does not know", "subresources::subresources_know_only_their_verbs"),
    (
        "`log`, `exec`, `attach`, `portforward`: streams to the node",
        "streams::an_upgraded_connection_carries_bytes_both_ways",
    ),
];

const DELETES: &[Row] = &[
    (
        "`gracePeriodSeconds`, which only becomes shorter",
        "deletes::what_runs_gets_its_grace_which_can_only_become_shorter",
    ),
    (
        "`propagationPolicy` Orphan, Foreground, Background",
        "deletes::propagation_is_a_finalizer_for_the_garbage_collector",
    ),
    ("`preconditions`", "deletes::preconditions_must_hold"),
    (
        "`DeleteOptions` in body or query; 422 for what contradicts itself",
        "deletes::delete_options_that_make_no_sense_are_refused",
    ),
    (
        "`eviction` of pods; there are no disruption budgets",
        "deletes::an_eviction_deletes_as_its_options_say",
    ),
    ("finalizers", "deletes::finalizers_hold_an_object_until_the_last_is_gone"),
    ("`deletecollection` with selectors", "deletes::a_collection_is_deleted_by_selector"),
    (
        "namespaces end when their content is gone; 403 for new content",
        "deletes::a_dying_namespace_stays_until_its_content_is_gone_and_takes_nothing_new",
    ),
    (
        "403 for `default`, `kube-system`, `kube-public`",
        "deletes::namespaces_that_the_system_needs_are_not_deleted",
    ),
];

const READS: &[Row] = &[
    (
        "`events.k8s.io/v1` and `v1`: the same Events in either form",
        "forms::events_are_the_same_objects_in_either_form",
    ),
    (
        "`limit` and `continue`: pages of one revision, `remainingItemCount`",
        "lists::pages_show_one_revision_whatever_happens_meanwhile",
    ),
    ("410 with a token that goes on as of now", "lists::a_page_whose_revision_is_compacted_has_expired"),
    ("`resourceVersion`, `resourceVersionMatch` Exact and NotOlderThan", "lists::a_list_is_as_old_as_asked"),
    (
        "422 for parameters that contradict each other; what a verb does not read is ignored",
        "lists::parameters_that_contradict_each_other_are_refused",
    ),
    ("`fieldSelector` on flags that are left out", "lists::a_flag_that_is_left_out_is_false_to_selectors"),
    ("gzip above 128 KiB", "lists::a_large_list_is_whole_plain_and_compressed"),
];

const WATCHES: &[Row] = &[
    (
        "from the present, or from nothing",
        "watches::a_watch_begins_with_what_is_there_and_goes_on_with_what_happens",
    ),
    ("from a revision, without a gap", "watches::a_watch_resumes_after_a_revision_without_a_gap"),
    (
        "selectors: objects enter as ADDED and leave as DELETED",
        "watches::an_object_that_enters_or_leaves_the_selection_is_added_or_deleted",
    ),
    ("`/api/v1/watch/…`, in place of the parameter", "watches::the_old_paths_of_watches_are_served"),
    (
        "`sendInitialEvents`, ended by the `k8s.io/initial-events-end` bookmark; booleans as Kubernetes reads them",
        "watches::initial_events_end_with_a_marked_bookmark",
    ),
    (
        "`allowWatchBookmarks`, `timeoutSeconds`",
        "watches::a_quiet_watch_gets_bookmarks_and_ends_when_its_time_is_up",
    ),
    ("410 for forgotten revisions, as an event", "watches::a_watch_from_before_the_kept_history_is_gone"),
    ("one object, by its path", "watches::a_single_object_is_watched_by_its_path"),
    ("over a WebSocket", "watches::a_watch_travels_over_a_websocket"),
];

const CONTENT: &[Row] = &[
    ("bodies in JSON, YAML, protobuf; none is JSON", "bodies::bodies_are_read_by_their_media_type"),
    (
        "protobuf of every kind that Kubernetes' clients can send so",
        "bodies::kubectl_s_protobuf_is_understood",
    ),
    (
        "`Accept: application/yaml` for objects, lists and errors; 406 for watches",
        "views::yaml_is_answered_to_those_that_accept_it",
    ),
    ("`pretty`, and indented JSON for curl and browsers", "views::people_see_indented_json"),
    (
        "`as=Table` with the kind's columns, `includeObject`",
        "views::a_table_has_the_kind_s_columns_and_a_row_for_each_object",
    ),
    ("`as=Table` of watches", "views::a_watch_can_be_a_table_whose_columns_come_once"),
    ("`as=PartialObjectMetadata(List)`", "views::metadata_can_be_had_alone"),
    ("413 and 431, over HTTP/1.1 and HTTP/2", "bodies::what_is_too_large_is_refused_and_the_server_lives_on"),
    (
        "429 with `Retry-After` to who asks too much, and to nobody else",
        "fairness::a_caller_with_500_requests_keeps_no_other_waiting",
    ),
    ("429 for too many watches of one caller", "fairness::a_caller_may_have_so_many_watches"),
    ("`/openapi/v2` in JSON", "discovery::openapi_v2_says_the_same_in_older_words"),
    ("`/openapi/v2` in protobuf, with `ETag`", "discovery::openapi_v2_is_had_in_protobuf"),
    (
        "`/openapi/v3` lists the patches that a kind takes: no strategic merge patch for custom kinds",
        "definitions::openapi_lists_no_strategic_merge_patch_for_defined_kinds",
    ),
];

const DEFINITIONS: &[Row] = &[
    (
        "`CustomResourceDefinition`: served, in discovery and OpenAPI at once",
        "definitions::a_defined_kind_is_served_and_shown_at_once",
    ),
    (
        "their objects: defaults, status, scale, selectable fields, patches",
        "definitions::objects_of_a_defined_kind_live_like_all_others",
    ),
    (
        "values that have not changed are not asked again (ratcheting)",
        "definitions::what_a_stricter_schema_refuses_may_stay_until_it_is_changed",
    ),
    ("conversion webhooks are refused", "definitions::a_conversion_webhook_is_refused_for_what_it_is"),
    ("printer columns", "definitions::tables_have_the_columns_of_the_definition"),
    (
        "`deprecated`, `deprecationWarning`: `Warning` on every answer; `names.listKind`",
        "definitions::a_deprecated_version_is_answered_with_a_warning_and_lists_have_their_own_kind",
    ),
    (
        "rules: unknown fields, results of the wrong type and estimated costs are refused with the path",
        "definitions::rules_that_name_nothing_or_cost_too_much_are_refused_with_their_path",
    ),
    (
        "`ValidatingAdmissionPolicy` and its binding: create, update, patch, apply, delete, dry run",
        "policies::a_rule_applies_to_every_way_of_changing_an_object_once_it_is_acknowledged",
    ),
    ("the same for `status`, `scale`, `binding`", "policies::rules_see_subresources_as_callers_do"),
    ("the same for `deletecollection`", "policies::deletions_are_asked_about_one_by_one"),
    ("`validationActions` Warn", "policies::warnings_are_headers_and_the_request_goes_on"),
    (
        "`paramKind`, `paramRef`, `namespaceSelector`: what is acknowledged counts",
        "policies::what_rules_depend_on_counts_from_the_moment_it_is_acknowledged",
    ),
    (
        "expressions that cannot be compiled are refused with their path",
        "policies::rules_that_cannot_be_compiled_are_refused_with_their_place",
    ),
];

const IDENTITY: &[Row] = &[
    ("`TokenRequest`: bound to a pod, node or secret; expiring", "tokens::a_token_is_its_service_account"),
    (
        "a token tells of its pod and node, and ends with them",
        "tokens::a_token_of_a_pod_tells_of_it_and_ends_with_it",
    ),
    ("JWKS and OIDC discovery", "tokens::what_was_issued_can_be_verified_with_the_published_key"),
    (
        "rotation of the signing key",
        "tokens::a_token_of_a_key_that_was_replaced_is_good_until_the_key_is_forgotten",
    ),
    (
        "reviews: SubjectAccess, LocalSubjectAccess, SelfSubjectAccess, SelfSubjectRules, SelfSubject",
        "attacks/reviews::reviews_say_what_is_decided_and_to_whom_they_may",
    ),
    ("reviews in discovery", "discovery::questions_are_listed_and_namespaces_go_one_by_one"),
    (
        "`CertificateSigningRequest`: who asks is said by the server",
        "attacks/certificates::who_asks_for_a_certificate_is_said_by_the_server",
    ),
    (
        "`approve` and `sign` on `signers`",
        "attacks/certificates::approving_and_signing_take_a_right_to_the_signer",
    ),
    ("pods get their service account, or are refused", "accounts::a_pod_gets_its_account_and_a_token_of_it"),
];

/// The attacker's checklist.
const ATTACKS: &[Row] = &[
    ("other namespaces, lists leaking", "attacks/places::a_right_in_one_namespace_is_none_in_another"),
    ("watches leaking", "attacks/places::a_watch_shows_nothing_of_another_namespace"),
    ("existence leaking", "attacks/places::what_is_not_there_is_not_told_to_who_may_not_look"),
    ("path tricks", "attacks/places::other_spellings_of_a_path_lead_nowhere"),
    ("subresources without a right", "attacks/rights::each_verb_and_subresource_needs_its_own_right"),
    ("names without a right", "attacks/rights::a_right_to_one_object_is_none_to_its_neighbours"),
    ("escalation by roles and bindings", "attacks/rights::nobody_climbs_by_writing_roles"),
    ("other nodes' secrets", "attacks/nodes::a_node_reads_only_what_its_own_pods_name"),
    ("other nodes", "attacks/nodes::a_node_makes_itself_and_no_other"),
    (
        "forged certificates",
        "attacks/certificates::a_certificate_of_another_authority_is_nobodys_whatever_it_says",
    ),
    (
        "expired certificates, and those for another use",
        "attacks/certificates::a_certificate_ends_and_is_good_for_what_it_was_made_for",
    ),
    ("certificates for masters", "attacks/certificates::nobody_is_certified_as_a_master"),
    ("certificates for other nodes", "attacks/certificates::a_node_asks_for_itself_only"),
    ("expired tokens", "tokens::an_expired_token_is_worth_nothing"),
    ("tokens for others", "tokens::a_token_for_somebody_else_is_not_for_this_server"),
    ("forged tokens", "tokens::forged_tokens_are_worth_nothing"),
];

const WIRE: [(&str, &[Row]); 9] = [
    ("Writes", WRITES),
    ("Subresources", SUBRESOURCES),
    ("Deletes", DELETES),
    ("Lists", READS),
    ("Watches", WATCHES),
    ("Content", CONTENT),
    ("Kinds and rules that users define", DEFINITIONS),
    ("Identity", IDENTITY),
    ("Attacks", ATTACKS),
];

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn page() -> String {
    let mut page = String::from(
        "# Compatibility with Kubernetes\n\n\
         What of Kubernetes' API Orch serves, each with the test that shows it. Derived from the tests' own tables by\n\
         `BLESS=1 cargo test -p orch-tests --test it compatibility`; a test keeps it so. How strict requests are that do not say: decision\n\
         [0004](decisions/0004-strict-by-default.md).\n\n\
         ## The wire\n\nThe tests are in `apiserver/tests/it/`.\n",
    );
    for (heading, rows) in WIRE {
        let _ = write!(page, "\n### {heading}\n\n| what | test |\n|---|---|\n");
        for (what, test) in rows {
            let _ = writeln!(page, "| {what} | `{test}` |");
        }
    }
    put_kubectl(&mut page);
    put_streams(&mut page);
    put_clients(&mut page);
    page
}

fn put_kubectl(page: &mut String) {
    page.push_str("\n## kubectl\n\nUnmodified kubectls do all of this in `tests/tests/it/kubectl_table.rs` and `kubectl_identity.rs`, in this order:\n");
    let versions: Vec<String> =
        VERSIONS.iter().map(|(version, test)| format!("{version} (`{test}`)")).collect();
    let _ = writeln!(page, "{}.", versions.join(", "));
    for (heading, cases) in TABLES {
        let _ = write!(page, "\n### {heading}\n\n| what | command |\n|---|---|\n");
        for case in cases {
            let line: Vec<&str> = case.line.split_whitespace().collect();
            let _ = writeln!(page, "| {} | `kubectl {}` |", case.shows, line.join(" ").replace('|', "\\|"));
        }
    }
}

fn put_streams(page: &mut String) {
    page.push_str("\n## Streams\n\nOver real containers, with kubectl and with orchctl; the tests are in `tests/tests/it/streams.rs`.\n");
    page.push_str("\n| what | test |\n|---|---|\n");
    for (what, test) in STREAMS {
        let _ = writeln!(page, "| {what} | `{test}` |");
    }
}

fn put_clients(page: &mut String) {
    page.push_str("\n## Other clients\n\nUnmodified, each driven by a program in `tests/clients/`; the tests are in `tests/tests/it/clients.rs`.\n");
    page.push_str("\n| client, and what it does | program | test |\n|---|---|---|\n");
    for (client, program, test) in PROGRAMS {
        let _ = writeln!(page, "| {client} | `{program}` | `{test}` |");
    }
    page.push_str("\nkube-rs 5, in `tests/tests/kube_rs/`:\n\n| what it does | test |\n|---|---|\n");
    for (what, test) in KUBE_RS {
        let _ = writeln!(page, "| {what} | `{test}` |");
    }
    page.push_str(
        "\nschemathesis makes up requests from `/openapi/v3` and finds no answer that is the server's failure: \
         `fuzzing::made_up_requests_are_answered`.\n",
    );
}

#[test]
fn the_compatibility_page_is_in_step() {
    let path = root().join("docs/compatibility.md");
    let page = page();
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == page,
        "docs/compatibility.md is out of date: run BLESS=1 cargo test -p orch-tests --test it compatibility"
    );
}

#[test]
fn the_compatibility_page_names_tests_that_there_are() {
    for (what, test) in KUBE_RS {
        let (file, name) = test.split_once("::").unwrap();
        let path = root().join(format!("tests/tests/kube_rs/{file}.rs"));
        let source = std::fs::read_to_string(path).unwrap();
        assert!(source.contains(&format!("async fn {name}(")), "{what}: there is no test {test}");
    }
    let streams = std::fs::read_to_string(root().join("tests/tests/it/streams.rs")).unwrap();
    for (what, test) in STREAMS {
        assert!(streams.contains(&format!("fn {test}(")), "{what}: there is no test {test}");
    }
    for (what, test) in WIRE.iter().flat_map(|(_, rows)| *rows) {
        let (file, name) = test.split_once("::").unwrap();
        let source = std::fs::read_to_string(root().join(format!("apiserver/tests/it/{file}.rs"))).unwrap();
        assert!(source.contains(&format!("async fn {name}(")), "{what}: there is no test {test}");
    }
}
