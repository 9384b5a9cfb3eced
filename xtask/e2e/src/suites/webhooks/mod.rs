//! Admission webhooks: the selection of requests, the changes of objects, and the reports of failures. The suite also
//! covers the conversion webhooks of CustomResourceDefinitions.

mod conversion;
mod failures;
mod matching;
mod mutation;
mod reviews;
pub(super) mod support;

use crate::case::suite;
use conversion::{
    custom_resources_are_converted, failed_conversions_are_reported,
    writes_without_changes_migrate_objects_to_the_storage_version,
};
use failures::{failed_calls_follow_the_failure_policy, invalid_patches_are_refused, webhooks_deny_requests};
use matching::{
    match_conditions_exclude_requests, requests_for_webhook_configurations_call_no_webhook,
    rules_select_requests, selectors_exclude_objects,
};
use mutation::{
    a_changed_object_is_defaulted_and_validated, a_webhook_receives_the_dry_run_flag,
    mutating_webhooks_run_in_order, webhooks_are_invoked_again_after_later_changes,
};
use reviews::{a_review_describes_its_request, a_webhook_is_called_through_a_service};

suite!("webhooks":
    mutating_webhooks_run_in_order [Loopback],
    a_changed_object_is_defaulted_and_validated [Loopback],
    webhooks_are_invoked_again_after_later_changes [Loopback],
    a_webhook_receives_the_dry_run_flag [Loopback],
    webhooks_deny_requests [Loopback],
    failed_calls_follow_the_failure_policy [Loopback],
    invalid_patches_are_refused [Loopback, Latest],
    rules_select_requests [Loopback],
    selectors_exclude_objects [Loopback],
    match_conditions_exclude_requests [Loopback],
    requests_for_webhook_configurations_call_no_webhook [Loopback],
    a_review_describes_its_request [Loopback],
    a_webhook_is_called_through_a_service [Loopback],
    custom_resources_are_converted [Loopback],
    failed_conversions_are_reported [Loopback],
    writes_without_changes_migrate_objects_to_the_storage_version [Loopback],
);
