"""The live room generates a little ahead of each listener, with one engine for all.

source       LiveSource: the protocol of what can be played live
jam_source   a jam as a live source, changed by settings
song_source  a song as a live source, changed by plans and jumps
producer     generates a source ahead of the playhead and writes the track
connection   one listener: how far it was sent, its playhead, its events
stream       JamStream: a source, its track, its producer and its listener
scheduler    EngineStages: who may use the denoiser and the vocoder next, by priority
registry     JamRegistry: opens, finds and ends jams
pace         what to do about an engine that is slower than its music
"""
