"""The model: sounds in, species out. Knows nothing of studies, Ray or Optuna.

Knobs: hyperparameters. Data: recordings (survey, tables, audio_files, folds), to_predict, spectrogram,
spectrogram_cache, labels, corpus. Network and training: network, narrow, mixup, augment, losses, batches, learner,
train, compute. Measuring: metrics, predict, listening, baseline. A forest to try it on: synthetic, with forest, census,
voices, soundscape, field_recording, template_matching, listing, species_facts and curves.
"""
