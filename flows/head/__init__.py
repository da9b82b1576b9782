"""The servers of Prefect and MLflow that stay: started once for a project, used by all its commands, ended by `stillhouse down`."""
