"""Races against the clock: `make bench NAME=post` runs one, `make bench` all."""
