"""The command line: ``python -m riffusion COMMAND``.

main      the parser, and what went wrong in one line
commands  jam, replay, generate, encode and decode
song      the song command
"""
