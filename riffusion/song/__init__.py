"""Songs: sections that come back, each played over a jam of its own.

model       Song, Section and Transition
plan        songs as YAML or JSON text and back
yaml_lines  YAML that knows its lines
planner     plan_song: a song from one line of text
brief       SongBrief: what such a line asks for
forms       the planner's grammar of song forms
placement   PlacedSection: the sections of a song on its bar grid
takes       TakeStore: the audio of each section, kept on disk
variation   engines that make a section differ when it returns
session     SongSession: a song as a stream of audio blocks
render      a song's blocks as fast as they can be made
capture     what a jam plays as a section of a song
markers     cue sheets and tags of images
"""
