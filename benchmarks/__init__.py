"""Measurements of the whole app: ``python -m benchmarks`` prints them as one table.

speed     the real-time factor of jams, also over tempi, and the share of each stage
latency   the time from Play to the first sound, and from a change to hearing it
seams     whether the joins between clips can be heard
cohesion  whether the bars of a jam come round, and how much neighbours differ
song      the time, memory and joins of planned songs
codec     image to sound beside the original's way
decode    the speed and memory of a long decode
browser   first sound and dropouts in a real browser
hour      the memory and the bar lines of an hour of jam
setup     the time and download from a fresh clone to the page
analysis  tempo, bar lines and key of recordings
stable    stages of a Stable Diffusion network beside diffusers
handmade  recordings made by code, with the truth about them
options   what the measurements share
report    the rows, and the machine they were measured on
app       the app in a process of its own
memory    the memory of a process
"""

# riffusion is imported before PyTorch, so that its threads wait as they do in the app.
import riffusion as riffusion
