"""The search: a question in TOML becomes trials, a ledger, a report and a bundle. Ray and Optuna live here only.

What is asked: space (with knob, space_settings, space_file, space_tables, space_when, space_arms, space_idle,
space_checks), objective. Who proposes and who stops: searcher (with sampler, early_stages), scheduler, budget, cautions
before and afterwards. What a trial asks for and does: recipe, stages and their store, work, setting, prepared,
stage_tasks, trainable, desk. Who runs it all: launch, with order, place, tuning, tune_events, ray_session,
ray_environment, ray_folder, meanwhile, warm, machine, address, nodes, silence, driver_lease. Who runs again: confirm,
with candidates, ranked, arms_to_confirm, declaration, listed_searcher, confirmed, restored. What is on record: trials
(the ledger) and its events, recorder, tally, optuna_journal, study_folder, scored, other_questions, study_json,
whole_file, whole_folder.

What people see: display, knob_list, plan, tensorboard (with event_files, best_board, shown_file; showcase, picture and
precision_recall in the worker), report (with section, facts, tables, sentences, prose, markdown; figure_sheet, figures,
figures_knobs; fanova and importance, coordinates, edges, floor, pruning and pruning_told, species_precision). Who is
better: compare (the maths; with spending, reweighted, redrawn), compared (with matched, looks, compared_sentences,
compared_tables), arms (with arms_tables, arms_sentences), truth (with truth_table). What comes out: export, bundle and
its card, final, model_folder, submission (with validate), field, audit and audited, reproduce, judge. All at once:
demo. The command line: __main__, with verbs_of_data, verbs_of_studies, verbs_of_models, verbs_of_audit, options and
wrong_call, and leave; what is wrong with a file: json_file, npz_file and complaint.

To extend it
------------
A knob
    One line in `rfcx_model.hyperparameters`, in the group of the stage that reads it: name, type, default, unit,
    source. And the place where it acts, which reads it from there. Space files, `--set`, the names of stages, HParams,
    report and bundle know it by that line. One that does nothing beside some value of another is told to `space_idle`.
A mixup site
    Its name in `hyperparameters.MixupSite`, and in `network.SITES` the reduction of the stage after which it lies
    (`"stage2": 8`): the network asks `mix.at(site, x)` there. A site that is not a stage of the backbone needs a line
    in `RFCXNet.features` as well.
An objective
    A form of precision: a metric that `rfcx_model.metrics` returns for each epoch, its name in
    `space_settings.Objective.precision_form`, and its weighted form in `reweighted`, which `compare` draws again. A
    rule: a name in `Objective.rule` and a branch in `objective.score` and `objective.values`.
A sampler
    A name in `space_settings.Search.sampler` and its branch in `sampler`; what it sees must be bounded, and the same
    after a restart.
Other data than RFCX's
    Any folder in the competition's layout, with any species and any length of recordings: `train/`, `test/`,
    `train_tp.csv`, `train_fp.csv`, `sample_submission.csv`, and `recordings.csv` for sites that no fold may cross.
    `check` says what is wrong with it. WAV and FLAC of any rate are taken. Windows and front end are knobs.
A figure in the report
    Facts in a module that knows no matplotlib, sentences and tables from them, a section in `report`.
"""
