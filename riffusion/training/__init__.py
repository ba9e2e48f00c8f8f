"""Training and evaluation. Only the commands of the command line import this room.

corpus      music composed, captioned and rendered; the dataset of windows
engine      training of the shipped engine and of its critics
vocoder     training of the learned vocoder
evaluation  judges and measures of engine, songs and sound
checkpoint  the state of a training run on disk
precision   how training computes on this machine
plots       curves and pictures
"""
