"""The command line: ``python -m riffusion COMMAND``.

main      the parser, and errors in one line
commands  jam, replay, generate, encode and decode
opening   the recording that a jam goes on from
song      the song command
"""
