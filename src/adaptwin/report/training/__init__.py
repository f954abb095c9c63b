"""Trained predictors for people: tables, rules, charts and the page."""
