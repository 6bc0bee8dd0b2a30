"""Tests of the values that run through the package."""
