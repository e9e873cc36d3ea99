"""The model: sounds in, species out. Knows nothing of studies, Ray or Optuna."""
