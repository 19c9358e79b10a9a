"""Proofs and searches in exact algebra: for every size by words, for given sizes by entries."""
