"""Compatibility with the original Riffusion: its requests, its commands and its playground's tasks.

inference  the request of its server's run_inference endpoint
arguments  the options of its commands
convert    audio-to-image, image-to-audio, print-exif and audio-to-images-batch
slice      sample-clips and sample-clips-batch
tasks      text-to-audio, audio-to-audio and interpolation
batch      clips for many prompts from one file
restyle    a recording of any length, generated anew window by window
stems      split: a recording into stems
files      folders and names of files that the commands share
"""
