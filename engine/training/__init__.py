"""Corpus, mixing, training and evaluation of ``compact``; imported by nothing at run time."""
