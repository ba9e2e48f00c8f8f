"""Training and evaluation of the shipped engine and vocoder, for the command line only.

The rooms inside import each other in one direction: engine from evaluation (the training loop of
small networks), evaluation from vocoder, and all from corpus and the modules beside
them.

    corpus        composed, captioned and rendered songs; windows of them as training batches
    engine        training of the shipped engine, with its critics and prompt adapter
    vocoder       training of the learned vocoder
    evaluation    judges and measures of engines, songs and vocoders
    analysis      fitting of the patterns by which recordings are analysed
    optimization  learning rate, optimizers and averages that all runs share
    checkpoint    the state of a run on disk
    precision     the choice between bfloat16 and float32
    plots         curves, tables and spectrograms as PNG images
"""
