"""Evaluation: judges trained on renders of the corpus, and measures of engines, songs and vocoders.

A judge is a small network that estimates style, rhythm or harmony from sound alone. The ceiling of
a measure is what it says of renders of the corpus.

    engine                the command ``evaluate``: the table of measures of an engine
    samples               requests to an engine, and the clips and jams that it generates
    renders               windows of the corpus, which give the ceilings
    measures              the rows of the table
    judges                the trained judges on disk
    style_judge           the judge of style and lead instrument
    rhythm_judge          the judge of tempo, beat and density
    harmony_judge         the judge of chords and key
    judge_training        the training loop and files that judges and critics share
    embedding_statistics  distances between sets of embeddings, and rank correlation
    families              groups of styles that the style judge confuses
    songs                 the command ``evaluate-songs``: repetition and structure of songs
    repetition            whether a section that returns is the same
    structure             the section boundaries that can be heard
    capture               how near a section captured from a jam is to what was heard
    sound                 the command ``evaluate-sound``: vocoders on recordings
    sound_measures        distances between a vocoded sound and its source
    vocoders              the vocoders that evaluations compare, by name
"""
