"""Objectives: what a placement is optimised for, one file each."""
