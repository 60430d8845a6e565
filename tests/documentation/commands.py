"""Which test runs each command that stands in a page outside of its fenced blocks.

A command is written as the pages have it, `…` for any rest. Contract tests keep the table complete and free of what no
page says any more.
"""

PAGES_RUN = "tests/documentation/test_followed_pages.py::test_the_tutorial_from_its_top_to_its_end"
COMPARE = "tests/documentation/test_followed_pages.py::test_a_page_that_works_on_a_project_of_ones_own"
OWN_CSV = "tests/documentation/test_followed_pages.py::test_a_csv_of_ones_own"
DEPLOYED = "tests/flows/test_deployments.py::test_what_is_registered_and_a_second_time_changes_nothing"

TESTED = {
    OWN_CSV: [
        "stillhouse use --data reviews.csv --text review --label sentiment",
        'stillhouse predict "Arrived broken, twice."',
        'git add -A && git commit -m "My data"',
        "git add -A",
        "stillhouse report",
        "make run",
    ],
    PAGES_RUN: [
        "make quick",
        "stillhouse quick",
        'stillhouse predict "This movie is so great!" "What a terrible show."',
        'stillhouse predict "…"',
        "stillhouse predict",
        "stillhouse history sentiment",
        "stillhouse verify sentiment@champion",
        "stillhouse verify",
    ],
    COMPARE: [
        "dvc params diff",
        "dvc metrics diff",
        "dvc plots show",
        "dvc exp run",
    ],
    "tests/trust/test_02_reproducible.py::test_another_checkout_gives_the_same_lock": [
        "stillhouse quick recipes/sentiment-from-scratch.yaml",
        "dvc repro",
        "stillhouse run",
    ],
    "tests/trust/test_02_reproducible.py::test_doctor_prints_what_the_result_depends_on": ["stillhouse doctor"],
    "tests/unit/test_cli_use.py::test_a_recipe_becomes_params_and_edits_are_not_lost": [
        "stillhouse use",
        "stillhouse use recipes/…",
    ],
    "tests/unit/test_cli_quick.py::test_every_recipe_has_a_valid_smoke_scale": ["stillhouse quick recipes/…"],
    "tests/unit/test_cli_upgrade.py::test_a_later_release_comes_in_and_what_is_the_users_stays": [
        "stillhouse upgrade TAG",
        "stillhouse upgrade",
    ],
    "tests/unit/test_cli_upgrade.py::test_a_conflict_is_left_to_the_user_who_may_go_back_or_on": [
        "git add",
        "git commit",
        "git merge --abort",
    ],
    "tests/unit/test_cli_bias.py::test_the_shares_and_what_they_are_worth": ["stillhouse bias…"],
    "tests/unit/test_scoring_batch.py::test_columns_are_named_kept_and_chosen": ["stillhouse score…"],
    "tests/unit/test_registry_served_answers.py::test_the_answer_is_found_in_the_passages_that_fit_the_question": [
        "stillhouse predict --pair …",
        "stillhouse predict --task …",
    ],
    "tests/serving/test_changes.py::test_versions_change_and_the_server_ends_without_a_dropped_request": [
        "stillhouse serve",
    ],
    "tests/serving/test_requests.py::test_answers_are_those_of_predict": [
        "curl -s http://127.0.0.1:8000/predict …",
    ],
    "tests/serving/test_requests.py::test_the_words_that_mattered_are_those_whose_absence_changes_the_answer": [
        "curl -s http://127.0.0.1:8000/explain …",
    ],
    "tests/trust/test_11_served_model.py::test_mlflows_own_command_serves_the_champion_and_refuses_the_same": [
        "mlflow models serve…",
        "curl -s http://127.0.0.1:5001/invocations …",
    ],
    "tests/trust/test_10_disk.py::test_clean_frees_what_nothing_needs_and_says_so_first": ["stillhouse clean"],
    "tests/trust/test_05_lineage.py::test_lineage_finds_the_version_by_any_hash_of_its_data": ["stillhouse lineage…"],
    "tests/trust/test_07_promotion_log.py::test_rollback_goes_back_further_each_time_and_refuses_at_the_beginning": [
        "stillhouse rollback…",
        "stillhouse history NAME",
    ],
    "tests/trust/test_07_promotion_log.py::test_a_version_is_promoted_by_hand_and_rolled_back_like_any_other": [
        "stillhouse promote…",
    ],
    "tests/flows/test_refresh.py::test_what_drifted_is_said_and_stops_the_flow_where_it_is_to": ["stillhouse drift"],
    "tests/flows/test_refresh.py::test_an_import_is_fetched_and_one_that_fails_stays_outside": [
        "dvc import-url…",
        "dvc update",
    ],
    DEPLOYED: ["make deploy", "make ui", "make worker", "prefect deploy"],
    "tests/flows/test_deployments.py::test_a_run_by_hand_then_by_the_clock_trains_once": [
        "prefect deployment run refresh/refresh…",
    ],
    "tests/flows/test_deployments.py::test_one_process_serves_everything_and_leaves_the_switches": [
        "python -m flows.serve",
    ],
    "tests/flows/test_train.py::test_same_lock_as_serial_repro_and_branches_overlap": [
        "make flow",
        "python -m flows.train",
    ],
    "tests/flows/test_train.py::test_what_one_checkout_pushes_another_pulls_and_need_not_run": ["dvc pull", "dvc push"],
    "tests/services/test_shared_services.py::test_runs_lie_in_postgresql_and_bytes_in_the_storage": [
        "dvc remote add --local --default team s3://dvc",
        "dvc remote modify --local team endpointurl http://127.0.0.1:7070",
        "git add --all",
        'git commit --message "a run"',
    ],
    "tests/services/test_sharded_corpus.py::test_the_page_followed_to_the_language_model": [
        "python -m moto.server -H 127.0.0.1 -p 7070",
        "python -c \"import boto3; boto3.client('s3').create_bucket(Bucket='corpus')\"",
        "dvc repro pretrain",
        "dvc repro --force --single-item tokenize_corpus",
    ],
    "tests/services/test_scoring_on_storage.py::test_a_list_of_files_is_answered_from_s3_to_s3": [
        "stillhouse score reviews.sha256…",
    ],
    "tests/distributed/test_several_machines.py::test_two_machines_train_as_two_processes_of_one": [
        "python -m pipeline.stages.pretrain …",
    ],
    "tests/contract/test_parameters_page.py::test_the_page_is_the_one_that_the_code_makes": [
        "python -m pipeline.cli.parameters > docs/parameters.md",
    ],
    "tests/unit/test_benchmarks.py::test_tokenization": ["python benchmarks/…"],
}

