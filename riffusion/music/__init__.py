"""Music theory and vocabulary: keys, chords, bars, walks, styles and instruments.

Plain data and pure functions; nothing here makes sound.

    harmony      keys, chords and chord progressions
    rhythm       the bar grid: bars and beats as absolute samples
    walk         the way between two prompts, and lerp and slerp
    styles       the styles that the corpus is rendered in, a family a module
    instruments  General MIDI programs by the names people use
    words        words for tempo and mood
"""
