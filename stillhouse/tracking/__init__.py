"""Tells MLflow what ran: one parent run per execution, one child run per stage."""
