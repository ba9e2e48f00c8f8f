"""What is heard in a recording: its tempo, beats, bar lines and key.

The beat is a matched filter over tempo, metre and phase whose patterns are fitted on the corpus.

    recording  the analysis of a recording, and what is wrong with one that has no beat
    onsets     how strongly notes begin and chords change, as curves over time
    pitch      spectral peaks and pitch classes
    metre      the tempo and bar lines that fit such curves best
    key        the key that fits pitch classes best
    patterns   the fitted patterns of metre and key on disk
"""
