"""The search: a question in TOML becomes trials, a ledger, a report and a bundle. Ray and Optuna live here only.

What is asked: space (with knob, space_file, space_checks), objective. Who proposes and who stops: searcher, scheduler.
What a trial does: stages and their store, setting, trainable. Who runs it all: launch, with ray_environment, machine.
What is on record: trials (the ledger), recorder, study_folder, study_json. What people see: display, tensorboard, plan,
report (with facts, tables, figures, sentences). What comes out: export and bundle, final, judge. All at once: demo.
"""
