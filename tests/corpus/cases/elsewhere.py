"""Cases that are no pictures: models, tables, jobs of people's own; the tests of each."""

from __future__ import annotations

# What, what became of it, what is right and how it is known, tests.
ELSEWHERE = (
    (
        "a model with a stock loss on images, in micro-batches",
        "exit 70 at every rung below the whole batch",
        "the weights that Keras' `fit` makes on whole batches",
        ("test_in_micro_batches_and_cut_a_users_model_becomes_what_fit_makes_of_it",),
    ),
    (
        "`mixed_float16`; the user's own `gradient_accumulation_steps`; `use_ema=True`",
        "exit 73; another training; raw weights",
        "the weights that Keras' `fit` makes",
        ("test_in_micro_batches_and_cut_a_users_model_becomes_what_fit_makes_of_it",),
    ),
    (
        "a loss that is no mean over images, in micro-batches",
        "another training",
        "refused before the first step",
        ("test_a_loss_that_is_no_mean_over_images_is_refused_in_micro_batches",),
    ),
    (
        "a LearningRateSchedule with `--reduce-lr`",
        "failed at the first plateau",
        "refused before the first step",
        ("test_a_rate_that_cannot_be_set_is_refused_before_the_first_step",),
    ),
    (
        "custom layers, Lambda, VAE, nested models in later jobs",
        "the published model could not be opened",
        "what the file itself encodes under plain Keras, or refused before the first step",
        (
            "test_what_a_model_with_code_encodes_is_what_its_file_encodes",
            "test_a_model_that_cannot_be_written_is_refused_before_the_first_step",
            "test_a_whole_model_with_its_encoder_inside_is_cut_for_encoding_too",
        ),
    ),
    (
        "`ZarrSequence` in `model.fit`, shuffled by Keras",
        "16 of 40 rows twice",
        "every row once, in the order of (seed, epoch)",
        (
            "test_whatever_fit_shuffles_an_epoch_is_that_of_seed_and_epoch",
            "test_fit_sees_every_sample_once_an_epoch_in_the_order_of_seed_and_epoch",
        ),
    ),
    (
        "a Google document in a folder on a Drive",
        "exit 74 each time",
        "skipped and listed; the rest goes on",
        (
            "test_a_document_of_a_drive_that_cannot_be_opened_is_skipped_and_listed",
            "test_what_is_listed_and_cannot_be_opened_is_left_out_and_said_each_time",
        ),
    ),
    (
        "vectors packed by xarray, in `analyze`",
        "covariance 10,000 times too large",
        "xarray's numbers, unpacked; missing ones refused",
        (
            "test_packed_vectors_have_the_covariance_of_the_numbers_they_stand_for",
            "test_packed_vectors_of_which_one_is_missing_are_refused",
        ),
    ),
    (
        "a Gaussian fit of whole numbers",
        "2.6 times too wide",
        "the width of the numbers' own counts",
        ("test_values_with_a_step_wider_than_a_bin_are_fitted_by_their_own_counts",),
    ),
    (
        "a Gaussian fit of whole numbers, of which a few rows are none",
        "a third to twice too wide",
        "SciPy's fit of the counts of the nearest whole numbers, within 4 %",
        (
            "test_a_few_rows_off_the_step_do_not_hide_it",
            "test_off_the_step_a_few_or_many_whole_numbers_are_as_wide_as_they_are",
        ),
    ),
    (
        "a Gaussian fit of a few whole numbers",
        "not tried",
        "the width of the numbers' own counts",
        ("test_a_few_whole_numbers_are_as_wide_as_their_own_counts",),
    ),
    (
        "labels of a store for a classifier: words, dates, packed, one too few; NaN",
        "not tried",
        "refused; NaN is a number of the store, and given to `fit` as it is",
        (
            "test_labels_that_are_no_numbers_or_not_one_a_row_are_refused",
            "test_labels_are_given_as_they_are_stored_missing_ones_too",
        ),
    ),
    (
        "a path or a need of a user's job that was changed",
        "done already, with the old values",
        "part of the recipe",
        ("test_what_a_path_or_a_need_names_is_part_of_the_recipe",),
    ),
    (
        "an input that changes while a job of one's own runs, or between its workers",
        "done, of half of each",
        "refused before the next commit; the last one is of the former data alone",
        (
            "test_an_input_that_changes_under_a_running_job_or_between_its_workers_is_refused",
            "test_an_input_that_changes_within_an_attempt_is_refused_before_the_next_commit",
        ),
    ),
    (
        "settings that change bits: a sum of floats by blocks",
        "another result after a retry, unseen",
        "told before the work; by blocks of a fixed number of rows the bits are the same",
        (
            "test_settings_that_change_a_sum_of_floats_are_told_before_the_work_and_not_used",
            "test_a_float_sum_by_block_is_seen_and_one_by_fixed_blocks_is_the_same",
        ),
    ),
    (
        "code of a job that changed after the run had ended",
        "done already, without a word",
        "told, in the job's file and beside it",
        (
            "test_an_input_that_changed_is_told_and_so_is_a_file_that_was_mended_since",
            "test_code_beside_a_job_that_changed_since_is_told",
        ),
    ),
    (
        "an option of the name of a built-in one; output that no result names",
        "shadowed; lost",
        "refused; kept",
        (
            "test_an_option_of_the_name_of_one_of_every_run_is_refused",
            "test_what_was_written_and_is_named_by_no_result_is_not_lost",
        ),
    ),
)
