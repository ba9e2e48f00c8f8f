"""Vocoders turn mel spectrograms into waveforms.

The learned vocoder predicts magnitudes, stereo gains and phase derivatives from mel bands, unrolls
the phases and makes them consistent with a few iterations of Griffin-Lim. It takes a small part of
the time that Griffin-Lim alone takes.

    protocol    Vocoder: what a vocoder can do
    learned     LearnedVocoder: the shipped vocoder
    network     VocoderNetwork: magnitudes, phase derivatives and side levels from mel bands
    frames      predicted frames, without and with phases
    bands       values of mel bands brought to STFT bins
    recurrence  phases unrolled from their derivatives
    stereo      left and right from the mid signal and the level of the sides
    streaming   StreamingGriffinLim: iterations over frames as they arrive
"""
