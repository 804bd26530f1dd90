"""Inference forms of models and of their layers."""
