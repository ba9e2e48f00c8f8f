"""The command line: ``python -m riffusion COMMAND``.

main      the parser, and errors in one line
commands  jam, replay, generate, encode and decode
song      the song command
"""
