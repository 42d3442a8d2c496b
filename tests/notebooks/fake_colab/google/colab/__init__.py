"""Stands for Colab's own package; `google` itself belongs to many."""
