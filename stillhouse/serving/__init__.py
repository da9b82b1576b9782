"""A model's folder answered by tables: predict, MLflow's loader, packages."""
