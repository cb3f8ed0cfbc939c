"""Builds processes out of the rooms: the only room that knows them all."""
