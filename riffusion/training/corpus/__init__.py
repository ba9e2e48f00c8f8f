"""The corpus: captioned songs that are composed, rendered and stored, and windows of them.

MMA writes the accompaniment, this room the melodies and captions, and FluidSynth plays them. A
corpus is a folder of shards of log-mel frames; training reads random windows of its songs.

    score               the written music as MIDI events: accompaniment, melodies, solos
    renderer            a score to sound, through FluidSynth and a soundfont
    captions            wordings for what a song is
    build               the command ``corpus``: compose, render and store songs
    shards              songs on disk, checked when they are read
    sound               the command ``corpus-sound``: the songs as sound files
    processes           jobs in several processes
    dataset             the songs of a split, their captions and statistics
    caption_embeddings  embeddings of all captions, kept beside the corpus
    features            density, brightness and drum activity of log-mel frames
    windows             random windows as training batches
"""
