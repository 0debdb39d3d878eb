//! The role through its services: one contract suite, on the embedded engine always and on PostgreSQL where there is a
//! server (`make test-engines`), and what only one engine can be asked.

mod agents;
mod bench;
mod isolation;
mod members;
mod numbers;
mod on_postgres;
mod on_sqlite;
mod realm;
mod repeats;
mod tenants;

use bench::Bench;

/// Each test of the suite, on both engines.
macro_rules! suite {
    ($($file:ident::$test:ident,)*) => {
        mod sqlite {
            $(
                #[tokio::test]
                async fn $test() {
                    super::$file::$test(super::Bench::sqlite().await).await;
                }
            )*
        }

        mod postgres {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    if let Some(bench) = super::Bench::postgres().await {
                        super::$file::$test(bench).await;
                    }
                }
            )*
        }
    };
}

suite! {
    agents::an_agent_is_drafted_published_and_rolled_back,
    agents::an_update_changes_what_is_masked_and_nothing_of_an_older_state,
    agents::an_agent_goes_and_its_versions_stay,
    agents::bad_requests_name_every_field,
    agents::pages_are_whole_and_bound_to_their_listing,
    agents::a_tenant_has_as_many_agents_as_it_may_have,
    numbers::a_number_has_one_owner_on_the_whole_platform,
    numbers::a_number_leads_to_the_live_version_of_its_agent,
    numbers::a_number_is_changed_and_given_up,
    numbers::both_demo_numbers_lead_to_the_front_desk,
    numbers::keys_are_for_tenants_that_are_there,
    tenants::a_tenant_is_taken_on_and_its_secret_shown_once,
    tenants::taking_a_tenant_on_goes_on_where_it_failed,
    tenants::a_suspended_tenant_is_refused_at_once,
    tenants::a_tenant_that_is_deleted_while_it_is_taken_on_stays_deleted,
    tenants::a_deleted_tenant_leaves_its_name_and_its_log,
    tenants::the_log_tells_who_did_what,
    isolation::another_tenants_token_is_refused_everywhere_and_changes_nothing,
    isolation::a_foreign_resource_is_not_there,
    members::one_attempt_at_a_time_makes_an_account,
    members::making_an_account_goes_on_where_it_failed,
    repeats::a_hundred_repeats_at_once_make_one_resource,
    repeats::a_repeat_gets_the_same_answer_and_another_request_none,
    repeats::an_attempt_that_is_at_work_holds_its_id,
    repeats::an_effect_comes_with_its_answer_or_not_at_all,
}
