"""The endless jam: settings and changes in, audio out, replayable bit for bit.

Nothing in this room holds a thread, a socket or a widget.

    schema        the one table of settings: names, ranges, defaults, labels
    settings      JamSettings: what a jam plays
    setting_values values from links, forms and messages, read by the schema
    timeline      which settings rule when, on the bar grid
    session       JamSession: an endless iterator of audio blocks
    session_file  sessions in files, and playing them again
    stitcher      clips in, gapless audio out
    anchors       the library of clips to start from, and anybody's audio or image
    masks         which part of an anchor is repainted
    asset         AssetRef: an anchor or a mask by name, or somebody's own data
    loops         anchors that go round in time
    speed         whether an engine keeps up with a jam on this machine
"""
