"""The pages, a module for each subject, each with a function that gives its routes."""
