"""The rows of the table of an evaluation. Each module returns rows about one aspect.

row           a row, and the table as text
styles        whether the music has the style and the lead of its prompt
rhythm        tempo and beat
harmony       chords and key
continuation  beat and key where a clip continues another
cohesion      whether bars of a jam come round, and how much neighbours differ
controls      whether density, brightness and drums follow their control
distribution  clips as a set: distance to renders, variety, copies
"""
