"""Vocoders turn mel spectrograms into waveforms.

protocol    Vocoder: what an engine's vocoder can do
learned     LearnedVocoder: the shipped one, a small part of the time Griffin-Lim takes
network     VocoderNetwork: levels, phase derivatives and stereo gains from mel bands
bands       values of mel bands brought to STFT bins
recurrence  phases unrolled from their derivatives
stereo      left and right from the mid signal and their relation to it
streaming   StreamingGriffinLim: iterations over frames as they come
"""
