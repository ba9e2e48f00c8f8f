"""Fitting of the patterns of metre and key by which recordings are analysed.

songs     songs of the corpus as sound files, with what is known about them
examples  what is right and wrong about excerpts of songs, as numbers
train     the command ``train-analysis``: logistic regression on the training split
"""
