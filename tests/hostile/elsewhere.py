"""Where a number of the lists of hostile partners and of peers' defects is proven, or why it is not.

`H5` is a behaviour of `reliability.md` section 3.4, `PEER-24` a defect of `peers.md` appendix A. The tests
of this folder carry most of them; `test_numbers.py` holds all three together.
"""

from __future__ import annotations

ELSEWHERE = {
    "H37": ["sync/test_two_nodes.py::test_different_terms_carry_nothing_and_say_so"],
    "PEER-1": ["conformance/test_paging.py::test_a_token_needs_no_limit"],
    "PEER-2": ["conformance/test_get_objects.py::test_without_a_limit_a_page_has_an_end"],
    "PEER-3": ["conformance/test_media_types.py::test_whoever_takes_our_type_is_served_everywhere"],
    "PEER-4": [
        "conformance/test_media_types.py::test_what_is_sent_as_our_type_is_read",
        "conformance/test_media_types.py::test_what_is_sent_as_another_type_is_not_stored",
    ],
    "PEER-5": ["conformance/test_get_objects.py::test_added_after_may_have_any_number_of_digits"],
    "PEER-6": [
        "interop/test_request_patterns.py::test_opencti_misses_nothing_and_repeats_at_most_the_last_millisecond",
        "interop/test_request_patterns.py::test_no_millisecond_has_more_than_a_hundred_objects",
    ],
    "PEER-8": ["sync/test_pull.py::test_without_dates_the_bookmark_stays_and_the_report_says_so"],
    "PEER-9": [
        "conformance/test_paging.py::test_a_token_outlives_the_process",
        "conformance/test_paging.py::test_a_token_with_a_letter_changed_is_malformed",
    ],
    "PEER-10": [
        "conformance/test_versions.py::test_versions_are_paged_by_next",
        "interop/test_taxii_client.py::test_pages_of_the_manifest_name_every_version_once",
    ],
    "PEER-11": ["conformance/test_posts.py::test_one_bad_object_does_not_take_the_others_with_it"],
    "PEER-12": ["sync/test_two_nodes.py::test_a_restated_version_replaces_the_partners_copy"],
    "PEER-13": ["conformance/test_get_objects.py::test_added_after_asks_when_the_server_got_it"],
    "PEER-14": [
        "taxii/test_sameness.py::test_a_hidden_collection_is_one_that_never_was",
        "taxii/test_sameness.py::test_the_status_of_another_account_is_one_that_never_was",
    ],
    "PEER-15": ["taxii/test_fuzz.py::test_a_path_of_any_bytes_is_an_address_or_none"],
    "PEER-16": ["access/test_tokens.py::test_a_token_ends_at_its_moment"],
    "PEER-17": ["cli/test_node.py::test_init_makes_a_node_with_collections_and_a_person"],
    "PEER-18": ["taxii/test_sameness.py::test_a_stranger_learns_nothing_of_what_there_is"],
    "PEER-19": ["sharing/test_decisions.py::test_a_fault_in_the_rules_withholds_and_says_so"],
    "PEER-21": ["sync/test_two_nodes.py::test_a_relationship_goes_when_its_ends_do"],
    "PEER-22": [
        "torture/test_kill.py::test_a_pull_killed_anywhere_goes_on_and_applies_everything_once",
        "torture/test_kill.py::test_a_push_killed_anywhere_goes_on_and_applies_everything_once",
    ],
    "PEER-25": [
        "flows/test_exchange.py::test_nothing_comes_back_and_what_both_import_moves_no_further",
        "sync/test_two_nodes.py::test_a_further_round_moves_nothing_and_writes_only_the_state_rows",
    ],
    "PEER-27": [
        "exchange/test_taking_back.py::test_what_was_withdrawn_comes_in_no_more",
        "sync/test_withdraw.py::test_a_third_node_that_posts_it_again_is_refused_with_the_reason",
    ],
    "PEER-30": ["sync/test_standing.py::test_when_nobody_works_for_hours_both_sides_are_stale"],
    "PEER-31": ["sync/test_reports.py::test_a_push_counts_each_object_in_exactly_one_word"],
    "PEER-32": ["sync/test_plan.py::test_what_is_planned_to_go_is_what_goes"],
    "PEER-33": ["bench/test_bench.py::test_a_run_at_scale_prints_every_work_at_both_sizes"],
    "PEER-34": ["architecture/test_layers.py::test_every_import_contract_is_kept"],
    "PEER-39": ["sync/test_two_nodes.py::test_rapid_updates_on_both_sides_go_quiet_and_end_equal"],
}

UNTESTED = {
    "H26": "no command writes a table for a spreadsheet yet: `--json` and text are the only forms",
    "H29": "nothing here renders markdown, HTML or SVG; the console that could is not built yet",
    "H40": "redaction is not built yet: what may not go whole does not go, so nothing can collide after it",
}
