"""Wires the ports to the real things. Commands that only look need `session`; `daemon` brings all the rest."""
