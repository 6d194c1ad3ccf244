"""Faults by a seed: what is done to whom after how many frames, and the account afterwards."""
