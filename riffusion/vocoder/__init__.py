"""Vocoders turn mel spectrograms into waveforms.

The learned vocoder predicts magnitudes, stereo gains and phase derivatives from mel bands, unrolls
the phases and makes them consistent with a few iterations of Griffin-Lim. It takes a small part of
the time that Griffin-Lim alone takes.

    protocol         Vocoder: what a vocoder can do
    learned          LearnedVocoder: the shipped vocoder
    live             LiveVocoder: the same network in less time, for jams
    network          VocoderNetwork: magnitudes, phase derivatives and side levels from mel bands
    inference        InferenceNetwork: the network for inference alone
    frames           predicted frames, without and with phases
    bands            values of mel bands brought to STFT bins
    recurrence       phases unrolled from their derivatives
    recurrence_fast  the same, with what can be computed for whole blocks
    stereo           left and right from the mid signal and the level of the sides
    band_stereo      the same, computed once for each band
    streaming        StreamingGriffinLim: iterations over frames as they arrive, as one batch
    chained          ChainedGriffinLim: iterations over blocks, each behind the one before
"""