UNTESTED = {
    "make setup": "how the environment of the tests came to be",
    "make test": "runs this",
    "make test-slow": "runs this",
    "make lint": "what .ci/run begins with",
    "make test-services": "runs tests/services",
    "make screenshots": "needs a project that ran; its pages are opened in tests/browser",
    "make lock": "a whole run of ten minutes, at releases",
    "python -m pytest tests/contract": "runs this",
    "python -m pip install --no-deps -r constraints-services.txt": "how the environment of tests/services came to be",
    "python -m pip install --no-deps -r constraints-ray.txt": "how the environment of tests/cluster came to be",
    "python -m flows.train --pull --push": "each by itself in tests/services and tests/flows",
    "stillhouse ui": "behind `make ui`",
    "dvc repro --single-item …": "needs a second machine; the stage's command is tested",
    "dvc pull data/tokens/corpus models/tokenizer": "`dvc pull` of everything is tested",
    "dvc remote remove --local team": "DVC's own",
    "git push": "git's own, needs a remote",
    "git pull": "git's own, needs a remote",
    "git clone …": "the address is the reader's",
    "git checkout …": "git's own",
    "git fetch --unshallow": "git's own, needs a remote",
    "dvc add …": "DVC's own; `stillhouse use` does it in tests",
    "dvc import …": "needs a repository elsewhere; import-url is tested",
    "dvc import": "the same",
    "dvc exp run --run-all --jobs 2": "the page runs it one at a time",
    "dvc exp diff HEAD cold": "DVC's own; `dvc metrics diff` is tested",
    "dvc exp remove cold": "DVC's own",
    "dvc checkout": "DVC's own",
    "mlflow ui": "MLflow's own; `stillhouse ui` is tested",
    "export …": "settings for the commands behind them",
    "iconv …": "not this project's",
    "sudo chown …": "not this project's",
    "pip install …": "fetches other libraries to compare with",
    "stillhouse --debug …": "an option of every command",
    'python -c "import torch; …': "prints False without a card",
}
