"""Songs: sections that come back, played over jams.

model       Song, Section and Transition
plan        songs as YAML or JSON text and back
yaml_lines  YAML that knows its lines
planner     a song from one line of text
brief       SongBrief: what that line asks for
forms       the planner's grammar of song forms
placement   PlacedSection: a section on the bar grid of its song
takes       the sound of each section, kept on disk
variation   how a section differs when it returns
session     SongSession: a song as a stream of audio blocks
capture     what a jam plays as a section of a song
markers     cue sheets and marks in images
"""
