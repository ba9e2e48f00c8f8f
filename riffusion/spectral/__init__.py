"""Spectrograms: the STFT, mel bands, Griffin-Lim and spectrogram images.

The geometry is that of the original Riffusion where nothing else is said.

    spectrogram     Spectrogram and its parameters; waveform to mel magnitudes
    stft            the short-time Fourier transform, also in blocks
    phases          iterations of Griffin-Lim and the phases they start from
    griffin_lim     magnitudes to a waveform by the fast Griffin-Lim algorithm
    band_extension  a guess of what lies above the highest band of an image
    image           audio to spectrogram image and back, the original's pixel by pixel
    image_file      image files read and written
    tags            the EXIF tags of a spectrogram image
    long_image      spectrogram images of any length, written and read in bounded memory
    png             PNG files written by rows and read by strips
    track_image     the image of a track on disk
    long_audio      the sound of images of any length
    log_mel         mel magnitudes as the log-scaled images that networks see
    torchaudio_cpu  lets torchaudio import on a PyTorch without CUDA
"""
