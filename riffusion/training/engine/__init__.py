"""Training of the shipped engine: a flow-matching transformer on log-mel images.

distill         the command ``distill``: a student of few steps
lessons         what a student of few steps learns from
train           the command ``train``: the run, its options and its files
flow            the flow-matching loss
critics         networks that recognise music in noise, and a loss by them
prompt_adapter  fits the adapter between prompts and the model
warm_start      starts a run with the weights of an earlier model
sample_sheet    spectrograms and sound of a model in training
"""
