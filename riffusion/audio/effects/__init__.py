"""Effects on the mix: frozen links of a chain that takes samples in and gives samples out.

An effect holds its settings and all that it remembers. ``process`` changes nothing: it returns the
effect as it stands afterwards, so that a kept effect is a place to go back to.

    effect     Signal and the Effect protocol
    reverb     Reverb: a small room
    slow_gain  SlowGain: a gain that slowly follows the loudness of the track
    limiter    Limiter: true peaks under a ceiling, with a look-ahead of one chunk
"""
