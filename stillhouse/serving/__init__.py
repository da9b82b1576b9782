"""A model's folder asked by tables: predict, MLflow's loader, packages."""
