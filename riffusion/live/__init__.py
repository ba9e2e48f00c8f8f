"""What plays now: generated a little ahead of each listener, one engine for all.

source     LiveSource: what can be played live
producer   generates ahead of the playhead and keeps the track
scheduler  EngineQueue: who may use the engine, and who must step back
registry   JamRegistry: opens, finds and ends jams
pace       what to do about an engine that is slower than its music
"""
