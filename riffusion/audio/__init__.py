"""Samples: waveforms, tracks on disk, loudness and the master.

Everything here works on float32 samples (channels, n) or on 16-bit files and knows nothing of
spectrograms, models or music.

    waveform        Waveform: samples with a sample rate; audio files are read and written here
    ffmpeg          formats that only ffmpeg reads and writes, through pydub
    track           TrackFile: the growing track of a jam in a temporary file
    recording       Recording: an audio file of any format that grows while it plays
    loudness        K-weighting and true peaks of ITU-R BS.1770-4
    effects         the effects of the master: reverb, slow gain, limiter
    mastering       the master: the chain of effects that every mix goes through
    rolling_buffer  RollingBuffer: the last seconds of an endless signal
    progress        the progress bar of commands that make audio
"""
