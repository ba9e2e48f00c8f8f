"""Riffusion's requests, commands and files, on the engine that is loaded."""
