"""Distils big models into small ones that fit a budget, and proves what was gained."""
