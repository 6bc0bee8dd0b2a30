"""Tests of the embedded collector."""
