"""The search: a question in TOML becomes trials, a ledger, a report and a bundle. Ray and Optuna live here only.

What is asked: space (with knob, space_settings, space_file, space_tables, space_when, space_arms, space_idle,
space_checks), objective. Who proposes and who stops: searcher (with sampler, early_stages), scheduler, budget. What a
trial asks for and does: recipe, stages and their store, work, setting, stage_tasks, trainable, desk. Who runs it all:
launch, with tuning, tune_events, ray_session, ray_environment, ray_folder, machine, address, nodes, driver_lease. Who
runs again: confirm, with candidates, listed_searcher, confirmed, restored. What is on record: trials (the ledger),
recorder, tally, optuna_journal, study_folder, scored, other_questions, study_json, whole_file.

What people see: display, plan, tensorboard (with event_files, best_board, shown_file; showcase, picture and
precision_recall in the worker), report (with section, facts, tables, sentences, prose, markdown; figure_sheet, figures,
figures_knobs; fanova and importance, coordinates, edges, pruning and pruning_told, species_precision). Who is better:
compare (the maths; with spending, reweighted, redrawn), compared (with matched, looks, compared_sentences,
compared_tables), arms (with arms_tables, arms_sentences), truth (with truth_table). What comes out: export, bundle and
its card, final, model_folder, submission (with validate), field, audit and audited, reproduce, judge. All at once:
demo. The command line: __main__, with verbs_of_data, verbs_of_studies, verbs_of_models, verbs_of_audit and options.
"""
