"""The original Riffusion: its requests, its commands and its playground's tasks.

inference  the request of its server's run_inference endpoint
arguments  the options of its commands
convert    audio-to-image, image-to-audio, print-exif and audio-to-images-batch
slice      sample-clips and sample-clips-batch
tasks      text-to-audio, audio-to-audio and interpolation
batch      many prompts from a file
restyle    a recording of any length played anew
stems      split: a recording into stems
files      folders and names of files that the commands share
"""
