"""The endless jam: settings and changes in, audio out, replayable bit for bit.

Nothing in this room holds a thread, a socket or a widget.

    schema          the one table of settings: names, ranges, defaults, labels, help
    setting         Setting: one entry of the schema
    prompt_settings  the entries of the up to eight prompts
    settings        JamSettings: the settings of a jam
    setting_values  values from links, forms and messages, read by the schema
    timeline        Timeline: which settings apply from which bar line on
    prompt_walk     the prompts that are heard at a position of the walk
    clip_window     ClipWindow: where a clip lies on the bar grid
    clip_request    what a clip asks of the engine
    loop            Loop: which bars come round, and how far they have turned
    dynamics        Dynamics: arcs, drops of the drums, and fills
    block           JamBlock and ClipMark: audio as it is given out, and the clip that it is of
    generator       ClipGenerator: clip after clip from the engine, as audio
    session         JamSession: an endless iterator of audio blocks; render
    opening         Opening: a recording that a jam goes on from
    replay          sessions saved to files and played again
    session_file    SavedSession: the format of session files, written and read
    stitcher        Stitcher: clips in, gapless audio out
    clip_sound      ClipSound: the sound of a clip, piece by piece
    anchors         the library of anchors, and audio or images as anchors
    masks           which part of an anchor is generated anew
    asset           AssetRef: an anchor or a mask by name, or uploaded data
    anchor_loops    anchors that repeat in time with a jam
    speed           whether an engine keeps up with a jam on this machine
"""
